//! Writes the files of the packages that follow from the code: `reference DIR` writes manual pages to `DIR/man`,
//! completions to `DIR/completions`, and the schema of the cluster file to `DIR/cluster.schema.json`.
//!
//! The binary `rewrite` contains none of this code.

mod completions;
mod manual;
mod schema;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{CommandFactory as _, Parser};
use tunnel_user::cli::Cli;

/// Writes the manual pages, the completions and the schema of the cluster file.
#[derive(Parser)]
#[command(
    name = "reference",
    after_help = "Examples:\n  cargo run --package reference -- target/reference"
)]
struct Arguments {
    /// The folder; missing folders are made
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

fn main() -> ExitCode {
    match write(&Arguments::parse().folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("reference: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &Path) -> Result<()> {
    let command = Cli::command().disable_help_subcommand(true);
    manual::write(&folder_within(folder, "man")?, command.clone())?;
    completions::write(&folder_within(folder, "completions")?, command)?;
    let path = folder.join("cluster.schema.json");
    fs::write(&path, schema::text()?).with_context(|| format!("writing {}", path.display()))
}

fn folder_within(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
    Ok(path)
}
