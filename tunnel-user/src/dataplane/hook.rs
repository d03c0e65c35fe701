//! Attaches the programs of both directions, replaces them without a gap, and detaches them.

use std::fs;
use std::path::{Path, PathBuf};

use aya::programs::{ProgramError, ProgramInfo, SchedClassifier, Xdp};
use aya_obj::programs::XdpAttachType;
use nix::net::if_::if_nametoindex;
use tunnel_common::outcome::Direction;

use super::load::Loaded;
use super::pins::Folder;
use super::{attached_programs, tc, tcx_query, xdp};
use crate::error::{Context as _, Error};
use crate::host::link::Link;
use crate::host::netlink::Netlink;
use crate::host::snapshot::LOOPBACK;
use crate::plan::attach_point::{AttachPoint, BOTH, Hook, Ingress, Program};

/// The best tc hook that this kernel has. The function queries the kernel, and ignores the kernel's version: kernels
/// without tcx reject the attach type (bpf_prog_query: EINVAL).
#[must_use]
pub fn best() -> Hook {
    let loopback = if_nametoindex(LOOPBACK).unwrap_or_default();
    match tcx_query::programs(loopback, Direction::Ingress) {
        Ok(_) => Hook::Tcx,
        Err(_) => Hook::Clsact,
    }
}

/// Refuses an interface that can't run the ingress program at `ingress`, or would run it without effect. `links` holds
/// all interfaces.
///
/// # Errors
/// [`Error::Refused`] that names the reason and the remedy.
pub fn require_ingress(
    ingress: Ingress,
    link: &Link,
    header_len: u8,
    links: &[Link],
) -> Result<(), Error> {
    match ingress {
        Ingress::Tc => Ok(()),
        Ingress::Xdp | Ingress::XdpGeneric => xdp::require(ingress, link, header_len, links),
    }
}

/// Repeats the checks of [`require_ingress`] whose result can change while the program is attached.
///
/// # Errors
/// [`Error::Refused`] that names the reason and the remedy.
pub fn require_tags(ingress: Ingress, link: &Link, links: &[Link]) -> Result<(), Error> {
    match ingress {
        Ingress::Tc => Ok(()),
        Ingress::Xdp | Ingress::XdpGeneric => xdp::require_tags_in_frames(link, links),
    }
}

/// Attaches both programs to an interface that runs none of our programs, and pins them.
///
/// # Errors
/// If the kernel refuses. Programs that were attached before the failure stay; [`detach_links`] and [`detach_filters`]
/// detach them.
pub fn attach(loaded: &mut Loaded, folder: &Folder, link: &Link) -> Result<(), Error> {
    let place = loaded.place();
    for direction in BOTH {
        pin(loaded, folder, place.program(direction))?;
    }
    for direction in BOTH {
        let program = place.program(direction);
        match (program, place.hook) {
            (Program::Xdp, _) => xdp::attach(loaded, folder, link)?,
            (Program::Egress | Program::Ingress, Hook::Tcx) => {
                tc::attach_tcx(loaded.tc(program)?, folder, direction)?;
            }
            (Program::Egress | Program::Ingress, Hook::Clsact) => {
                tc::attach_clsact(loaded.tc(program)?, folder, direction)?;
            }
        }
    }
    Ok(())
}

fn pin(loaded: &mut Loaded, folder: &Folder, program: Program) -> Result<(), Error> {
    let path = folder.program(program);
    pin_at(loaded, program, &path).context(|| format!("pinning {}", path.display()))
}

fn pin_at(loaded: &mut Loaded, program: Program, path: &Path) -> Result<(), anyhow::Error> {
    match program {
        Program::Egress | Program::Ingress => loaded.tc(program)?.pin(path)?,
        Program::Xdp => loaded.xdp(program)?.pin(path)?,
    }
    Ok(())
}

/// Replaces the running programs with newly loaded ones, without a gap: each packet meets the old program or the
/// new one.
///
/// # Errors
/// If the kernel refuses.
pub fn replace(loaded: &mut Loaded, folder: &Folder) -> Result<(), Error> {
    let place = loaded.place();
    for direction in BOTH {
        let program = place.program(direction);
        // Pin the new program before the exchange: if this command is killed at any point, the running program has a
        // pin. The kernel may take a while for the exchange, but always completes it.
        let (path, new) = (folder.program(program), folder.new_program(program));
        if new.exists() {
            fs::remove_file(&new).context(|| format!("removing {}", new.display()))?;
        }
        pin_at(loaded, program, &new).context(|| format!("pinning {}", new.display()))?;
        let what = || format!("replacing {} on {}", program.name(), folder.interface());
        match program {
            Program::Xdp => xdp::replace(loaded.xdp(program)?, folder).context(what)?,
            Program::Egress | Program::Ingress => {
                tc::replace(loaded.tc(program)?, folder, place.hook, direction).context(what)?;
            }
        }
        fs::rename(&new, &path).context(|| format!("moving {}", new.display()))?;
    }
    Ok(())
}

/// Pins a program at a path.
pub(super) fn pin_to(loaded: &mut Loaded, program: Program, path: &Path) -> Result<(), Error> {
    pin_at(loaded, program, path).context(|| format!("pinning {}", path.display()))
}

/// Replaces the running program of a direction with the program that is pinned at `pin`. Both may be the same program.
pub(super) fn switch(
    folder: &Folder,
    pin: &Path,
    place: AttachPoint,
    direction: Direction,
) -> Result<(), Error> {
    let switch = || -> Result<(), anyhow::Error> {
        match place.program(direction) {
            Program::Xdp => {
                xdp::replace(&mut Xdp::from_pin(pin, XdpAttachType::Interface)?, folder)
            }
            Program::Egress | Program::Ingress => {
                tc::replace(&mut SchedClassifier::from_pin(pin)?, folder, place.hook, direction)
            }
        }
    };
    let what = || format!("starting {} on {}", pin.display(), folder.interface());
    switch().context(what)
}

/// Detaches the programs of the pinned tcx and XDP links, even if another process holds the links. A link without a
/// pin stays.
///
/// # Errors
/// If the kernel refuses.
pub fn detach_links(folder: &Folder) -> Result<(), Error> {
    for direction in BOTH {
        tc::detach_link(folder, direction)
            .context(|| format!("detaching from {}", folder.interface()))?;
    }
    Ok(())
}

/// Removes our clsact filters from the interface, whose current name is `interface`. A missing filter is not an error.
///
/// # Errors
/// If the kernel refuses.
pub fn detach_filters(interface: &str) -> Result<(), Error> {
    for direction in BOTH {
        tc::detach_filter(interface, direction, &tc::filter(direction))
            .context(|| format!("detaching from {interface}"))?;
    }
    Ok(())
}

/// The id of a pinned program, as in `bpftool prog show id`.
///
/// # Errors
/// If the program's pin can't be read.
pub fn program(folder: &Folder, program: Program) -> Result<u32, Error> {
    let path = folder.program(program);
    let info = ProgramInfo::from_pin(&path).context(|| format!("inspecting {}", path.display()))?;
    Ok(info.id())
}

/// True if the interface of index `link` runs a direction's pinned program: the program of the last attach, or the new
/// program of an attach that was killed while it exchanged programs.
pub async fn runs(
    folder: &Folder,
    place: AttachPoint,
    direction: Direction,
    netlink: &Netlink,
    link: u32,
) -> bool {
    running(folder, place, direction, netlink, link).await.is_some()
}

/// The pin of the program that runs in a direction: the program of the last attach, or the new program of an attach
/// that was killed while it exchanged programs. `None` if neither program runs.
pub(super) async fn running(
    folder: &Folder,
    place: AttachPoint,
    direction: Direction,
    netlink: &Netlink,
    link: u32,
) -> Option<PathBuf> {
    let kind = place.program(direction);
    if !folder.program(kind).exists() {
        return None;
    }
    let pins = [folder.program(kind), folder.new_program(kind)];
    one_of(folder, &pins, place, direction, netlink, link).await
}

/// True if the interface of index `link` runs one of the programs that are pinned at `pins`, by the pinned link or at
/// our place among clsact's filters.
pub(super) async fn runs_one_of(
    folder: &Folder,
    pins: &[PathBuf],
    place: AttachPoint,
    direction: Direction,
    netlink: &Netlink,
    link: u32,
) -> bool {
    one_of(folder, pins, place, direction, netlink, link).await.is_some()
}

async fn one_of(
    folder: &Folder,
    pins: &[PathBuf],
    place: AttachPoint,
    direction: Direction,
    netlink: &Netlink,
    link: u32,
) -> Option<PathBuf> {
    let attached = match (place.program(direction), place.hook) {
        (Program::Xdp, _) => attached_programs::by_xdp(link, netlink).await,
        (Program::Egress | Program::Ingress, Hook::Tcx) => {
            attached_programs::by_tcx(link, direction)
        }
        (Program::Egress | Program::Ingress, Hook::Clsact) => {
            attached_programs::by_filters(link, direction, netlink).await
        }
    };
    let attached = attached.ok()?;
    let runs = |pin: &&PathBuf| {
        let Ok(info) = ProgramInfo::from_pin(pin) else { return false };
        let mut ours = attached.iter().filter(|program| program.id == info.id());
        ours.any(|program| attached_programs::is_at(folder, place, program))
    };
    pins.iter().find(runs).cloned()
}

/// The error for a new link that could not be pinned.
pub(super) fn unusable(error: impl std::fmt::Display) -> ProgramError {
    ProgramError::IOError(std::io::Error::other(format!("pinning the link: {error}")))
}
