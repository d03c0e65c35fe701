//! `cargo xtask`: set-up, build, demonstration and tests in one command each.

mod bench;
mod build;
mod cargo;
mod demonstration;
mod fuzz;
mod lint;
mod managers;
mod previous;
mod progress;
mod setup;
mod test;
mod vm;

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use setup::Purpose;

/// Set-up, build, demonstration and tests of `rewrite`.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "\
Examples:
  cargo xtask run                             set up, build, and see the main job done
  cargo xtask run -- attach eth0              the real command, freshly built
  cargo xtask test                            all tests
  cargo xtask test -- --test packet_table     what follows goes to cargo test
  cargo xtask vm 5.10 6.12                    what must hold, on two of Debian's own kernels
  cargo xtask vm 6.12 -- sctp:: tunnels::     the tests among it whose names hold one of these words
  cargo xtask vm --drivers 6.12               the packet path through e1000e, vmxnet3 and virtio
  cargo xtask managers NetworkManager         what a network manager does to an attached interface
  cargo xtask bench                           what it costs, beside what one would take instead
  cargo xtask bench --vm 6.12                 the same on one of Debian's own kernels, as ratios"
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what building takes, and say what and why; --all for what tests take as well
    Setup {
        /// Also what the demonstration and the tests take
        #[arg(long)]
        all: bool,
    },
    /// Leave the release binary at target/release/rewrite
    Build,
    /// Show the main job in a lab of network namespaces; with words behind --, run `rewrite` itself
    Run {
        /// The words of a `rewrite` command
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Build the version before, which tests of an upgrade begin with, and print its path
    Previous,
    /// Run all tests, or those that the words behind -- tell cargo test to
    Test {
        /// Words for cargo test
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Boot Debian's own kernels in software emulation, and run what must hold on each
    Vm {
        /// Series of kernels
        #[arg(value_name = "KERNEL", default_values = ["5.10", "6.1", "6.12", "7.2"])]
        kernels: Vec<String>,
        /// With the drivers of real network interfaces, in place of what must hold on each kernel
        #[arg(long)]
        drivers: bool,
        /// The tests whose names hold one of these words
        #[arg(last = true)]
        tests: Vec<String>,
    },
    /// Boot real network managers, and see what they do to an attached interface
    Managers {
        /// Managers whose names hold one of these words; all without words
        #[arg(value_name = "WORD")]
        words: Vec<String>,
    },
    /// Fuzz what is read from others: a minute for each target, unless told otherwise
    Fuzz {
        /// For each target
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Targets; all if there are none
        #[arg(value_name = "TARGET")]
        targets: Vec<String>,
    },
    /// Measure what rewrite costs beside its alternatives, in less than five minutes; see --help behind --
    #[command(disable_help_flag = true)]
    Bench {
        /// The words of the measurements: --full, --only SUITE, --vm KERNEL, --help
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Formatting and lints, as errors
    Lint,
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Setup { all } => setup::require(if all { Purpose::ALL } else { &[Purpose::Build] }),
        Task::Build => {
            setup::require(&[Purpose::Build])?;
            let binary = build::release()?;
            println!("built {}", binary.display());
            Ok(())
        }
        Task::Run { arguments } if arguments.is_empty() => {
            setup::require(&[Purpose::Demonstrate])?;
            demonstration::run(&build::release()?)
        }
        Task::Run { arguments } => {
            setup::require(&[Purpose::Build])?;
            let binary = build::release()?;
            Err(Command::new(&binary).args(arguments).exec())
                .with_context(|| format!("running {}", binary.display()))
        }
        Task::Previous => {
            setup::require(&[Purpose::Build])?;
            println!("{}", previous::binary()?.display());
            Ok(())
        }
        Task::Test { arguments } => {
            setup::require(&[Purpose::Test])?;
            test::run(&build::release()?, &arguments)
        }
        Task::Vm { kernels, drivers, tests } => {
            setup::require(&[Purpose::Vm])?;
            let suite = if drivers { &vm::test::DRIVERS } else { &vm::test::KERNELS };
            vm::test::run(suite, &build::release()?, &kernels, &tests)
        }
        Task::Managers { words } => {
            setup::require(&[Purpose::Managers])?;
            managers::run(&build::release()?, &words)
        }
        Task::Fuzz { seconds, targets } => {
            setup::require(&[Purpose::Build])?;
            fuzz::run(seconds, &targets)
        }
        Task::Bench { arguments } => {
            let request = bench::Request::parse(arguments)?;
            setup::require(match request.kernel {
                Some(_) => &[Purpose::Bench, Purpose::Vm],
                None => &[Purpose::Bench],
            })?;
            bench::run(&build::release()?, &request)
        }
        Task::Lint => {
            setup::require(&[Purpose::Build, Purpose::Lint])?;
            lint::run()
        }
    }
}

/// The root of the workspace.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
