//! Tries the packages on distributions: installs the .deb, then the .rpm, in a root file system of each Debian release,
//! runs the binary there for both hosts of a lab, and upgrades and removes the package. The image's only layer is tried
//! as it is.

mod root;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use nix::unistd::geteuid;
use testkit::lab::{B_PRIVATE, Lab, LabOptions, PUBLIC_INTERFACE};
use testkit::numbered_stream::{RATE, Streams};
use testkit::rewrite_command::Rewrite;
use testkit::traffic::ping;

use super::Packages;
use crate::architecture::Architecture;
use crate::vm::installation;
use root::Root;

/// The Debian releases, from 11 to 13, that are tried by default.
const RELEASES: [&str; 3] = ["bullseye", "bookworm", "trixie"];
/// The prefix of the lab's namespaces' names.
const PREFIX: &str = "rwpk";
/// The operator's file, below a root.
const CLUSTER_FILE: &str = "etc/rewrite/cluster.toml";
/// The bytes of a ping.
const PING_SIZE: u16 = 56;

/// Tries `packages` on each release, or on the default ones if `releases` is empty, and the image by itself. For aarch64,
/// only the .deb is tried, in an emulated machine.
pub fn run(packages: &Packages, releases: &[String]) -> Result<()> {
    let default = match packages.architecture {
        Architecture::X86_64 => RELEASES.to_vec(),
        Architecture::Aarch64 => installation::KERNELS.map(|(release, _)| release).to_vec(),
    };
    let default: Vec<_> = default.into_iter().map(str::to_owned).collect();
    let releases = if releases.is_empty() { &default } else { releases };
    match packages.architecture {
        Architecture::X86_64 => in_roots(packages, releases),
        Architecture::Aarch64 => installation::run(packages.architecture, &packages.deb, releases),
    }
}

fn in_roots(packages: &Packages, releases: &[String]) -> Result<()> {
    ensure!(
        geteuid().is_root(),
        "the roots and the lab need root: run it as root (sudo -E cargo xtask package --try)"
    );
    let roots = crate::workspace().join("target/package/roots");
    fs::create_dir_all(&roots).with_context(|| format!("making {}", roots.display()))?;
    let roots = roots.canonicalize().with_context(|| format!("finding {}", roots.display()))?;
    if let Some(image) = &packages.image {
        let image = Root::of_image(&roots, image)?;
        attached(&image, |_, _| Ok(())).context("with the image alone")?;
        println!("image: attach, ping, status and detach work, with no other file than the binary");
    }
    for release in releases {
        let root = Root::of_debian(&roots, release)?;
        let sent = deb(&root, &packages.deb).with_context(|| format!("the .deb on {release}"))?;
        println!(
            "{release}: .deb: install, attach, ping, status, upgrade and remove (traffic goes on), install, detach, \
             purge (nothing left)\n{release}: upgrade under {RATE} packets/s in each direction: {sent} sent, 0 lost"
        );
        rpm(&root, &packages.rpm).with_context(|| format!("the .rpm on {release}"))?;
        println!(
            "{release}: .rpm: install, attach, ping, status, upgrade, detach, erase (nothing left)"
        );
    }
    Ok(())
}

/// Tries the .deb. Returns the number of packets that were sent, and arrived, during the upgrade and the removal.
fn deb(root: &Root, deb: &Path) -> Result<u64> {
    root.run(&["dpkg", "--purge", "rewrite"])?;
    let before = root.files()?;
    root.install_deb(deb)?;
    ensure!(root.pins() == 0, "the installation attached something");
    let sent = attached(root, |lab, rewrite| {
        let streams = Streams::start(lab)?;
        let printed = root.install_deb(deb)?;
        goes_on(root, lab, "the upgrade", &printed, "takes over")?;
        replace_programs(root, lab, rewrite)?;
        let printed = root.run(&["dpkg", "--remove", "rewrite"])?;
        goes_on(root, lab, "the removal", &printed, "rewrite detach --all")?;
        let sent = streams.count_none_lost().context("during the upgrade and the removal")?;
        root.install_deb(deb)?;
        Ok(sent)
    })?;
    root.remove_file(CLUSTER_FILE)?;
    root.run(&["dpkg", "--purge", "rewrite"])?;
    nothing_left(root, &before)?;
    Ok(sent)
}

/// The host's rpm installs into the root, whose own database of packages is dpkg's: no dependency is looked up.
fn rpm(root: &Root, rpm: &Path) -> Result<()> {
    let before = root.files()?;
    root.rpm(&["--install"], Some(rpm))?;
    attached(root, |lab, _| {
        let printed = root.rpm(&["--upgrade", "--replacepkgs"], Some(rpm))?;
        goes_on(root, lab, "the upgrade", &printed, "takes over")
    })?;
    root.remove_file(CLUSTER_FILE)?;
    root.rpm(&["--erase", "rewrite"], None)?;
    nothing_left(root, &before)
}

/// Attaches both hosts again, as the package's text says after an upgrade: all programs are new.
fn replace_programs(root: &Root, lab: &Lab, rewrite: &Rewrite) -> Result<()> {
    let before = root.programs()?;
    for host in [&lab.a, &lab.b] {
        rewrite.run(host, &["attach", PUBLIC_INTERFACE])?;
    }
    let after = root.programs()?;
    ensure!(after.len() == 4, "the hosts have {} programs, not 4", after.len());
    ensure!(after.is_disjoint(&before), "the attach after the upgrade left former programs");
    Ok(())
}

/// Fails unless the lab's hosts are attached and their traffic arrives after `change`, which has `printed` a text with
/// `expected`.
fn goes_on(root: &Root, lab: &Lab, change: &str, printed: &str, expected: &str) -> Result<()> {
    ensure!(printed.contains(expected), "{change} does not print `{expected}`: {printed}");
    ensure!(root.pins() == 2, "{change} has detached an interface");
    let answers = ping(&lab.a, B_PRIVATE, 3, PING_SIZE)?;
    ensure!(answers.returned == 3, "the traffic does not go on after {change}: {answers:?}");
    Ok(())
}

fn nothing_left(root: &Root, before: &BTreeSet<String>) -> Result<()> {
    let after = root.files()?;
    let left: Vec<_> = after.difference(before).collect();
    ensure!(left.is_empty(), "the removal leaves {left:?}");
    Ok(())
}

/// Attaches both hosts of a lab with the root's binary, does `meanwhile`, detaches both, and returns the result of
/// `meanwhile`.
fn attached<T>(root: &Root, meanwhile: impl Fn(&Lab, &Rewrite) -> Result<T>) -> Result<T> {
    let lab = Lab::new(&LabOptions { prefix: PREFIX.into(), ..LabOptions::default() })?;
    let rewrite = Rewrite::at(&root.wrapper()?)?;
    root.write(CLUSTER_FILE, &lab.cluster_toml())?;
    let version = rewrite.run(&lab.a, &["--version"])?;
    ensure!(version.trim() == format!("rewrite {}", super::VERSION), "{version}");
    for host in [&lab.a, &lab.b] {
        rewrite.run(host, &["attach", PUBLIC_INTERFACE])?;
    }
    for host in [&lab.a, &lab.b] {
        // Both exit with 1 if something is wrong.
        rewrite.run(host, &["ping"])?;
        rewrite.run(host, &["status"])?;
    }
    let result = meanwhile(&lab, &rewrite)?;
    for host in [&lab.a, &lab.b] {
        rewrite.run(host, &["detach", PUBLIC_INTERFACE])?;
    }
    ensure!(root.pins() == 0, "detach leaves pins");
    Ok(result)
}
