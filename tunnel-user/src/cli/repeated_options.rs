//! Picks the options of the command line that suggested commands repeat.

use std::path::{Path, PathBuf};

use tunnel_user::config::DEFAULT_PATH;

use super::{Cli, Command};
use crate::output::suggested_commands::CommandLineOptions;

impl Cli {
    /// The options of this command line that suggested commands repeat. A file that this command writes is the file of
    /// the suggested commands.
    pub fn repeated_options(&self) -> CommandLineOptions {
        let (config, self_names): (Option<&PathBuf>, &[String]) = match &self.command {
            Command::Attach(args) => (Some(&args.attach.config), &args.attach.self_names),
            Command::Run { attach, .. } => (Some(&attach.config), &attach.self_names),
            Command::Apply(args) => (Some(&args.config), &args.self_names),
            Command::Explain(args) => (Some(&args.config), &[]),
            Command::Diff { config, self_names, .. }
            | Command::Check { config, self_names, .. } => (Some(config), self_names),
            Command::Import(args) => (args.out.as_ref(), &[]),
            Command::Init(args) => (Some(&args.out), &[]),
            _ => (None, &[]),
        };
        let config = config.filter(|config| config.as_path() != Path::new(DEFAULT_PATH));
        CommandLineOptions {
            netns: self.netns.clone(),
            config: config.map(|config| config.display().to_string()),
            self_names: self_names.to_vec(),
        }
    }
}
