//! Installs a .deb in an emulated machine of another architecture, on Debian's kernel and with Debian's programs,
//! attaches two hosts there, and removes the package.

mod console;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::MultiProgress;

use super::initramfs;
use super::machine::{Clock, Machine, Outcome};
use super::package::Flavour;
use crate::architecture::Architecture;
use crate::{made_once, progress, workspace};
use console::Console;

const GUEST: &str = include_str!("guest.sh");
/// The Debian releases, each with the series of its kernel: `rewrite` attaches by clsact on the first, and by tcx on the
/// second. The archive no longer has all packages of Debian 11 for aarch64.
pub const KERNELS: [(&str, &str); 2] = [("bookworm", "6.1"), ("trixie", "6.12")];
const PROCESSORS: u8 = 1;
const LIMIT: Duration = Duration::from_secs(300);
/// The packages with the programs that dpkg, `init.sh` and `guest.sh` call. apt adds the libraries.
const PACKAGES: &str = "coreutils,dash,diffutils,dpkg,grep,iproute2,iputils-ping,kmod,libc-bin,mount,\
                        netcat-openbsd,procps,sed,tar,util-linux";

/// Tries a .deb for `architecture` in a guest for each Debian release, with the release's kernel and programs.
///
/// # Errors
/// When a release is unknown or can't be fetched, or a step of `guest.sh` fails.
pub fn run(architecture: Architecture, deb: &Path, releases: &[String]) -> Result<()> {
    let folder = super::create(workspace().join("target/vm").join(architecture.name()))?;
    let series = releases.iter().map(|release| series_of(release));
    let series = series.collect::<Result<Vec<_>>>()?;
    let kernels = super::kernels(&folder, architecture, &series, Flavour::Cloud);
    for (release, kernel) in releases.iter().zip(kernels) {
        let kernel = kernel.with_context(|| format!("the kernel of {release}"))?;
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

fn series_of(release: &str) -> Result<String> {
    let known = KERNELS.iter().find(|(name, _)| *name == release);
    let (_, series) = known.with_context(|| {
        let names = KERNELS.map(|(name, _)| name).join(", ");
        format!("{release} is not a known Debian release\n  help: the known ones are {names}")
    })?;
    Ok((*series).to_owned())
}

/// The files of a release's packages for an architecture, below a folder. They are fetched once. mmdebstrap unpacks them
/// and runs none of their scripts, so that the host needs no emulator for single programs.
fn programs_of(architecture: Architecture, folder: &Path, release: &str) -> Result<PathBuf> {
    let root = folder.join("roots").join(release);
    made_once::folder(&root, |unfinished| {
        let mut command = Command::new("mmdebstrap");
        command
            .args(["--variant=extract", "--mode=root"])
            .arg(format!("--architectures={}", architecture.debian()))
            .arg(format!("--include={PACKAGES}"))
            .arg(release)
            .arg(unfinished);
        let what = format!("fetching programs of {release} for {}", architecture.name());
        progress::run(&what, &mut command)
    })?;
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_boots_its_own_kernel_and_an_unknown_one_is_refused() {
        assert_eq!(series_of("trixie").expect("a known release"), "6.12");
        let error = series_of("buster").expect_err("no kernel for it").to_string();
        assert!(error.contains("bookworm, trixie"), "{error}");
    }
}
