//! Lists the programs that an interface runs, finds ours among them, and removes strays. Each direction should run
//! exactly one of our programs: the pinned program, by the pinned link or at our filters' place. A second program of
//! ours would rewrite each packet a second time.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use aya::maps::MapInfo;
use aya::programs::links::LinkType;
use aya::programs::tc::{NlOptions, TcHandle};
use aya::programs::{ProgramInfo, loaded_links, loaded_programs};
use nix::net::if_::if_nametoindex;
use tunnel_common::outcome::Direction;

use super::bpf_link::BpfLink;
use super::pins::{Folder, MAPS};
use super::{tc, tcx_query};
use crate::error::{Context as _, Error, is_io};
use crate::host::netlink::Netlink;
use crate::host::qdiscs::FilterProgram;
use crate::plan::attach_point::{AttachPoint, BOTH, Hook, Program};

/// The longest wait for a program to disappear after its link is gone, and the pause between two checks.
const PATIENCE: Duration = Duration::from_secs(2);
const INTERVAL: Duration = Duration::from_millis(5);

/// One program that an interface runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedProgram {
    /// The direction of the packets that the program sees.
    pub direction: Direction,
    /// The program's id, as in `bpftool prog show id`.
    pub id: u32,
    /// The kind of the program's attachment.
    pub by: AttachedBy,
}

/// The kinds of attachment of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachedBy {
    /// By tcx, with the link's id; 0 without a link.
    Tcx(u32),
    /// By a filter of a clsact qdisc, with its priority, its handle and its name.
    Filter(u16, u32, String),
    /// By XDP.
    Xdp,
}

impl fmt::Display for AttachedProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = self.direction.name();
        write!(f, "at {direction}: program id {}", self.id)?;
        match &self.by {
            AttachedBy::Tcx(0) => f.write_str(" by tcx without a link"),
            AttachedBy::Tcx(link) => write!(f, " by tcx link id {link}"),
            AttachedBy::Filter(priority, handle, _) => {
                write!(f, " by a filter of clsact, pref {priority} handle {handle:#x}")
            }
            AttachedBy::Xdp => f.write_str(" by XDP"),
        }
    }
}

/// Our programs that the interface runs in addition to the wanted programs at `place`; all our programs if `place` is
/// `None`.
///
/// # Errors
/// If a query to the kernel fails.
pub async fn strays(
    folder: &Folder,
    place: Option<AttachPoint>,
    netlink: &Netlink,
) -> Result<Vec<AttachedProgram>, Error> {
    let ours = ours(folder, netlink).await?;
    let wanted = |program: &AttachedProgram| place.is_some_and(|p| is_wanted(folder, p, program));
    Ok(ours.into_iter().filter(|program| !wanted(program)).collect())
}

/// Detaches the programs that [`strays`] finds, even if another process holds their links, and checks that the
/// programs are gone.
///
/// # Errors
/// [`Error::Host`] that names the programs that still run, and says how to detach them.
pub async fn remove_strays(
    folder: &Folder,
    place: Option<AttachPoint>,
    netlink: &Netlink,
) -> Result<(), Error> {
    let interface = folder.interface();
    let mut refusals = Vec::new();
    for program in strays(folder, place, netlink).await? {
        tracing::warn!("{interface} runs a stray program of rewrite: detaching it, {program}");
        match remove(interface, &program) {
            Err(refusal) if !is_io(refusal.as_ref(), io::ErrorKind::NotFound) => {
                refusals.push(format!("{refusal:#}"));
            }
            _ => {}
        }
    }
    let start = Instant::now();
    let mut left = strays(folder, place, netlink).await?;
    // Give the programs time to disappear: after the last reference to a link is dropped, the link disappears before
    // its program does (Linux, kernel/bpf/syscall.c, bpf_link_free and bpf_link_put).
    while refusals.is_empty() && !left.is_empty() && start.elapsed() < PATIENCE {
        tokio::time::sleep(INTERVAL).await;
        left = strays(folder, place, netlink).await?;
    }
    let Some(first) = left.first() else { return Ok(()) };
    let refusal = match &refusals[..] {
        [] => String::new(),
        refusals => format!(" ({})", refusals.join("; ")),
    };
    let all: Vec<_> = left.iter().map(ToString::to_string).collect();
    Err(Error::host(
        format!("{interface} still runs programs of rewrite, {}{refusal}", all.join(", ")),
        format!("detach them as root ({}), then run this again", how_to_remove(interface, first)),
    ))
}

/// Detaches one program.
fn remove(interface: &str, program: &AttachedProgram) -> Result<(), anyhow::Error> {
    match program.by {
        AttachedBy::Tcx(0) => anyhow::bail!("it has no link to detach"),
        AttachedBy::Tcx(link) => Ok(BpfLink::by_id(link)?.detach()?),
        AttachedBy::Filter(priority, handle, _) => {
            let handle = TcHandle::from(handle);
            let options = NlOptions { priority, handle, classid: None };
            tc::detach_filter(interface, program.direction, &options)
        }
        AttachedBy::Xdp => {
            for link in loaded_links() {
                let link = match link {
                    // Another process's link disappeared meanwhile.
                    Err(error) if is_io(&error, io::ErrorKind::NotFound) => continue,
                    link => link?,
                };
                if link.program_id() == program.id && link.link_type()? == LinkType::Xdp {
                    BpfLink::by_id(link.id())?.detach()?;
                }
            }
            Ok(())
        }
    }
}

fn how_to_remove(interface: &str, program: &AttachedProgram) -> String {
    let id = program.id;
    match (&program.by, program.direction) {
        (AttachedBy::Tcx(0), Direction::Egress) => {
            format!("bpftool net detach tcx_egress dev {interface}")
        }
        (AttachedBy::Tcx(0), Direction::Ingress) => {
            format!("bpftool net detach tcx_ingress dev {interface}")
        }
        (AttachedBy::Tcx(link), _) => format!("bpftool link detach id {link}"),
        (AttachedBy::Filter(priority, ..), Direction::Egress) => {
            format!("tc filter del dev {interface} egress pref {priority}")
        }
        (AttachedBy::Filter(priority, ..), Direction::Ingress) => {
            format!("tc filter del dev {interface} ingress pref {priority}")
        }
        (AttachedBy::Xdp, _) => format!(
            "ip link set dev {interface} xdp off, or bpftool link detach id of the link that \
             bpftool link show names for prog {id}"
        ),
    }
}

/// True if the program is the one that should run in its direction: the program is pinned, and is attached by the
/// pinned link or at our place among clsact's filters.
fn is_wanted(folder: &Folder, place: AttachPoint, program: &AttachedProgram) -> bool {
    let kind = place.program(program.direction);
    let pins = [folder.program(kind), folder.new_program(kind)];
    let is_pinned =
        pins.iter().any(|pin| ProgramInfo::from_pin(pin).is_ok_and(|info| info.id() == program.id));
    is_pinned && is_at(folder, place, program)
}

/// True if the program is attached by the pinned link, or at our place among clsact's filters.
pub(super) fn is_at(folder: &Folder, place: AttachPoint, program: &AttachedProgram) -> bool {
    let direction = program.direction;
    let link = || BpfLink::pinned(&folder.link(direction)).and_then(|link| link.info());
    match (place.program(direction), place.hook, &program.by) {
        (Program::Xdp, _, AttachedBy::Xdp) => link().is_ok_and(|link| link.program == program.id),
        (Program::Egress | Program::Ingress, Hook::Tcx, AttachedBy::Tcx(id)) => {
            link().is_ok_and(|link| link.id == *id)
        }
        (
            Program::Egress | Program::Ingress,
            Hook::Clsact,
            AttachedBy::Filter(priority, handle, _),
        ) => is_our_place(direction, *priority, *handle),
        _ => false,
    }
}

fn is_our_place(direction: Direction, priority: u16, handle: u32) -> bool {
    let ours = tc::filter(direction);
    (ours.priority, u32::from(ours.handle)) == (priority, handle)
}

/// Our programs on the interface: pinned programs; programs that use the pinned maps; and programs that have our names
/// and run by a tcx link or at our place among clsact's filters (somebody may have removed their pins). Without
/// CAP_SYS_ADMIN the kernel reveals neither the maps nor the name of a program that is not pinned (Linux,
/// kernel/bpf/syscall.c, bpf_prog_get_fd_by_id).
async fn ours(folder: &Folder, netlink: &Netlink) -> Result<Vec<AttachedProgram>, Error> {
    let programs = all(folder.interface(), netlink).await?;
    let pinned: BTreeSet<u32> = Program::ALL
        .into_iter()
        .flat_map(|program| [folder.program(program), folder.new_program(program)])
        .filter_map(|pin| ProgramInfo::from_pin(pin).ok().map(|info| info.id()))
        .collect();
    let unknown: BTreeSet<u32> =
        programs.iter().map(|program| program.id).filter(|id| !pinned.contains(id)).collect();
    let known = if unknown.is_empty() { Vec::new() } else { look_up(folder, &unknown) };
    let is_ours = |program: &AttachedProgram| {
        let known = known.iter().find(|known| known.id == program.id);
        let is_called = |name: &str| Program::ALL.iter().any(|program| program.name() == name);
        pinned.contains(&program.id)
            || known.is_some_and(|known| known.uses_our_maps)
            || match &program.by {
                AttachedBy::Tcx(link) => {
                    *link != 0 && known.is_some_and(|known| is_called(&known.name))
                }
                AttachedBy::Filter(priority, handle, name) => {
                    is_our_place(program.direction, *priority, *handle) && is_called(name)
                }
                AttachedBy::Xdp => false,
            }
    };
    Ok(programs.into_iter().filter(is_ours).collect())
}

/// The kernel's information about a program.
struct Known {
    id: u32,
    name: String,
    uses_our_maps: bool,
}

fn look_up(folder: &Folder, ids: &BTreeSet<u32>) -> Vec<Known> {
    let maps: BTreeSet<u32> = MAPS
        .into_iter()
        .filter_map(|name| MapInfo::from_pin(folder.map(name)).ok().map(|info| info.id()))
        .collect();
    let wanted = |program: &ProgramInfo| ids.contains(&program.id());
    let uses_our_maps = |program: &ProgramInfo| {
        let used = program.map_ids().ok().flatten().unwrap_or_default();
        used.iter().any(|map| maps.contains(map))
    };
    loaded_programs()
        .filter_map(Result::ok)
        .filter(wanted)
        .map(|program| Known {
            id: program.id(),
            name: program.name_as_str().unwrap_or_default().to_owned(),
            uses_our_maps: uses_our_maps(&program),
        })
        .collect()
}

/// All programs that the interface runs; empty if the interface is gone.
async fn all(interface: &str, netlink: &Netlink) -> Result<Vec<AttachedProgram>, Error> {
    let Ok(index) = if_nametoindex(interface) else { return Ok(Vec::new()) };
    let mut programs = Vec::new();
    let has_clsact = netlink.has_clsact(index).await?;
    for direction in BOTH {
        programs.extend(by_tcx(index, direction)?);
        if has_clsact {
            programs.extend(by_filters(index, direction, netlink).await?);
        }
    }
    programs.extend(by_xdp(index, netlink).await?);
    Ok(programs)
}

/// The programs that the interface runs by XDP.
pub(super) async fn by_xdp(link: u32, netlink: &Netlink) -> Result<Vec<AttachedProgram>, Error> {
    let links = netlink.links().await?;
    let found = links.iter().filter(|other| other.index == link);
    // The kernel may report the same program for more than one XDP mode.
    let ids: BTreeSet<u32> = found.flat_map(|link| link.xdp_programs.iter().copied()).collect();
    let direction = Direction::Ingress;
    Ok(ids.into_iter().map(|id| AttachedProgram { direction, id, by: AttachedBy::Xdp }).collect())
}

/// The programs that filters of the interface's clsact qdisc run.
pub(super) async fn by_filters(
    link: u32,
    direction: Direction,
    netlink: &Netlink,
) -> Result<Vec<AttachedProgram>, Error> {
    let filters = netlink.filter_programs(link, direction).await?;
    let attached = |FilterProgram { id, priority, handle, name }| AttachedProgram {
        direction,
        id,
        by: AttachedBy::Filter(priority, handle, name),
    };
    Ok(filters.into_iter().map(attached).collect())
}

/// The programs that the interface runs by tcx; empty if the kernel has no tcx, or the interface is gone.
pub(super) fn by_tcx(link: u32, direction: Direction) -> Result<Vec<AttachedProgram>, Error> {
    match tcx_query::programs(link, direction) {
        Ok(programs) => Ok(programs
            .into_iter()
            .map(|program| AttachedProgram {
                direction,
                id: program.id,
                by: AttachedBy::Tcx(program.link),
            })
            .collect()),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(Vec::new()),
        Err(error) if error.raw_os_error() == Some(nix::libc::ENODEV) => Ok(Vec::new()),
        Err(error) => {
            Err(error).context(|| format!("querying the tcx programs of interface {link}"))
        }
    }
}
