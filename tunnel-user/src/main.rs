//! The process of the binary `rewrite`: its log, its network namespace, its runtime, and its exit code.

mod dispatch;
mod output;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;
use tunnel_user::cli::{Cli, Command};
use tunnel_user::error::{Context as _, Error};
use tunnel_user::host::network_namespace;

use output::suggested_commands::{self, completed};

// netlink_proto warns of the rest of an answer that a command no longer needs.

/// The log filter without --verbose.
const QUIET: &str = "warn,netlink_proto=error,tunnel_user::ops::upgrade=info";
/// The log filter of a daemon: also logs the daemon's steps and their reasons.
const DAEMON: &str = "warn,netlink_proto=error,tunnel_user=info";
/// The log filter with --verbose: debug messages of this program and of the programs in the kernel, but not of
/// libraries.
const VERBOSE: &str = "warn,netlink_proto=error,tunnel_user=debug,rewrite=debug";

fn main() -> ExitCode {
    let cli = Cli::parse();
    suggested_commands::set(suggested_commands::CommandLineOptions::of(&cli));
    let filter = EnvFilter::new(match cli.command {
        _ if cli.verbose => VERBOSE,
        Command::Run { .. } => DAEMON,
        _ => QUIET,
    });
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_env_filter(filter)
        .without_time()
        .init();
    match run(cli) {
        Ok(code) => code,
        Err(failure) => {
            // The stream drops the colours if it is no terminal, or if NO_COLOR is set.
            anstream::eprintln!("rewrite: {}", completed(&failure.styled().to_string()));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Error> {
    // Enter the namespace before the runtime starts threads: only the calling thread enters it, and later threads
    // inherit it.
    if let Some(name) = &cli.netns {
        network_namespace::enter(name)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context(|| "starting the runtime".into())?;
    let result = runtime.block_on(dispatch::run(cli));
    // Do not wait for a thread whose read hangs in a file system.
    runtime.shutdown_background();
    result
}
