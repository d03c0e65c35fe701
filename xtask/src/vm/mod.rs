//! The product and its tests on other kernels: Debian's own, each booted in a virtual machine with
//! nothing in it but the release binary, the tests, and the programs that they call.

mod archive;
mod console;
mod cpio;
mod initramfs;
mod kernel;
mod machine;
mod modules;
mod package;
mod programs;
mod runs;
mod shared_libraries;
mod test_binaries;

use std::collections::VecDeque;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::panic;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};

use crate::workspace;
use archive::Archive;
use cpio::Files;
use indicatif::MultiProgress;
use kernel::Kernel;
use machine::Outcome;

/// As much of the kernel's own words as is shown when something failed.
const KERNEL_LINES: usize = 60;

/// Boots the newest kernel of each series, and runs [`runs::RUNS`] on it. What is fetched and made is kept
/// below `target/vm`.
///
/// # Errors
/// When a kernel can't be had, or anything failed on one; the others are tried all the same.
pub fn run(binary: &Path, series: &[String]) -> Result<()> {
    ensure!(
        env::consts::ARCH == "x86_64",
        "the guest runs the programs of this host, and the kernels are for x86_64"
    );
    let folder = workspace().join("target/vm");
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let common = initramfs::common(binary, &folder)?;
    let kernels = kernels(&folder, series);

    println!("{:<28} {:<7} {:>6} {:>8}", "kernel", "hook", "passed", "seconds");
    let todo = Mutex::new(series.iter().zip(kernels).collect::<VecDeque<_>>());
    let failed = Mutex::new(Vec::new());
    let bars = MultiProgress::new();
    let work = || {
        while let Some((series, kernel)) = take(&todo) {
            let mut report = String::new();
            let tested =
                kernel.and_then(|kernel| test(&kernel, &common, &folder, &bars, &mut report));
            if let Err(error) = tested {
                let _ = writeln!(report, "{series}: FAILED: {error:#}");
                failed.lock().unwrap_or_else(PoisonError::into_inner).push(series.as_str());
            }
            // As a whole, since others print as well; the bars make room.
            bars.suspend(|| print!("{report}"));
        }
    };
    // A machine takes one processor of this host.
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

/// The kernels of these series; the archive is asked for those alone that are not there yet.
fn kernels(folder: &Path, series: &[String]) -> Vec<Result<Kernel>> {
    let cache = folder.join("kernels");
    let mut archive = None;
    let mut have = |series: &String| -> Result<Kernel> {
        let well_formed = series.starts_with(|first: char| first.is_ascii_digit())
            && series.chars().all(|character| character.is_ascii_digit() || character == '.');
        ensure!(well_formed, "{series} is no series of kernels: 6.1 is one, for example");
        if let Some(kernel) = Kernel::unpacked(&cache, series)? {
            return Ok(kernel);
        }
        if archive.is_none() {
            archive = Some(Archive::fetch_lists(&folder.join("apt"))?);
        }
        let archive = archive.as_ref().context("no archive")?;
        Kernel::fetch(&cache, series, archive)
    };
    series.iter().map(|series| have(series).context("there is no such kernel to be had")).collect()
}

/// Boots a kernel and runs everything; `report` gets how it went.
fn test(
    kernel: &Kernel,
    common: &Files,
    folder: &Path,
    bars: &MultiProgress,
    report: &mut String,
) -> Result<()> {
    let series = &kernel.series;
    let initramfs = folder.join(format!("{series}.cpio"));
    initramfs::write(common, kernel, &initramfs)?;
    let kernel_log = folder.join(format!("{series}.kernel.log"));
    let outcome = machine::boot(series, &kernel.image(), &initramfs, &kernel_log, bars)?;
    let Outcome { console, said, kernel_said, ended } = outcome;
    fs::write(folder.join(format!("{series}.log")), &said)
        .context("keeping what the guest said")?;
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
        writeln!(report, "\nwhat the guest of {series} said:\n{said}")?;
        let lines: Vec<_> = kernel_said.lines().collect();
        writeln!(report, "the last that its kernel said:")?;
        for line in &lines[lines.len().saturating_sub(KERNEL_LINES)..] {
            writeln!(report, "{line}")?;
        }
    }
    verdict
}
