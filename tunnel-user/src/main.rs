//! The process of the binary `rewrite`: its log, its network namespace, its runtime, and its exit code.

mod dispatch;
mod log_output;
mod output;

use std::process::ExitCode;

use clap::Parser as _;
use tunnel_user::cli::Cli;
use tunnel_user::error::{Context as _, Error};
use tunnel_user::host::network_namespace;

use log_output::LogOutput;
use output::suggested_commands::{self, completed};

fn main() -> ExitCode {
    let cli = Cli::parse();
    suggested_commands::set(suggested_commands::CommandLineOptions::of(&cli));
    let log = LogOutput::start(&cli);
    match run(cli) {
        Ok(code) => code,
        Err(failure) => {
            log.failure(&completed(&failure.styled().to_string()));
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
