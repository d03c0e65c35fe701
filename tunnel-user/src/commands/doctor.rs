//! `rewrite doctor`: finds everything on this host that harms the traffic with the peers, and pings the peers.

mod surroundings;

use std::fs;

use serde::Serialize;
use tunnel_common::outcome::{Direction, Reason};

use super::{ping, status};
use crate::error::Error;
use crate::host::firewall_rules;
use crate::host::netlink::Netlink;
use crate::host::snapshot::Snapshot;
use crate::host::tcp_connections;
use crate::model::text::counted;
use crate::ops::attached::{self, Running};
use crate::ops::reverse_path;
use crate::plan::attach_point::BOTH;
use crate::plan::connections_astray::{Astray, KnownAddresses};
use crate::plan::fault::Fault;
use crate::plan::firewall::{self, MemberAddresses};
use crate::plan::local_tables;
use crate::plan::membership::Membership;

/// The output of `doctor`; `--json` prints these fields (docs/json.md).
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The findings; certain findings come first.
    pub findings: Vec<Finding>,
    /// The interfaces that are attached.
    pub interfaces: Vec<String>,
    /// The number of addresses that were pinged.
    pub pinged: usize,
    /// The number of pinged addresses whose packets and answers arrived.
    pub reached: usize,
}

/// A fault, or a possible fault.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The fault's id.
    #[serde(rename = "id")]
    pub fault: Fault,
    /// The attached interface; null for a fault of the whole host.
    pub interface: Option<String>,
    /// True if the finding harms the traffic for certain; false if it may.
    pub certain: bool,
    /// The description.
    pub what: String,
    /// The harm that the fault does.
    pub why: &'static str,
    /// The remedy; null if the description ends with it.
    pub remedy: Option<String>,
}

impl Finding {
    fn new(fault: Fault, certain: bool, what: impl Into<String>) -> Self {
        let (what, why) = (what.into(), fault.why());
        Self { fault, interface: None, certain, what, why, remedy: None }
    }

    fn on(self, interface: &str) -> Self {
        Self { interface: Some(interface.to_owned()), ..self }
    }

    fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

impl Report {
    /// True if nothing harms the traffic for certain.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.findings.iter().any(|finding| finding.certain)
    }
}

/// Looks at this host and the interface or, without a name, all attached interfaces; and pings the peers.
///
/// # Errors
/// [`Error::Refused`] if the interface is not attached, or if none is; an error if the pins can't be used or
/// the kernel refuses a query.
pub async fn run(interface: Option<&str>) -> Result<Report, Error> {
    let request = status::Request {
        interface: interface.map(str::to_owned),
        require: true,
        ..status::Request::default()
    };
    let status = status::without_files(&request).await?;
    let mut findings = Vec::new();
    let (running, memberships) = attached::undisturbed(async |folders| {
        let open = |folder| {
            let running = Running::open(folder)?;
            let membership = running.membership()?;
            Ok((running, membership))
        };
        let folders = attached::select(folders, interface)?;
        let opened = folders.into_iter().map(open).collect::<Result<Vec<_>, Error>>()?;
        Ok(opened.into_iter().unzip::<_, _, Vec<_>, Vec<_>>())
    })
    .await?;
    let before = not_rewritten(&running)?;
    let pinged = ping::unless_gateway(interface, &[]).await?;
    findings.extend(growth(&before, &not_rewritten(&running)?));
    let peers = || pinged.iter().flat_map(|pinged| &pinged.peers);
    for interface in &status.interfaces {
        for found in &interface.health {
            // A network manager is a possible fault: only its consequence harms for certain.
            let certain = !found.ok;
            // Skip a fault of a peer that was pinged: the ping's result says more.
            let is_pinged = |name: &String| peers().any(|peer| peer.name == *name);
            let is_shown = found.peer.as_ref().is_some_and(is_pinged);
            if (certain && !is_shown) || found.fault == Fault::NetworkManager {
                let finding = Finding::new(found.fault, certain, &found.what);
                findings.push(finding.on(&interface.interface));
            }
        }
    }
    let leftovers = status.left_behind.iter().filter(|left| left.harms);
    findings.extend(
        leftovers
            .map(|left| Finding::new(Fault::Leftover, true, &left.what).with_remedy(&left.remedy)),
    );
    let netlink = Netlink::connect()?;
    let snapshot = Snapshot::take(&netlink).await?;
    for (running, membership) in running.iter().zip(&memberships) {
        reverse_paths(running, membership, &snapshot, &mut findings);
    }
    firewalls(&running, &memberships, &mut findings);
    connections(&running, &memberships, &mut findings)?;
    let interfaces = &status.interfaces;
    let pings = pinged.as_ref();
    let look =
        surroundings::look(&running, &memberships, interfaces, pings, &netlink, &snapshot).await;
    findings.extend(look?);
    findings.extend(full_connection_table());
    for peer in peers().filter(|peer| !peer.is_ok) {
        let ping::Peer { name, private, state, what, remedy, .. } = peer;
        let finding =
            Finding::new(Fault::Path, true, format!("{name} at {private}: {state}: {what}"));
        let finding = finding.on(&peer.interface);
        findings.push(match remedy {
            Some(remedy) => finding.with_remedy(remedy),
            None => finding,
        });
    }
    findings.sort_by_key(|finding| !finding.certain);
    Ok(Report {
        findings,
        interfaces: status.interfaces.into_iter().map(|interface| interface.interface).collect(),
        pinged: peers().count(),
        reached: peers().filter(|peer| peer.is_ok).count(),
    })
}

fn reverse_paths(
    running: &Running,
    membership: &Membership,
    snapshot: &Snapshot,
    findings: &mut Vec<Finding>,
) {
    let name = running.folder.interface();
    let Some(link) = snapshot.find(name) else { return };
    let has_networks = running.network().is_some();
    let drops = reverse_path::drops(&membership.identity, link, has_networks, snapshot);
    let finding = |what: String| Finding::new(Fault::ReversePath, false, what).on(name);
    findings.extend(drops.into_iter().map(finding));
}

/// Finds the problems of the firewalls' rules. A firewall whose rules can't be read is a possible fault.
fn firewalls(running: &[Running], memberships: &[Membership], findings: &mut Vec<Finding>) {
    let (chains, unreadable) = firewall_rules::chains();
    for (running, membership) in running.iter().zip(memberships) {
        let own: Vec<_> = membership
            .identity
            .members()
            .iter()
            .flat_map(|own| own.mappings().map(|mapping| (own.name.to_string(), mapping)))
            .map(|(name, mapping)| MemberAddresses {
                name,
                private: mapping.private().0,
                public: mapping.underlay().0,
            })
            .collect();
        let peers: Vec<_> = membership
            .peers
            .iter()
            .flat_map(|peer| peer.addresses.iter().map(|addresses| (&peer.name, addresses)))
            .map(|(name, addresses)| MemberAddresses {
                name: name.to_string(),
                private: addresses.private.0,
                public: addresses.public.0,
            })
            .collect();
        let interface = running.folder.interface();
        for problem in firewall::problems(&chains, interface, &own, &peers) {
            let finding = Finding::new(problem.fault, false, problem.what).on(interface);
            findings.push(finding.with_remedy(problem.remedy));
        }
    }
    for what in unreadable {
        let what = format!("the rules of a firewall can't be read: {what}");
        findings.push(Finding::new(Fault::FirewallUnread, false, what));
    }
}

/// Finds the connections with a peer's private address whose local address is not a private address of this host. If
/// the kernel does not list its connections, reports a possible fault.
fn connections(
    running: &[Running],
    memberships: &[Membership],
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let open = match tcp_connections::open() {
        Ok(open) => open,
        Err(error) => {
            let what = format!("the kernel does not list its TCP connections: {error}");
            let remedy = "modprobe -a inet_diag tcp_diag";
            findings.push(Finding::new(Fault::ForeignConnection, false, what).with_remedy(remedy));
            return Ok(());
        }
    };
    let known = known_addresses(running, memberships)?;
    for Astray { fault, local, remote, count } in known.astray(&open) {
        let what = match count {
            1 => format!("a connection goes from {local} to {remote}"),
            count => format!("{count} connections go from {local} to {remote}"),
        };
        let remedy = format!(
            "restart the software that has it (ss -tnp src {local} dst {remote} names it): it then \
             uses the private address"
        );
        findings.push(Finding::new(fault, false, what).with_remedy(remedy));
    }
    Ok(())
}

/// The addresses of the cluster, on all attached interfaces.
fn known_addresses(
    running: &[Running],
    memberships: &[Membership],
) -> Result<KnownAddresses, Error> {
    let mut known = KnownAddresses::default();
    for (running, membership) in running.iter().zip(memberships) {
        let mappings = || membership.identity.mappings();
        known.private.extend(mappings().map(|mapping| mapping.private().0));
        known.underlay.extend(mappings().map(|mapping| mapping.underlay().0));
        // Packets at an address from before a move are rewritten as well.
        let former = local_tables::previous_underlays(&running.maps.local_tables()?);
        known.underlay.extend(former.values().flatten().map(|underlay| underlay.0));
        for addresses in membership.peers.iter().flat_map(|peer| &peer.addresses) {
            known.peers.push(addresses.private.0);
            known.peers_public.push(addresses.public.0);
        }
    }
    Ok(known)
}

/// A count of packets that were not rewritten for a reason that harms, on one interface.
struct NotRewritten<'a> {
    interface: &'a str,
    direction: Direction,
    reason: Reason,
    packets: u64,
}

/// The counts of all interfaces, in the same order at each call. A stray reset is left out: the programs drop it to
/// protect a connection.
fn not_rewritten(running: &[Running]) -> Result<Vec<NotRewritten<'_>>, Error> {
    let harms = |reason: Reason| reason.remedy().is_some() && reason != Reason::StrayReset;
    let mut counts = Vec::new();
    for running in running {
        let interface = running.folder.interface();
        for direction in BOTH {
            let all = running.maps.reason_counters(direction)?.into_iter();
            counts.extend(all.filter(|(reason, _)| harms(*reason)).map(|(reason, count)| {
                NotRewritten { interface, direction, reason, packets: count.packets }
            }));
        }
    }
    Ok(counts)
}

/// The counts that have grown.
fn growth<'a>(
    before: &'a [NotRewritten<'_>],
    after: &'a [NotRewritten<'_>],
) -> impl Iterator<Item = Finding> + 'a {
    let grown = |(before, after): (&NotRewritten<'_>, &NotRewritten<'_>)| {
        let NotRewritten { interface, direction, reason, packets } = *after;
        let packets = packets.saturating_sub(before.packets);
        let what = format!(
            "not rewritten at {} during the pings: {}, {}: {}",
            direction.name(),
            counted(packets, "packet"),
            reason.name(),
            reason.description()
        );
        let finding = Finding::new(Fault::NotRewritten, false, what).on(interface);
        (packets > 0).then(|| finding.with_remedy(reason.remedy().unwrap_or_default()))
    };
    before.iter().zip(after).filter_map(grown)
}

/// The finding that the kernel's table of connections is nearly full.
fn full_connection_table() -> Option<Finding> {
    let read = |name: &str| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/sys/net/netfilter/nf_conntrack_{name}"));
        text.ok()?.trim().parse().ok()
    };
    let (count, max) = (read("count")?, read("max")?);
    let what = format!("the kernel tracks {count} connections, and its table has room for {max}");
    let remedy = format!("sysctl -w net.netfilter.nf_conntrack_max={}", max.saturating_mul(2));
    (count.saturating_mul(10) >= max.saturating_mul(9))
        .then(|| Finding::new(Fault::Conntrack, false, what).with_remedy(remedy))
}
