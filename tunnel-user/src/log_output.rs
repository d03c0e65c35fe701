//! Sends the log to the journal, with its fields, if standard error is a stream of the journal; else to standard error,
//! as plain lines.

use std::env;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;

use anstream::adapter::strip_str;
use nix::sys::stat::{FileStat, fstat};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tunnel_user::cli::{Cli, Command};
use tunnel_user::ops::events::LOG_TARGET;

// netlink_proto warns of the rest of an answer that a command no longer needs.

/// The log filter without --verbose.
const QUIET: &str = "warn,netlink_proto=error,tunnel_user::ops::upgrade=info";
/// The log filter of a daemon: also logs the daemon's steps and their reasons.
const DAEMON: &str = "warn,netlink_proto=error,tunnel_user=info";
/// The log filter with --verbose: debug messages of this program and of the programs in the kernel, but not of
/// libraries.
const VERBOSE: &str = "warn,netlink_proto=error,tunnel_user=debug,rewrite=debug";
/// What precedes the names of the fields in the journal, as in the variables of hooks.
const PREFIX: &str = "REWRITE";
/// Begins a line of standard error that the journal stores as an error (sd-daemon(3)).
const AS_ERROR: &str = "<3>";

/// The place of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogOutput {
    /// The journal.
    Journal,
    /// Standard error.
    Lines,
}

impl LogOutput {
    /// Starts the log of this process.
    pub fn start(cli: &Cli) -> Self {
        let filter = match cli.command {
            _ if cli.verbose => VERBOSE,
            Command::Run { .. } => DAEMON,
            _ => QUIET,
        };
        if is_journal()
            && let Ok(journal) = tracing_journald::layer()
        {
            // In plain lines, the messages of the daemon's steps say the same as the events.
            let filter = EnvFilter::new(format!("{filter},{LOG_TARGET}=info"));
            let journal = journal.with_field_prefix(Some(PREFIX.into()));
            tracing_subscriber::registry().with(filter).with(journal).init();
            return Self::Journal;
        }
        let lines = fmt::layer()
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal())
            .without_time();
        tracing_subscriber::registry().with(EnvFilter::new(filter)).with(lines).init();
        Self::Lines
    }

    /// Prints the failure of the command.
    pub fn failure(self, text: &str) {
        match self {
            Self::Journal => {
                let plain = strip_str(text).to_string();
                for line in format!("rewrite: {plain}").lines() {
                    eprintln!("{AS_ERROR}{line}");
                }
            }
            // The stream drops the colours if it is no terminal, or if NO_COLOR is set.
            Self::Lines => anstream::eprintln!("rewrite: {text}"),
        }
    }
}

/// True if systemd has connected standard error to the journal (systemd.exec(5), `$JOURNAL_STREAM`).
fn is_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else { return false };
    fstat(io::stderr().as_fd()).is_ok_and(|file| is_stream(&stream, &file))
}

fn is_stream(stream: &str, file: &FileStat) -> bool {
    let numbers = stream.split_once(':').map(|(device, inode)| (device.parse(), inode.parse()));
    numbers == Some((Ok(file.st_dev), Ok(file.st_ino)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_known_by_its_device_and_its_inode() {
        let file = fstat(io::stderr().as_fd()).unwrap();
        let (device, inode) = (file.st_dev, file.st_ino);
        assert!(is_stream(&format!("{device}:{inode}"), &file));
        for other in
            [format!("{device}:{}", inode + 1), format!("{}:{inode}", device + 1), "7".into()]
        {
            assert!(!is_stream(&other, &file), "{other}");
        }
    }
}
