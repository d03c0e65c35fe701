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

use std::env;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::workspace;
use archive::Archive;
use cpio::Files;
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
    let mut failed = Vec::new();
    for (series, kernel) in series.iter().zip(kernels) {
        let result = kernel.and_then(|kernel| test(&kernel, &common, &folder));
        if let Err(error) = result {
            println!("{series}: FAILED: {error:#}");
            failed.push(series.as_str());
        }
    }
    if !failed.is_empty() {
        bail!("failed on {} of {} kernels: {}", failed.len(), series.len(), failed.join(", "));
    }
    Ok(())
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

/// Boots a kernel, runs everything, and says how it went.
fn test(kernel: &Kernel, common: &Files, folder: &Path) -> Result<()> {
    let initramfs = folder.join("initramfs.cpio");
    initramfs::write(common, kernel, &initramfs)?;
    let series = &kernel.series;
    let kernel_log = folder.join(format!("{series}.kernel.log"));
    let outcome = machine::boot(series, &kernel.image(), &initramfs, &kernel_log)?;
    let Outcome { console, said, kernel_said, ended } = outcome;
    fs::write(folder.join(format!("{series}.log")), &said)
        .context("keeping what the guest said")?;
    println!(
        "{:<28} {:<7} {:>6} {:>8.1}",
        console.release.as_deref().unwrap_or(&kernel.release),
        console.hook.as_deref().unwrap_or("-"),
        console.passed,
        console.seconds,
    );
    for run in &console.runs {
        println!("  {:<42} {:>8.1}", run.binary, run.seconds);
    }
    for reason in &console.skipped {
        println!("  skipped: {reason}");
    }
    let verdict = ended.and_then(|()| console.verdict());
    if verdict.is_err() {
        println!("\nwhat the guest of {series} said:\n{}", said);
        let lines: Vec<_> = kernel_said.lines().collect();
        println!("the last that its kernel said:");
        for line in &lines[lines.len().saturating_sub(KERNEL_LINES)..] {
            println!("{line}");
        }
    }
    verdict
}
