//! Runs cargo in the workspace.

use std::env;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::workspace;

/// A command for the cargo that runs this program. The command runs in the workspace's root.
pub fn command() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    // Remove the variables of xtask's own build.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_")) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command until it ends, and shows its output on this terminal.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
