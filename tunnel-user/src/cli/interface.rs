//! Defines the argument that names an interface: IFACE alone, or after `--interface`.

use clap::Args;

/// The interface that a command works on.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub struct InterfaceArg {
    /// The interface; required if more than one is attached
    #[arg(value_name = "IFACE", id = "iface")]
    positional: Option<String>,
    /// The same as IFACE
    #[arg(long = "interface", value_name = "IFACE", id = "interface")]
    option: Option<String>,
}

impl InterfaceArg {
    /// The interface's name; `None` if the command line names none.
    pub fn name(&self) -> Option<&str> {
        self.positional.as_deref().or(self.option.as_deref())
    }
}

/// The interface that a command looks at alone.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub struct OnlyInterfaceArg {
    /// Only this interface; all interfaces by default
    #[arg(value_name = "IFACE", id = "iface")]
    positional: Option<String>,
    /// The same as IFACE
    #[arg(long = "interface", value_name = "IFACE", id = "interface")]
    option: Option<String>,
}

impl OnlyInterfaceArg {
    /// The interface's name; `None` for all interfaces.
    pub fn into_name(self) -> Option<String> {
        self.positional.or(self.option)
    }
}

/// The interface that a command can't do without.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct RequiredInterfaceArg {
    /// The interface that carries the packets between the public addresses
    #[arg(value_name = "IFACE", id = "iface")]
    positional: Option<String>,
    /// The same as IFACE
    #[arg(long = "interface", value_name = "IFACE", id = "interface")]
    option: Option<String>,
}

impl RequiredInterfaceArg {
    /// The interface's name. The parser requires one of the arguments.
    pub fn into_name(self) -> String {
        self.positional.or(self.option).unwrap_or_default()
    }
}
