//! Formats and prints the output of the commands as text and as JSON, shows progress, and translates the messages of
//! the eBPF programs.

pub mod attach;
mod bpf_log;
pub mod check;
pub mod detach;
pub mod diff;
pub mod doctor;
pub mod downgrade;
pub mod dry_run;
pub mod events;
pub mod explain;
pub mod import;
mod pcapng;
pub mod peers;
pub mod ping;
pub mod progress;
pub mod stats;
pub mod status;
mod status_beside;
mod style;
pub mod suggested_commands;
pub mod text;
pub mod top;
pub mod trace;
pub mod trial;
pub mod typed_command;
pub mod watch;

use std::io::{self, Write as _};

use serde::Serialize;
use tunnel_user::error::{Context as _, Error};

/// Formats a value as JSON, for other programs.
pub fn as_json(value: &impl Serialize) -> Result<String, Error> {
    let mut text = serde_json::to_string_pretty(value).context(|| "writing JSON".into())?;
    text.push('\n');
    Ok(text)
}

/// Prints text for people to stdout, with the options of this command line in the suggested commands.
pub fn print_text(text: &str) -> Result<(), Error> {
    print(&suggested_commands::completed(text))
}

/// Prints to stdout. Removes the text's colours if stdout is not a terminal, or if NO_COLOR is set. A closed pipe is
/// not an error: `rewrite stats | head`.
pub fn print(text: &str) -> Result<(), Error> {
    match anstream::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context(|| "writing to stdout".into()),
    }
}
