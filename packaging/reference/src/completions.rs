//! Writes completions of the command line for bash, zsh and fish, under the names that these shells look for.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::Command;
use clap_complete::{Shell, generate};

/// The shells, and the names of their files.
const FILES: [(Shell, &str); 3] =
    [(Shell::Bash, "rewrite"), (Shell::Zsh, "_rewrite"), (Shell::Fish, "rewrite.fish")];

/// Writes a file for each shell to `folder`.
pub fn write(folder: &Path, mut command: Command) -> Result<()> {
    for (shell, name) in FILES {
        let mut script = Vec::new();
        generate(shell, &mut command, "rewrite", &mut script);
        let path = folder.join(name);
        fs::write(&path, script).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use tunnel_user::cli::Cli;

    use super::*;

    #[test]
    fn every_shell_completes_every_verb() {
        for (shell, name) in FILES {
            let mut script = Vec::new();
            let mut command = Cli::command();
            generate(shell, &mut command, "rewrite", &mut script);
            let script = String::from_utf8(script).expect("a script is text");
            for verb in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
                assert!(script.contains(verb.get_name()), "{name} lacks {}", verb.get_name());
            }
        }
    }
}
