//! Implements `cargo xtask bench`, which measures rewrite's cost and the alternatives' cost in the same run.
//!
//! A suite is a group of measurements and returns tables. The program prints each table as soon as the suite
//! has ended, and writes all tables as JSON and as a plot at the end.

mod attaching;
mod cpu_noise;
mod daemon;
mod empty_program;
mod end_to_end;
mod growth;
mod idle_peers;
mod interrupt;
mod load;
mod loader;
mod per_packet;
mod processor;
mod progress;
mod raw_program;
mod real_path;
mod report;
mod rounds;
mod suite;
mod text_file;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;

use cpu_noise::CpuNoise;
use report::{Report, machine, plot, print};
use suite::{Effort, Setting, Suite};
use testkit::rewrite_command::Rewrite;

/// Measures rewrite and its alternatives.
#[derive(Parser)]
#[command(
    name = "cargo xtask bench",
    bin_name = "cargo xtask bench",
    after_help = "\
Option of cargo xtask:
      --vm <KERNEL>   Boot a Debian kernel of this series in a virtual machine, and run the suite
                      end-to-end there, with kernel tunnels that this host may lack

Examples:
  cargo xtask bench                      everything, in less than five minutes
  cargo xtask bench --full               more rounds, and longer ones
  cargo xtask bench --only per-packet    one suite
  cargo xtask bench --patient 30         on a shared machine: up to half an hour longer
  cargo xtask bench --vm 6.12            only ratios, on an emulated processor: a few minutes"
)]
struct Cli {
    /// Measure more and longer rounds
    #[arg(long)]
    full: bool,
    /// Spend up to this many more minutes to wait for a quiet processor and to repeat disturbed samples
    #[arg(long, value_name = "MINUTES", default_value_t = 0)]
    patient: u32,
    /// Run only these suites
    #[arg(long, value_name = "SUITE", value_enum)]
    only: Vec<Suite>,
    /// The folder for report.json and plot.svg
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let effort = if cli.full { Effort::Full } else { Effort::Short };
    let machine = machine::describe()?;
    let (rewrite, emulated) = (Rewrite::locate()?, machine.is_emulated());
    println!("{machine}");
    let cpu_noise = CpuNoise::find(Duration::from_mins(cli.patient.into()))?;
    let setting = Setting { effort, rewrite, emulated, cpu_noise };
    let mut tables = Vec::new();
    for suite in Suite::chosen(&cli.only) {
        for table in suite.run(&setting).with_context(|| format!("suite {suite:?}"))? {
            println!("\n{}", print::table(&table));
            tables.push(table);
        }
    }
    let report = Report { machine, disturbance: setting.cpu_noise.disturbance(), tables };
    println!("\n{}", report.disturbance);
    std::fs::create_dir_all(&cli.out).with_context(|| format!("create {}", cli.out.display()))?;
    let json = cli.out.join("report.json");
    let text = serde_json::to_string_pretty(&report).context("write JSON")?;
    std::fs::write(&json, text).with_context(|| format!("write {}", json.display()))?;
    let svg = cli.out.join("plot.svg");
    plot::write(&report, &svg)?;
    println!("\nwrote {} and {}", json.display(), svg.display());
    Ok(())
}
