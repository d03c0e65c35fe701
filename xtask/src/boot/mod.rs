//! Proves the package on real systems: two Debian guests with systemd and Debian's own kernel, and a router between them.
//! They carry the README's story word for word, then the daemon, an upgrade, a reboot and a purge.

mod guest;
mod host_state;
mod image;
mod package_before;
mod readme;
mod router;
mod story;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use nix::unistd::geteuid;

use crate::package::Packages;
use crate::{interrupt, lock, workspace};
use guest::Guest;
use image::Image;
use router::PORTS;

/// Boots the guests, and runs the story with `packages`.
pub fn run(packages: &Packages) -> Result<()> {
    ensure!(
        geteuid().is_root(),
        "the router is a network namespace: run it as root (sudo -E cargo xtask boot)"
    );
    let _lock = lock::take("boot")?;
    let folder = workspace().join("target/boot");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let folder = folder.canonicalize().with_context(|| format!("finding {}", folder.display()))?;
    let image = Image::make(&folder)?;
    let disk = disk_of_packages(packages, &folder)?;
    let story = readme::Story::read(&read(&workspace().join("README.md"))?)?;
    let router = Arc::new(router::make()?);
    let interrupted = Arc::clone(&router);
    interrupt::clean_up_on_signal("ending the guests", move || {
        interrupted.kill_processes()?;
        interrupted.delete()
    })?;
    let tell = || {
        let start = |port| Guest::start(&folder, port, &image, &disk, &router);
        let mut guests = [start(&PORTS[0])?, start(&PORTS[1])?];
        story::run(&mut guests, &story)
    };
    let told = tell();
    interrupt::park_if_interrupted();
    // The thread that waits for a signal keeps the router as well, so that no drop deletes it.
    router.delete()?;
    told
}

/// A file system with today's package and the one before.
fn disk_of_packages(packages: &Packages, folder: &Path) -> Result<PathBuf> {
    let content = folder.join("packages");
    fs::create_dir_all(&content).with_context(|| format!("making {}", content.display()))?;
    fs::copy(&packages.deb, content.join("today.deb"))
        .with_context(|| format!("copying {}", packages.deb.display()))?;
    let before = content.join("before.deb");
    package_before::pack(&packages.deb, &folder.join("package-before"), &before)?;
    let disk = folder.join("packages.ext4");
    image::file_system(&content, "packages", "128M", &disk)?;
    Ok(disk)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}
