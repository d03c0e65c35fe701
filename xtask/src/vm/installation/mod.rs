//! Installs a .deb in an emulated machine of another architecture, on Debian's kernel and with Debian's programs,
//! attaches two hosts there, and removes the package.

mod console;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::MultiProgress;

use super::initramfs;
use super::machine::{Clock, Machine, Outcome};
use super::package::Flavour;
use crate::architecture::Architecture;
use crate::{progress, workspace};
use console::Console;

const GUEST: &str = include_str!("guest.sh");
/// The kernel's series. From 6.12 on, Debian's kernels for aarch64 may be compressed for UEFI, which qemu 7.2 does not
/// boot.
const SERIES: &str = "6.1";
const PROCESSORS: u8 = 1;
const LIMIT: Duration = Duration::from_secs(300);
/// The packages with the programs that dpkg, `init.sh` and `guest.sh` call. apt adds the libraries.
const PACKAGES: &str = "coreutils,dash,diffutils,dpkg,grep,iproute2,iputils-ping,kmod,libc-bin,mount,\
                        netcat-openbsd,procps,sed,tar,util-linux";

/// Tries a .deb for `architecture` in a guest with the programs of each Debian release.
///
/// # Errors
/// When a release or the kernel can't be fetched, or a step of `guest.sh` fails.
pub fn run(architecture: Architecture, deb: &Path, releases: &[String]) -> Result<()> {
    let folder = super::create(workspace().join("target/vm").join(architecture.name()))?;
    let series = [SERIES.to_owned()];
    let mut kernels = super::kernels(&folder, architecture, &series, Flavour::Cloud);
    let kernel = kernels.pop().context("no kernel")??;
    for release in releases {
        let root = programs_of(architecture, &folder, release)?;
        let mut files = initramfs::of_root(GUEST, &root)?;
        files.copy("rewrite.deb", deb);
        let machine = Machine {
            name: format!("{release}-installation"),
            kernel: &kernel,
            files: &files,
            processors: PROCESSORS,
            nics: &[],
            clock: Clock::Host,
            limit: LIMIT,
        };
        let Outcome { console, ended, output } =
            machine.boot(&folder, &MultiProgress::new(), Console::default())?;
        let verdict = ended.and_then(|()| console.verdict(architecture));
        verdict
            .inspect_err(|_| eprintln!("{output}"))
            .with_context(|| format!("the .deb on {release} for {}", architecture.name()))?;
        println!(
            "{release} for {}, Linux {}: .deb: {} (nothing left)",
            architecture.name(),
            console.release.as_deref().unwrap_or(&kernel.release),
            console::STEPS.join(", ")
        );
    }
    Ok(())
}

/// The files of a release's packages for an architecture, below a folder. They are fetched once. mmdebstrap unpacks them
/// and runs none of their scripts, so that the host needs no emulator for single programs.
fn programs_of(architecture: Architecture, folder: &Path, release: &str) -> Result<PathBuf> {
    let root = folder.join("roots").join(release);
    if !root.exists() {
        let unfinished = root.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).context("removing the remains of a former run")?;
        }
        super::create(folder.join("roots"))?;
        let mut command = Command::new("mmdebstrap");
        command
            .args(["--variant=extract", "--mode=root"])
            .arg(format!("--architectures={}", architecture.debian()))
            .arg(format!("--include={PACKAGES}"))
            .arg(release)
            .arg(&unfinished);
        let what = format!("fetching programs of {release} for {}", architecture.name());
        progress::run(&what, &mut command)?;
        fs::rename(&unfinished, &root).context("keeping the programs")?;
    }
    Ok(root)
}
