//! Runs long commands. Shows a spinner on a terminal and nothing in a pipe; a failure's error contains the command's
//! whole output.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// Shows `what` and the elapsed time on a terminal, until the value is cleared or dropped.
pub fn spinner(what: &str) -> Result<ProgressBar> {
    // The spinner draws nothing if standard error is not a terminal.
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    bar.set_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})")?);
    bar.enable_steady_tick(Duration::from_millis(120));
    Ok(bar)
}

/// Runs `command` until it ends. The progress line shows `what`.
pub fn run(what: &str, command: &mut Command) -> Result<()> {
    let bar = spinner(what)?;
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("starting {command:?}"));
    bar.finish_and_clear();
    let output = output?;
    if !output.status.success() {
        bail!(
            "{what}: {command:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
