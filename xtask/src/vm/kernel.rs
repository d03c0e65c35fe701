//! Fetches a Debian kernel with its modules, and unpacks the kernel without an installation.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::archive::Archive;
use super::package::Flavour;
use crate::architecture::Architecture;
use crate::{made_once, progress};

/// An unpacked kernel.
#[derive(Debug)]
pub struct Kernel {
    /// The requested series, such as `6.1`.
    pub series: String,
    /// The kernel's release, as in `uname -r`.
    pub release: String,
    /// The architecture of the machines that boot it.
    pub architecture: Architecture,
    folder: PathBuf,
}

impl Kernel {
    /// The kernel of a series that an earlier run unpacked below `cache`, or `None` if there is no such kernel. A cache
    /// has the kernels for one architecture.
    pub fn unpacked(
        cache: &Path,
        architecture: Architecture,
        series: &str,
        flavour: Flavour,
    ) -> Result<Option<Self>> {
        let folder = cache.join(folder_name(series, flavour));
        if !folder.exists() {
            return Ok(None);
        }
        let release = only_entry(&folder.join("lib/modules"))?;
        Ok(Some(Self { series: series.to_owned(), release, architecture, folder }))
    }

    /// Fetches the newest kernel of a series, and unpacks it below `cache`.
    ///
    /// # Errors
    /// When the archive has no such kernel, or its packages have an unknown layout.
    pub fn fetch(cache: &Path, series: &str, flavour: Flavour, archive: &Archive) -> Result<Self> {
        let whole = cache.join(folder_name(series, flavour));
        made_once::folder(&whole, |folder| {
            let unpacked = folder.join("unpacked");
            fs::create_dir_all(&unpacked)
                .with_context(|| format!("creating {}", unpacked.display()))?;
            for package in archive.newest(series, flavour)? {
                archive.unpack(&package, &unpacked)?;
            }
            arrange(&unpacked, folder)
        })?;
        Self::unpacked(cache, archive.architecture(), series, flavour)?
            .context("the kernel that was just unpacked is gone")
    }

    /// The compressed image that qemu boots.
    pub fn image(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// The folder with the modules, which is `/lib/modules/RELEASE` in the guest.
    pub fn modules(&self) -> PathBuf {
        self.folder.join("lib/modules").join(&self.release)
    }
}

/// The name of a kernel's folder.
fn folder_name(series: &str, flavour: Flavour) -> String {
    match flavour {
        Flavour::Cloud => series.to_owned(),
        Flavour::Generic => format!("{series}-generic"),
    }
}

/// Moves the image and the modules to paths that are the same for all packages, and runs depmod, as the
/// installation of the package would do.
fn arrange(unpacked: &Path, folder: &Path) -> Result<()> {
    let modules = ["lib/modules", "usr/lib/modules"].map(|modules| unpacked.join(modules));
    let Some(modules) = modules.iter().find(|modules| modules.exists()) else {
        bail!("the packages hold no modules");
    };
    let release = only_entry(modules)?;
    let images =
        [unpacked.join(format!("boot/vmlinuz-{release}")), modules.join(&release).join("vmlinuz")];
    let Some(image) = images.iter().find(|image| image.exists()) else {
        bail!("the packages hold no image of {release}");
    };
    fs::rename(image, folder.join("vmlinuz")).context("moving the image")?;
    fs::create_dir(folder.join("lib")).context("creating lib")?;
    fs::rename(modules, folder.join("lib/modules")).context("moving the modules")?;
    fs::remove_dir_all(unpacked).context("removing the rest of the packages")?;
    let mut depmod = Command::new("/usr/sbin/depmod");
    depmod.arg("--basedir").arg(folder).arg(&release);
    progress::run("depmod", &mut depmod)
}

/// The name of a folder's only entry.
fn only_entry(folder: &Path) -> Result<String> {
    let entries = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.with_context(|| format!("listing {}", folder.display()))?.file_name();
        names.push(name.into_string().ok().context("a name that is not UTF-8")?);
    }
    ensure!(names.len() == 1, "{} holds {names:?}, and not one folder", folder.display());
    names.pop().context("the one name is gone")
}
