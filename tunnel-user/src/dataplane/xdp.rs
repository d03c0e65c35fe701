//! Attaches and replaces the ingress program at XDP, by a pinned link (Linux 5.9, commit aa8d3a716b59), and refuses
//! unsuitable interfaces.

use std::io;
use std::iter;
use std::os::fd::AsFd as _;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::XdpLink;
use aya::programs::{Xdp, XdpMode, loaded_links, loaded_programs};
use tunnel_common::outcome::Direction;
use tunnel_common::settings::ETHERNET_HEADER_LEN;

use super::hook::unusable;
use super::load::Loaded;
use super::pins::Folder;
use super::xdp_reason;
use crate::error::{Context as _, Error, is_io};
use crate::host::link::Link;
use crate::host::{software_checksums, virtio, vlan_tags};
use crate::plan::attach_point::{Ingress, Program};

const BY_TC: &str = "leave --ingress out to attach by tc, which works beside an XDP program";

/// Refuses an interface whose packets the program can't parse, does not see or can't rewrite, and an interface that
/// runs another XDP program. `links` holds all interfaces.
pub fn require(ingress: Ingress, link: &Link, header_len: u8, links: &[Link]) -> Result<(), Error> {
    let name = &link.name;
    if header_len != ETHERNET_HEADER_LEN {
        return Err(Error::refused(
            format!(
                "{name} is not an Ethernet interface, and --ingress {} requires one",
                ingress.name()
            ),
            "leave --ingress out to attach by tc, which works on any interface",
        ));
    }
    require_tags_in_frames(link, links)?;
    match ingress {
        Ingress::Xdp => require_a_driver_that_runs_it(link, links)?,
        Ingress::XdpGeneric => require_sums_of_hardware(link, links)?,
        Ingress::Tc => {}
    }
    match link.xdp_programs[..] {
        [] => Ok(()),
        [id, ..] => Err(taken(name, Some(id))),
    }
}

/// Refuses an interface with a VLAN interface on top if the interface removes VLAN tags before the program sees the
/// frame: the VLAN's frames belong to another network, but would look like the interface's own frames.
pub fn require_tags_in_frames(link: &Link, links: &[Link]) -> Result<(), Error> {
    let name = &link.name;
    match vlan_tags::vlan_above(link, links).filter(|_| vlan_tags::are_taken_off(link)) {
        None => Ok(()),
        Some(vlan) => Err(Error::refused(
            format!(
                "{name} removes VLAN tags before an XDP program sees the frame (rx-vlan-offload), \
                 so frames of {} look like frames of {name} itself",
                vlan.name
            ),
            format!(
                "leave --ingress out: tc sees the tags; or turn the offload off (ethtool -K \
                 {name} rxvlan off)"
            ),
        )),
    }
}

/// Refuses an interface whose driver accepts the program but never runs it. Also checks the interfaces in a bond,
/// because a bond passes the program on to them (Linux 5.15, drivers/net/bonding/bond_main.c, bond_xdp_set).
fn require_a_driver_that_runs_it(link: &Link, links: &[Link]) -> Result<(), Error> {
    let parts = links.iter().filter(|other| other.controller == Some(link.index));
    match iter::once(link).chain(parts).find(|link| virtio::ignores_xdp(link)) {
        None => Ok(()),
        Some(found) => Err(Error::refused(
            format!(
                "{} is a virtio-net device without mergeable buffers (VIRTIO_NET_F_MRG_RXBUF), \
                 whose driver accepts an XDP program but never runs it",
                found.name
            ),
            "leave --ingress out: tc sees these packets; or enable mrg_rxbuf in the hypervisor",
        )),
    }
}

fn require_sums_of_hardware(link: &Link, links: &[Link]) -> Result<(), Error> {
    let Some(source) = software_checksums::source(link, links) else { return Ok(()) };
    let (name, from) = (&link.name, &source.name);
    let kind = source.kind.as_deref().unwrap_or("tunnel");
    let what = if source.index == link.index {
        format!("{name} is a {kind} interface")
    } else {
        format!("{name} carries packets of {from}, a {kind} interface")
    };
    Err(Error::refused(
        format!(
            "{what}: the kernel computes the checksum of such packets itself, no XDP program can \
             correct it, and the kernel then drops longer UDP datagrams over IPv4"
        ),
        "leave --ingress out: tc corrects the checksum",
    ))
}

fn taken(interface: &str, id: Option<u32>) -> Error {
    let program = id.map_or_else(String::new, |id| format!(": {}", described(id)));
    Error::refused(
        format!("{interface} already runs another XDP program{program}"),
        format!(
            "an interface runs one XDP program; {BY_TC}, or remove the other one first (ip link \
             set dev {interface} xdp off; if libxdp manages it: xdp-loader unload {interface} \
             --all)"
        ),
    )
}

/// The program's id and name, for example `id 42, xdp_dispatcher`, as in `bpftool prog show`.
fn described(id: u32) -> String {
    let name = loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned));
    name.map_or_else(|| format!("id {id}"), |name| format!("id {id}, {name}"))
}

/// The XDP mode of `ingress`; `None` for tc.
const fn mode(ingress: Ingress) -> Option<XdpMode> {
    match ingress {
        Ingress::Tc => None,
        Ingress::Xdp => Some(XdpMode::Driver),
        Ingress::XdpGeneric => Some(XdpMode::Skb),
    }
}

/// Attaches the program by a link, and pins the link.
pub fn attach(loaded: &mut Loaded, folder: &Folder, link: &Link) -> Result<(), Error> {
    let ingress = loaded.place().ingress;
    let Some(mode) = mode(ingress) else { return Ok(()) };
    let program = loaded.xdp(Program::Xdp)?;
    let what = || format!("attaching to {} by {}", link.name, ingress.name());
    let id = match program.attach_to_if_index(link.index, mode) {
        Ok(id) => id,
        Err(error) if is_taken(&error) => return Err(taken(&link.name, None)),
        Err(error) => {
            let reason = program
                .fd()
                .ok()
                .and_then(|fd| xdp_reason::ask(link.index, fd.as_fd(), mode).ok().flatten());
            return Err(refusal(ingress, &link.name, reason, &error));
        }
    };
    if !has_link(program).context(what)? {
        // aya fell back to netlink: the program would stay attached after the pins are gone.
        program.detach(id).context(what)?;
        return Err(Error::host(format!("{}: this kernel has no XDP links", what()), BY_TC));
    }
    let link: FdLink = program.take_link(id).context(what)?.try_into().context(what)?;
    link.pin(folder.link(Direction::Ingress)).map(drop).map_err(unusable).context(what)
}

/// True if the program is attached by a link. Listing links needs CAP_SYS_ADMIN. Also true without CAP_SYS_ADMIN: a
/// mainline kernel that loads the program (Linux 5.18) has XDP links (Linux 5.9).
fn has_link(program: &Xdp) -> Result<bool, anyhow::Error> {
    let id = program.info()?.id();
    Ok(loaded_links().any(|link| match link {
        Ok(link) => link.program_id() == id,
        Err(error) => is_io(&error, io::ErrorKind::PermissionDenied),
    }))
}

fn is_taken(error: &(dyn std::error::Error + 'static)) -> bool {
    is_io(error, io::ErrorKind::ResourceBusy) || is_io(error, io::ErrorKind::AlreadyExists)
}

/// The error for a refused program. `reason` is the driver's own text, if the driver gave one.
fn refusal(
    ingress: Ingress,
    interface: &str,
    reason: Option<String>,
    error: &(dyn std::error::Error + 'static),
) -> Error {
    let reason = reason.unwrap_or_else(|| with_sources(error));
    match ingress {
        Ingress::Xdp => Error::refused(
            format!("the driver of {interface} does not run the XDP program: {reason}"),
            format!(
                "{BY_TC}; or use --ingress xdp-generic, which runs it in the kernel's generic \
                 path, slower than tc"
            ),
        ),
        Ingress::XdpGeneric | Ingress::Tc => Error::refused(
            format!("the kernel does not run the XDP program on {interface}: {reason}"),
            BY_TC,
        ),
    }
}

fn with_sources(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let words = source.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = source.source();
    }
    text
}

/// Replaces the running program with `program`.
pub fn replace(program: &mut Xdp, folder: &Folder) -> Result<(), anyhow::Error> {
    let link = FdLink::from(PinnedLink::from_pin(folder.link(Direction::Ingress))?);
    let id = program.attach_to_link(XdpLink::try_from(link)?)?;
    // Close the descriptor: the pin keeps the link, and an open descriptor would keep the program attached after the
    // pin is gone.
    drop(program.take_link(id)?);
    Ok(())
}
