//! Runs the tests or the measurements on other kernels. Each Debian kernel boots in a virtual machine with only
//! an initramfs, and powers off after the work. A package for another architecture is tried in such a machine, too.

mod archive;
pub mod bench;
mod cpio;
pub mod emulator;
mod initramfs;
pub mod installation;
mod kernel;
mod machine;
mod modules;
mod nics;
mod package;
mod programs;
mod shared_libraries;
pub mod test;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::architecture::Architecture;
use crate::workspace;
use archive::Archive;
use kernel::Kernel;
use package::Flavour;

/// Creates the folder for all downloads and results, unless it exists; returns its path.
///
/// # Errors
/// When the folder can't be created, or this host can't boot these kernels.
fn folder() -> Result<PathBuf> {
    ensure!(
        env::consts::ARCH == "x86_64",
        "the guest runs the programs of this host, and the kernels are for x86_64"
    );
    create(workspace().join("target/vm"))
}

fn create(folder: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder)
}

/// The kernels of these series and this flavour, for an architecture. Fetches only the missing kernels from the archive
/// into `folder`, which has no kernel for another architecture.
fn kernels(
    folder: &Path,
    architecture: Architecture,
    series: &[String],
    flavour: Flavour,
) -> Vec<Result<Kernel>> {
    let cache = folder.join("kernels");
    let mut archive = None;
    let mut obtain = |series: &String| -> Result<Kernel> {
        let well_formed = series.starts_with(|first: char| first.is_ascii_digit())
            && series.chars().all(|character| character.is_ascii_digit() || character == '.');
        ensure!(well_formed, "{series} is not a kernel series such as 6.1");
        if let Some(kernel) = Kernel::unpacked(&cache, architecture, series, flavour)? {
            return Ok(kernel);
        }
        if archive.is_none() {
            archive = Some(Archive::fetch_lists(&folder.join("apt"), architecture)?);
        }
        let archive = archive.as_ref().context("no archive")?;
        Kernel::fetch(&cache, series, flavour, archive)
    };
    series.iter().map(|series| obtain(series).context("this kernel is not available")).collect()
}
