//! Defines the arguments of `run` that concern the hooks, which the daemon runs at events.

use std::path::PathBuf;
use std::time::Duration;

use crate::ops::hook_queues::Options;
use clap::Args;

use super::metrics::{absolute, seconds};

/// The arguments of `run` that concern the hooks.
#[derive(Args, Debug)]
pub struct HooksArgs {
    /// The folder whose executables run at each event of `rewrite events`, if only root can write to them
    #[arg(long, value_name = "DIR", default_value = "/etc/rewrite/hooks.d", value_parser = absolute)]
    pub hooks: PathBuf,
    /// The longest time for which a hook runs, such as 30s
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = seconds)]
    pub hook_timeout: Duration,
}

impl HooksArgs {
    /// The options of the hooks.
    pub fn options(self) -> Options {
        Options { folder: self.hooks, limit: self.hook_timeout }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Command};
    use super::*;

    #[test]
    fn hooks_have_a_folder_and_a_limit_without_options() {
        let cli = Cli::try_parse_from(["rewrite", "run", "eth0"]).unwrap();
        let Command::Run { hooks, .. } = cli.command else { panic!("another command") };
        let folder = "/etc/rewrite/hooks.d".into();
        assert_eq!(hooks.options(), Options { folder, limit: Duration::from_secs(30) });
    }

    #[test]
    fn a_limit_below_a_second_is_refused() {
        assert!(Cli::try_parse_from(["rewrite", "run", "eth0", "--hook-timeout", "0s"]).is_err());
    }
}
