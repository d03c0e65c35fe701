//! Checks the health of an attached interface: everything that packets need.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::attached::Running;
use super::{other_networks, routing};
use crate::dataplane::hook;
use crate::dataplane::in_flight::{self, Seen};
use crate::dataplane::in_front;
use crate::dataplane::instance;
use crate::dataplane::map_use;
use crate::error::Error;
use crate::host::bridge_netfilter;
use crate::host::forwarding;
use crate::host::link::Link;
use crate::host::netlink::Netlink;
use crate::host::network_manager::NetworkManager;
use crate::host::snapshot::{LOOPBACK, Snapshot};
use crate::model::{Family, Private};
use crate::plan::arp::{self, Sysctl};
use crate::plan::attach_point::{AttachPoint, BOTH};
use crate::plan::change::Kind;
use crate::plan::fault::Fault;
use crate::plan::running_peers::RunningPeer;

/// The result of one check.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The fault that the check looks for.
    #[serde(rename = "id")]
    pub fault: Fault,
    /// The peer, for a check of one peer; `None` for a check of the host, or of the routes to all peers.
    #[serde(skip)]
    pub peer: Option<String>,
    /// True if the check found no fault.
    pub ok: bool,
    /// The description of the good state or of the fault.
    pub what: String,
}

/// The findings, in the order of the checks.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn look(&mut self, fault: Fault, ok: bool, right: String, wrong: String) {
        self.0.push(Finding { fault, peer: None, ok, what: if ok { right } else { wrong } });
    }

    fn wrong(&mut self, fault: Fault, what: String) {
        self.0.push(Finding { fault, peer: None, ok: false, what });
    }
}

/// Checks one attached interface.
///
/// # Errors
/// If a query to the kernel fails.
pub async fn look(
    running: &Running,
    peers: &[RunningPeer],
    netlink: &Netlink,
    snapshot: &Snapshot,
) -> Result<Vec<Finding>, Error> {
    let Running { folder, attachment, .. } = running;
    let name = folder.interface();
    let mut findings = Findings::default();
    let link = snapshot.find(name).filter(|link| link.index == attachment.ifindex);
    let renamed = snapshot.link(attachment.ifindex).filter(|link| link.name != name);
    findings.look(
        Fault::InterfaceDown,
        link.is_some_and(|link| link.up),
        format!("{name} is up"),
        match renamed.map(|link| &link.name) {
            Some(now) => format!(
                "{name} has the new name {now}: rewrite detach {name}, then rewrite attach {now}"
            ),
            None => {
                format!("{name} is gone or down: bring it up, or attach again if it was recreated")
            }
        },
    );
    if let Some(link) = link.filter(|link| link.up) {
        findings.look(
            Fault::NoCarrier,
            link.carrier,
            format!("{name} has a carrier"),
            format!("{name} has no carrier: plug the cable in, or bring up the other end"),
        );
        let filtered = bridge_netfilter::in_the_way(link);
        if let Some(failure) = filtered.filter(|_| bridge_netfilter::tracks_connections()) {
            findings.wrong(Fault::BridgeNetfilter, failure.to_string());
        }
    }
    // Since the attach, the interface may have become a part of another device, or changed its mode.
    if let Some(Err(failure)) = link.map(|_| snapshot.attachable(name)) {
        findings.wrong(Fault::InterfaceUnfit, failure.to_string());
    }
    let place = AttachPoint::from_codes(attachment.hook, attachment.ingress);
    if let (Some(link), Some(place)) = (link, place)
        && let Err(failure) = hook::require_tags(place.ingress, link, snapshot.links())
    {
        findings.wrong(Fault::InterfaceUnfit, failure.to_string());
    }
    killed(running, &mut findings)?;
    programs(running, netlink, &mut findings).await?;
    strays(running, link, netlink, &mut findings).await?;
    in_front(running, link, netlink, &mut findings).await?;
    arp(running, peers, link, &mut findings);
    addresses(running, snapshot, &mut findings);
    routes(running, peers, link, netlink, snapshot, &mut findings).await?;
    network_manager(running, link, &mut findings);
    Ok(findings.0)
}

/// Reports a command that was killed or that failed halfway.
fn killed(running: &Running, findings: &mut Findings) -> Result<(), Error> {
    let name = running.folder.interface();
    if let Seen::Killed(change) = in_flight::seen(&running.folder)? {
        let (noun, help) = match change {
            Kind::Attach => ("an attach", "attach"),
            Kind::Detach => ("a detach", "detach"),
            Kind::Update => ("a change", "attach"),
        };
        let wrong = format!("{noun} was killed or failed halfway: rewrite {help} {name}");
        findings.wrong(Fault::HalfDone, wrong);
    }
    Ok(())
}

async fn programs(
    running: &Running,
    netlink: &Netlink,
    findings: &mut Findings,
) -> Result<(), Error> {
    let Running { folder, attachment, .. } = running;
    let name = folder.interface();
    let place = AttachPoint::from_codes(attachment.hook, attachment.ingress);
    for direction in BOTH {
        let label = direction.name();
        let runs = match place {
            Some(place) => hook::runs(folder, place, direction, netlink, attachment.ifindex).await,
            None => false,
        };
        findings.look(
            Fault::ProgramMissing,
            runs,
            format!("the {label} program is attached"),
            format!("the {label} program is not attached: rewrite attach {name}"),
        );
    }
    let Some(place) = place else { return Ok(()) };
    let unseen = map_use::unseen(folder, place, attachment.ifindex, netlink).await?;
    if !unseen.is_empty() {
        let wrong = format!(
            "the programs use other maps than the pinned ones ({}): rewrite attach {name}",
            unseen.join(", ")
        );
        findings.wrong(Fault::OtherMaps, wrong);
    }
    Ok(())
}

/// Reports our programs that run in addition to the pinned programs: they rewrite each packet a second time.
async fn strays(
    running: &Running,
    link: Option<&Link>,
    netlink: &Netlink,
    findings: &mut Findings,
) -> Result<(), Error> {
    let Some(name) = link.map(|link| &link.name) else { return Ok(()) };
    for program in running.strays(netlink).await? {
        let wrong =
            format!("{name} runs a stray program of rewrite, {program}: rewrite attach {name}");
        findings.wrong(Fault::StrayProgram, wrong);
    }
    Ok(())
}

/// Reports other tools' programs in front of our programs: they can keep packets from reaching our programs.
async fn in_front(
    running: &Running,
    link: Option<&Link>,
    netlink: &Netlink,
    findings: &mut Findings,
) -> Result<(), Error> {
    let Running { folder, attachment, .. } = running;
    let place = AttachPoint::from_codes(attachment.hook, attachment.ingress);
    let (Some(link), Some(place)) = (link, place) else { return Ok(()) };
    for program in in_front::of_attached(folder, place, link.index, netlink).await? {
        let wrong = format!(
            "{} runs a program in front of rewrite, {program}: packets that it ends with TCX_PASS \
             skip rewrite; attach that program again, so that it runs behind rewrite",
            link.name
        );
        findings.wrong(Fault::ProgramInFront, wrong);
    }
    Ok(())
}

/// Reports a network manager that may remove our routes. Reports nothing if our daemon runs: the daemon restores the
/// routes.
fn network_manager(running: &Running, link: Option<&Link>, findings: &mut Findings) {
    let Running { folder, attachment, .. } = running;
    let Some(link) = link else { return };
    if attachment.routes_managed == 0 || instance::is_there(folder) {
        return;
    }
    if let Some(manager) = NetworkManager::of(link.index, &link.name) {
        findings.look(Fault::NetworkManager, true, manager.consequence(&link.name), String::new());
    }
}

fn arp(running: &Running, peers: &[RunningPeer], link: Option<&Link>, findings: &mut Findings) {
    let name = running.folder.interface();
    let own = running.local.identity.on_loopback();
    let has_direct = peers.iter().any(|running| running.peer.direct);
    let Some(wanted) =
        link.map(|link| arp::wanted_for(link.has_hardware_addresses, own, has_direct))
    else {
        return;
    };
    let is_set =
        |sysctl: &Sysctl| sysctl.effective(name).is_ok_and(|value| value >= sysctl.wanted());
    if !wanted.is_empty() {
        let fact = match has_direct {
            true => {
                format!(
                    "ARP on {name} reveals the private address only in replies to requests for it"
                )
            }
            false => format!("ARP on {name} does not reveal the private address"),
        };
        findings.look(
            Fault::Arp,
            wanted.iter().all(is_set),
            fact,
            format!("ARP on {name} can reveal the private address: rewrite attach {name}"),
        );
    }
}

fn addresses(running: &Running, snapshot: &Snapshot, findings: &mut Findings) {
    let (name, identity) = (running.folder.interface(), &running.local.identity);
    guard(running, findings);
    let held = snapshot.all_addresses();
    for own in identity.on_loopback() {
        let (address, length) = (own.0.address(), own.0.length());
        findings.look(
            Fault::PrivateAddress,
            held.contains(&address),
            format!("this host has {address}"),
            format!(
                "this host lacks its private address {address}: ip addr add {address}/{length} dev \
                 {LOOPBACK}"
            ),
        );
    }
    // Check single addresses only: if a prefix is routed to a host, the host need not have an address of the prefix.
    for underlay in identity.mappings().filter(|m| m.is_single()).map(|m| m.underlay()) {
        findings.look(
            Fault::UnderlayAddress,
            held.contains(&underlay.0.address()),
            format!("this host has {underlay}"),
            format!(
                "this host lacks its underlay address {underlay}: correct the file and attach again"
            ),
        );
    }
    if !identity.is_gateway() {
        return;
    }
    for family in Family::ALL.into_iter().filter(|family| identity.has(*family)) {
        findings.look(
            Fault::Forwarding,
            forwarding::forwards(family, name),
            format!("this host forwards {family} packets from {name}"),
            format!(
                "this host does not forward {family} packets from {name}: sysctl -w {}=1",
                forwarding::sysctl(family, name)
            ),
        );
    }
}

/// Reports the private addresses that the programs guard against packets from non-members.
fn guard(running: &Running, findings: &mut Findings) {
    let Running { folder, attachment, local, .. } = running;
    let settings = &attachment.settings;
    for own in local.identity.on_loopback() {
        let is_guarded = match own.0.address() {
            IpAddr::V4(address) => settings.guarded_v4 == address.octets(),
            IpAddr::V6(address) => settings.guarded_v6 == address.octets(),
        };
        if is_guarded {
            let name = folder.interface();
            let fact = format!(
                "packets from non-members on {name} do not reach {} itself",
                own.0.address()
            );
            findings.look(Fault::Guard, true, fact, String::new());
        }
    }
}

async fn routes(
    running: &Running,
    peers: &[RunningPeer],
    link: Option<&Link>,
    netlink: &Netlink,
    snapshot: &Snapshot,
    findings: &mut Findings,
) -> Result<(), Error> {
    let Running { folder, attachment, local, .. } = running;
    let name = folder.interface();
    if attachment.routes_managed == 0 {
        if !routing::ours(netlink, attachment.ifindex).await?.is_empty() {
            let left = format!(
                "an earlier attach without --no-routes left routes through {name}: rewrite attach \
                 {name} --no-routes"
            );
            findings.wrong(Fault::Route, left);
        }
        return Ok(());
    }
    // Read the routes before the attached interfaces: an attach creates the pins before it sets the routes, and a
    // detach removes the routes before the pins.
    let routes = netlink.host_routes().await?;
    let names = snapshot.names();
    let others = other_networks::others(folder)?;
    let ours = routes.iter().filter(|existing| existing.is_ours());
    let links: BTreeMap<Private, u32> =
        ours.map(|existing| (existing.route.destination, existing.route.link)).collect();
    let by_other = |private: Private| {
        let link = links.get(&private)?;
        others.iter().find(|other| other.attachment.ifindex == *link)
    };
    let policy = netlink.policy().await?;
    for addresses in peers.iter().flat_map(|running| &running.peer.addresses) {
        let private = addresses.private;
        if let Some(other) = by_other(private) {
            let by = other.folder.interface();
            let has_carrier =
                snapshot.link(other.attachment.ifindex).is_some_and(|link| link.up && link.carrier);
            findings.look(
                Fault::Route,
                has_carrier,
                format!("{private} is routed through {by}, which is attached"),
                format!(
                    "{private} is routed through {by}, which is down or has no carrier: bring \
                     {by} up, or plug its cable in"
                ),
            );
            continue;
        }
        let Some(link) = link else { continue };
        let attached = routing::attached(link, &names);
        let identity = &local.identity;
        let wanted = routing::to_peer(netlink, &attached, &policy, identity, addresses).await;
        let wrong = match wanted {
            Ok(wanted) if routes.iter().any(|existing| existing.route.leads_as(&wanted)) => {
                routing::astray(netlink, &wanted, &names).await?
            }
            Ok(_) => Some(format!(
                "the route to {private} along the path to {} through {name} is missing: rewrite \
                 attach {name}",
                addresses.public
            )),
            Err(failure) => Some(format!("{private} has no route through {name}: {failure}")),
        };
        let right = format!("{private} is routed through {name}");
        findings.look(Fault::Route, wrong.is_none(), right, wrong.unwrap_or_default());
    }
    Ok(())
}
