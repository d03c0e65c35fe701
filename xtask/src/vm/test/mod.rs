//! Runs `rewrite` and its tests on other kernels. The guest contains the release binary, the tests, and the
//! programs that the tests call.

mod binaries;
mod console;
mod runs;

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::panic;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use indicatif::MultiProgress;

use super::cpio::Files;
use super::initramfs;
use super::kernel::Kernel;
use super::machine::{Clock, Machine, Outcome};
use console::Console;
use runs::Suite;

use crate::architecture::Architecture;
use crate::previous;
pub use runs::{DRIVERS, KERNELS};

const GUEST: &str = include_str!("guest.sh");
const PROCESSORS: u8 = 2;
const LIMIT: Duration = Duration::from_secs(2400);

/// Boots the newest kernel of each series, and runs a suite on it, or only the suite's tests whose names
/// contain one of the filters. Keeps downloads and results below `target/vm`.
///
/// # Errors
/// When a kernel is not available, or a test fails on a kernel. The tests still run on the other kernels.
pub fn run(suite: &Suite, binary: &Path, series: &[String], filters: &[String]) -> Result<()> {
    let folder = super::folder()?;
    let common = common(suite, binary, &folder, filters)?;
    let kernels = super::kernels(&folder, Architecture::X86_64, series, suite.flavour);

    println!("{:<28} {:<7} {:>6} {:>8}", "kernel", "hook", "passed", "seconds");
    let todo = Mutex::new(series.iter().zip(kernels).collect::<VecDeque<_>>());
    let failed = Mutex::new(Vec::new());
    let bars = MultiProgress::new();
    let work = || {
        while let Some((series, kernel)) = take(&todo) {
            let mut report = String::new();
            let tested = kernel
                .and_then(|kernel| test(suite, &kernel, &common, &folder, &bars, &mut report));
            if let Err(error) = tested {
                let _ = writeln!(report, "{series}: FAILED: {error:#}");
                failed.lock().unwrap_or_else(PoisonError::into_inner).push(series.as_str());
            }
            // Print the report in one piece, because other threads also print. The progress bars are hidden
            // meanwhile.
            bars.suspend(|| print!("{report}"));
        }
    };
    // qemu runs all processors of a machine in one thread (`tcg,thread=single`), so start at most one machine per
    // processor of this host.
    let machines = thread::available_parallelism().map_or(1, usize::from).min(series.len());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..machines).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !failed.is_empty() {
        bail!("failed on {} of {} kernels: {}", failed.len(), series.len(), failed.join(", "));
    }
    Ok(())
}

fn take<T>(todo: &Mutex<VecDeque<T>>) -> Option<T> {
    todo.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// The guest's files, which are the same for every kernel.
///
/// # Errors
/// When a file is missing, or the suite names a test that does not exist.
fn common(suite: &Suite, binary: &Path, folder: &Path, filters: &[String]) -> Result<Files> {
    let mut files = initramfs::common(GUEST, &[])?;
    initramfs::add_built(&mut files, folder, binary, "usr/bin/rewrite")?;
    // The upgrade tests start from the previous version.
    initramfs::add_built(&mut files, folder, &previous::binary()?, "usr/bin/rewrite-previous")?;
    let binaries = binaries::build()?;
    let mut list = String::new();
    for run in suite.runs {
        let Some(line) = runs::line(run, filters) else {
            continue;
        };
        let program = binaries
            .get(run.binary)
            .with_context(|| format!("the package tests has no test {}", run.binary))?;
        binaries::require_tests(program, run)?;
        let at = format!("tests/{}", run.binary);
        initramfs::add_built(&mut files, folder, program, &at)?;
        list.push_str(&line);
    }
    ensure!(!list.is_empty(), "no test has one of these words in its name: {}", filters.join(" "));
    files.text("runs", list);
    let drivers: BTreeSet<_> = suite.nics.iter().map(|nic| nic.driver()).collect();
    files.text("drivers", drivers.iter().map(|driver| format!("{driver}\n")).collect::<String>());
    Ok(files)
}

/// Boots a kernel and runs the whole suite; `report` gets the result.
fn test(
    suite: &Suite,
    kernel: &Kernel,
    common: &Files,
    folder: &Path,
    bars: &MultiProgress,
    report: &mut String,
) -> Result<()> {
    let machine = Machine {
        name: format!("{}{}", kernel.series, suite.suffix),
        kernel,
        files: common,
        processors: PROCESSORS,
        nics: suite.nics,
        clock: Clock::Host,
        limit: LIMIT,
    };
    let Outcome { console, ended, output } = machine.boot(folder, bars, Console::default())?;
    writeln!(
        report,
        "{:<28} {:<7} {:>6} {:>8.1}",
        console.release.as_deref().unwrap_or(&kernel.release),
        console.hook.as_deref().unwrap_or("-"),
        console.passed,
        console.seconds,
    )?;
    for run in &console.runs {
        writeln!(report, "  {:<42} {:>8.1}", run.binary, run.seconds)?;
    }
    for reason in &console.skipped {
        writeln!(report, "  skipped: {reason}")?;
    }
    let verdict = ended.and_then(|()| console.verdict());
    if verdict.is_err() {
        write!(report, "{output}")?;
    }
    verdict
}
