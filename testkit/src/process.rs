//! Child processes: what they printed, or an error that says which command failed, how, and why.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a command to its end and returns what it wrote to its standard output.
///
/// # Errors
/// When it can't be started, or ends with another status than 0; the error holds the command, the
/// status and its standard error.
pub fn run(command: &mut Command) -> Result<String> {
    let line = command_line(command);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("start `{line}`"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed with {}: {} {}", output.status, stderr.trim(), stdout.trim());
    }
    Ok(stdout)
}

/// The command as one would type it.
#[must_use]
pub fn command_line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
