//! Defines the error of a command: the problem and the remedy.

use std::fmt;
use std::io;

use nix::errno::Errno;

use crate::config::{ConfigError, NoNetwork};

/// The error of a command: the problem and the remedy.
#[derive(Debug)]
pub enum Error {
    /// The file, or the addresses on the command line, can't be used.
    Configuration(ConfigError),
    /// The command does not fit the host: a name, an interface or an address is missing.
    Refused {
        /// The problem, with the name of the affected object.
        what: String,
        /// The remedy.
        help: String,
    },
    /// This host can't run the command: no privileges, no bpffs, a kernel without a feature.
    Host {
        /// The problem, with the name of the affected object.
        what: String,
        /// The remedy.
        help: String,
    },
    /// The pins are not ours, or do not have this version's layout.
    Pins {
        /// The problem, with the name of the affected object.
        what: String,
        /// The remedy.
        help: String,
    },
    /// The kernel refused a step that should have worked.
    Kernel {
        /// The failed step, with the name of the affected object.
        what: String,
        /// The kernel's answer.
        source: anyhow::Error,
    },
    /// A signal came; all finished steps were undone.
    Interrupted,
    /// A signal came; the finished steps stay, since a detach is never undone.
    Stopped {
        /// The finished steps, and the steps that remain.
        what: String,
        /// The remedy.
        help: String,
    },
}

impl Error {
    /// The process's exit code, as documented in docs/command-line.md. Code 2 comes from clap, for wrong usage.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Kernel { .. } => 1,
            Self::Configuration(_) => 3,
            Self::Refused { .. } => 4,
            Self::Host { .. } => 5,
            Self::Pins { .. } => 6,
            Self::Interrupted | Self::Stopped { .. } => 130,
        }
    }

    /// The text for a terminal. For an invalid file, the text quotes the file's lines, in colours.
    #[must_use]
    pub fn styled(&self) -> String {
        match self {
            Self::Configuration(error) => error.styled(),
            other => other.to_string(),
        }
    }

    /// Makes a [`Self::Refused`].
    pub fn refused(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Refused { what: what.into(), help: help.into() }
    }

    /// Makes a [`Self::Host`].
    pub fn host(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Host { what: what.into(), help: help.into() }
    }

    /// Makes a [`Self::Pins`].
    pub fn pins(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Pins { what: what.into(), help: help.into() }
    }

    /// Makes a [`Self::Kernel`].
    pub fn kernel(what: impl Into<String>, source: impl Into<anyhow::Error>) -> Self {
        Self::Kernel { what: what.into(), source: source.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(error) => error.fmt(f),
            Self::Refused { what, help }
            | Self::Host { what, help }
            | Self::Pins { what, help } => {
                write!(f, "{what}\n  help: {help}")
            }
            Self::Kernel { what, source } => {
                write!(f, "{what}: {source:#}\n  help: {}", remedy(errno(source)))
            }
            Self::Interrupted => f.write_str(
                "interrupted; rewrite undid the finished steps\n  help: run the command again",
            ),
            Self::Stopped { what, help } => write!(f, "interrupted; {what}\n  help: {help}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Kernel { source, .. } => Some(source.as_ref()),
            _ => None,
        }
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Configuration(error)
    }
}

impl From<NoNetwork> for Error {
    fn from(NoNetwork { what, help }: NoNetwork) -> Self {
        Self::refused(what, help)
    }
}

/// Names the step at which an operation failed.
pub trait Context<T> {
    /// Turns the error into [`Error::Kernel`].
    ///
    /// # Errors
    /// The error itself, with the step that failed.
    fn context(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E: Into<anyhow::Error>> Context<T> for Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| Error::kernel(what(), error))
    }
}

/// The first errno in the chain of an error.
fn errno(error: &anyhow::Error) -> Option<Errno> {
    error.chain().find_map(|link| {
        if let Some(errno) = link.downcast_ref::<Errno>() {
            return Some(*errno);
        }
        let code = match link.downcast_ref::<rtnetlink::Error>() {
            Some(rtnetlink::Error::NetlinkError(answer)) => Some(answer.raw_code().abs()),
            _ => link.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error),
        };
        code.map(Errno::from_raw)
    })
}

/// The remedy for an errno from the kernel.
const fn remedy(errno: Option<Errno>) -> &'static str {
    match errno {
        Some(Errno::EPERM | Errno::EACCES) => {
            "run it as root, or with the capabilities that docs/systemd.md lists; a container or a security \
             module can withhold them from root"
        }
        Some(Errno::ENOMEM) => {
            "free memory; the memory limit of a container or of a unit (MemoryMax) counts as well"
        }
        Some(Errno::ENOSPC | Errno::EDQUOT) => {
            "make room: df -h /run /sys/fs/bpf; watched files have a limit of their own, sysctl \
             fs.inotify.max_user_watches"
        }
        Some(Errno::EMFILE | Errno::ENFILE) => {
            "raise the limit of open files: ulimit -n, or LimitNOFILE in the unit"
        }
        Some(Errno::EROFS) => "mount the file system with the option rw",
        Some(Errno::ENODEV | Errno::ENXIO) => {
            "look for the interface: ip link; run the command again once the interface is back"
        }
        Some(Errno::EBUSY) => {
            "find the program that holds the hook: bpftool net, bpftool link; run the command \
             again once the hook is free"
        }
        Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::ENETDOWN) => {
            "ask the kernel for the route: ip route get ADDRESS"
        }
        _ => {
            "rewrite status shows what is attached now; with --verbose, the command logs each of \
             its steps"
        }
    }
}

/// True if the error's chain contains an I/O error of this kind.
#[must_use]
pub fn is_io(error: &(dyn std::error::Error + 'static), kind: io::ErrorKind) -> bool {
    anyhow::Chain::new(error)
        .any(|link| link.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: impl Into<anyhow::Error>) -> String {
        Error::kernel("adding 10.0.0.1 to lo", source).to_string()
    }

    #[test]
    fn an_answer_of_the_kernel_comes_with_its_remedy() {
        let refused = text(io::Error::from_raw_os_error(1));
        assert!(
            refused.contains("Operation not permitted") && refused.contains("as root"),
            "{refused}"
        );
        assert!(text(Errno::EMFILE).contains("LimitNOFILE"));
        let wrapped =
            anyhow::Error::new(io::Error::from_raw_os_error(28)).context("writing /run/x");
        assert!(text(wrapped).contains("df -h"));
    }

    #[test]
    fn an_error_without_a_number_has_a_remedy_as_well() {
        let text = text(anyhow::anyhow!("the netlink socket is closed"));
        assert!(text.ends_with("the command logs each of its steps"), "{text}");
    }

    #[test]
    fn the_answer_of_the_kernel_is_the_source() {
        let error = Error::kernel("x", io::Error::from_raw_os_error(1));
        let source = std::error::Error::source(&error).and_then(|s| s.downcast_ref::<io::Error>());
        assert_eq!(source.and_then(io::Error::raw_os_error), Some(1));
    }
}
