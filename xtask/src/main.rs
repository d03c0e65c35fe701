//! `cargo xtask`: set-up, build, demonstration and tests in one command each.

mod architecture;
mod bench;
mod boot;
mod build;
mod cargo;
mod demonstration;
mod fuzz;
mod interrupt;
mod lint;
mod lock;
mod made_once;
mod managers;
mod mutants;
mod package;
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

use architecture::Architecture;
use setup::Purpose;

/// Set-up, build, demonstration and tests of `rewrite`.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "\
Examples:
  cargo xtask run                             set up, build, and demonstrate the main job
  cargo xtask run -- attach eth0              the real command, freshly built
  cargo xtask test                            all tests
  cargo xtask test -- --test packet_table     arguments after -- go to cargo test
  cargo xtask vm 5.10 6.12                    the kernel tests, on two of Debian's kernels
  cargo xtask vm 6.12 -- sctp:: tunnels::     only tests whose names contain one of these words
  cargo xtask vm --drivers 6.12               the packet path through e1000e, vmxnet3 and virtio
  cargo xtask managers NetworkManager         a network manager's effect on an attached interface
  cargo xtask mutants --sample 100 decide     100 mutants of the decisions, and whether a test fails
  cargo xtask package                         .deb, .rpm, tar.gz and OCI image, in target/packages
  cargo xtask package --architecture aarch64 --try   the same for aarch64, and tries the .deb in an emulated machine
  cargo xtask package --try bookworm          the same, and tries them on a Debian release
  cargo xtask package --of-host --try bookworm   a quick check of contents and scripts
  cargo xtask boot                            the .deb on two booted Debian systems: the whole story
  cargo xtask bench                           rewrite's cost, beside its alternatives' cost
  cargo xtask bench --vm 6.12                 the same on one of Debian's kernels, as ratios"
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install the build's requirements, and print the reasons; --all adds the tests' requirements
    Setup {
        /// Also the requirements of the demonstration and the tests
        #[arg(long)]
        all: bool,
    },
    /// Build the release binary, target/release/rewrite
    Build,
    /// Demonstrate the main job in a lab of network namespaces; with arguments after --, run `rewrite` itself
    Run {
        /// The arguments of a `rewrite` command
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Build the previous version for the upgrade tests, and print its path
    Previous,
    /// Run all tests, or pass the arguments after -- to cargo test
    Test {
        /// Arguments for cargo test
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Boot Debian's kernels in software emulation, and run the kernel tests on each
    Vm {
        /// Series of kernels
        #[arg(value_name = "KERNEL", default_values = ["5.10", "6.1", "6.12", "7.2"])]
        kernels: Vec<String>,
        /// Test the drivers of real network interfaces instead
        #[arg(long)]
        drivers: bool,
        /// Only tests whose names contain one of these words
        #[arg(last = true)]
        tests: Vec<String>,
    },
    /// Boot real network managers, and test an attached interface under each
    Managers {
        /// Managers whose names contain one of these words; by default all
        #[arg(value_name = "WORD")]
        words: Vec<String>,
    },
    /// Fuzz the parsers of external input, by default for a minute per target
    Fuzz {
        /// Seconds for each target
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Targets; by default all
        #[arg(value_name = "TARGET")]
        targets: Vec<String>,
    },
    /// Measure the cost of rewrite and its alternatives, in less than five minutes; see `cargo xtask bench --help`
    #[command(disable_help_flag = true)]
    Bench {
        /// The arguments of the measurements: --full, --only SUITE, --vm KERNEL, --help
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Break the pure code in one place at a time, and check that a test fails; takes hours, or minutes with --sample
    Mutants {
        /// Try only about this number of mutants
        #[arg(long, value_name = "NUMBER")]
        sample: Option<usize>,
        /// The seed that selects the sample
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        seed: usize,
        /// Only files whose paths contain one of these words: checksum, decide, parse, config, plan, trial
        #[arg(value_name = "WORD")]
        words: Vec<String>,
    },
    /// Build the packages: .deb, .rpm, tar.gz and OCI image of a static binary
    Package {
        /// The folder for the packages
        #[arg(long, value_name = "DIR", default_value = "target/packages")]
        out: PathBuf,
        /// The architecture of the hosts that run the binary; the build itself runs on this host
        #[arg(long, value_name = "NAME", default_value = "x86_64")]
        architecture: Architecture,
        /// Pack the binary of `cargo xtask build` instead, in target/package/of-host: a check of contents and scripts
        #[arg(long, conflicts_with_all = ["out", "architecture", "check_reproducible"])]
        of_host: bool,
        /// Build a second time in other folders, and compare the bytes
        #[arg(long)]
        check_reproducible: bool,
        /// Then install and run them on these Debian releases; without names, on Debian 11, 12 and 13, for aarch64 on 12
        /// and 13 in an emulated machine
        #[arg(long = "try", value_name = "RELEASE", num_args = 0..)]
        releases: Option<Vec<String>>,
    },
    /// Boot two Debian systems in software emulation, and prove the .deb there: the README's story, the daemon, an upgrade,
    /// a reboot and a purge
    Boot {
        /// Pack the binary of `cargo xtask build` instead of the static one
        #[arg(long)]
        of_host: bool,
    },
    /// Check the formatting, and run the lints; every finding is an error
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
        Task::Mutants { sample, seed, words } => {
            setup::require(&[Purpose::Build, Purpose::Mutants])?;
            mutants::run(sample, seed, &words)
        }
        Task::Package { out, architecture, of_host, check_reproducible, releases } => {
            let request = match of_host {
                true => package::Request::OfHost,
                false => package::Request::Static { architecture, out, check_reproducible },
            };
            let mut purposes = request.purposes();
            if releases.is_some() {
                purposes.push(Purpose::TryPackage(architecture));
            }
            setup::require(&purposes)?;
            let packages = package::run(&request)?;
            match releases {
                Some(releases) => package::try_out::run(&packages, &releases),
                None => Ok(()),
            }
        }
        Task::Boot { of_host } => {
            let request = match of_host {
                true => package::Request::OfHost,
                false => package::Request::Static {
                    architecture: Architecture::X86_64,
                    out: PathBuf::from("target/packages"),
                    check_reproducible: false,
                },
            };
            let mut purposes = request.purposes();
            purposes.push(Purpose::Boot);
            setup::require(&purposes)?;
            boot::run(&package::run(&request)?)
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
