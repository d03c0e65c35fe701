//! What a command says when it can't do what it was asked.

use std::fmt;
use std::io;

use crate::config::{ConfigError, NoNetwork};

/// Why a command failed: what happened, to what, and what to do about it.
#[derive(Debug)]
pub enum Failure {
    /// The file, or the addresses on the command line, can't be used.
    Configuration(ConfigError),
    /// The command does not fit what is: a name, an interface, an address that is not there.
    Refused {
        /// What happened, and to what.
        what: String,
        /// What to do.
        help: String,
    },
    /// This host can't run it: no privileges, no bpffs, a kernel without a feature.
    Host {
        /// What happened, and to what.
        what: String,
        /// What to do.
        help: String,
    },
    /// The pins are not ours, or not of this version's shape.
    Pins {
        /// What happened, and to what.
        what: String,
        /// What to do.
        help: String,
    },
    /// The kernel refused a step that should have worked.
    Kernel {
        /// The step, and on what.
        what: String,
        /// The kernel's answer.
        source: anyhow::Error,
    },
    /// A signal came; what had been done was undone.
    Interrupted,
    /// A signal came; what had been done stays, as a detach is never undone.
    Stopped {
        /// The things that are done, and those that are not.
        what: String,
        /// The remedy.
        help: String,
    },
}

impl Failure {
    /// The process's exit code; documented in docs/command-line.md. 2 is clap's, for wrong usage.
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

    /// [`Self::Refused`].
    pub fn refused(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Refused { what: what.into(), help: help.into() }
    }

    /// [`Self::Host`].
    pub fn host(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Host { what: what.into(), help: help.into() }
    }

    /// [`Self::Pins`].
    pub fn pins(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Pins { what: what.into(), help: help.into() }
    }

    /// [`Self::Kernel`].
    pub fn kernel(what: impl Into<String>, source: impl Into<anyhow::Error>) -> Self {
        Self::Kernel { what: what.into(), source: source.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(error) => error.fmt(f),
            Self::Refused { what, help }
            | Self::Host { what, help }
            | Self::Pins { what, help } => {
                write!(f, "{what}\n  help: {help}")
            }
            Self::Kernel { what, source } => write!(f, "{what}: {source:#}"),
            Self::Interrupted => f.write_str("interrupted; what had been done was undone"),
            Self::Stopped { what, help } => write!(f, "interrupted; {what}\n  help: {help}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Configuration(error)
    }
}

impl From<NoNetwork> for Failure {
    fn from(NoNetwork { what, help }: NoNetwork) -> Self {
        Self::refused(what, help)
    }
}

/// Says on what an I/O operation failed.
pub trait Context<T> {
    /// Turns the error into [`Failure::Kernel`].
    ///
    /// # Errors
    /// The error itself, with what was tried.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> Context<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::kernel(what(), error))
    }
}

/// Whether an error comes down to this I/O error.
#[must_use]
pub fn is_io(error: &(dyn std::error::Error + 'static), kind: io::ErrorKind) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == kind) {
            return true;
        }
        next = error.source();
    }
    false
}
