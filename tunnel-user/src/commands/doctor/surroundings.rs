//! Finds the things around the dataplane that can harm the traffic: queueing disciplines, filters and XDP programs of
//! other tools, learnt path MTUs, and software of the cluster that uses public addresses.

use std::net::IpAddr;

use super::{Finding, known_addresses, ping};
use crate::commands::status;
use crate::dataplane::program_order;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::snapshot::Snapshot;
use crate::host::{listening_sockets, tcp_connections};
use crate::model::text::counted;
use crate::ops::attached::Running;
use crate::plan::attach_point::AttachPoint;
use crate::plan::cluster_ports::Protocol;
use crate::plan::connections_astray::KnownAddresses;
use crate::plan::fault::Fault;
use crate::plan::learnt_mtu::{Judgement, LearntMtu};
use crate::plan::listeners_astray::{PublicConnections, PublicListener};
use crate::plan::membership::Membership;

/// Looks at the surroundings of all attached interfaces. `pinged` has the results of the pings, which measure the path
/// MTUs.
///
/// # Errors
/// If the kernel refuses a query.
pub(super) async fn look(
    running: &[Running],
    memberships: &[Membership],
    interfaces: &[status::Interface],
    pinged: Option<&ping::Report>,
    netlink: &Netlink,
    snapshot: &Snapshot,
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for running in running {
        traffic_control(running, netlink, &mut findings).await?;
    }
    findings.extend(interfaces.iter().flat_map(xdp_in_front));
    learnt_mtus(memberships, pinged, netlink, snapshot, &mut findings).await?;
    cluster_on_public(&known_addresses(running, memberships)?, &mut findings);
    Ok(findings)
}

async fn traffic_control(
    running: &Running,
    netlink: &Netlink,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let Running { folder, attachment, .. } = running;
    let name = folder.interface();
    for qdisc in netlink.qdiscs(attachment.ifindex).await? {
        let Some(harm) = qdisc.harm() else { continue };
        let what = format!("the queueing discipline {} {harm}", qdisc.kind);
        let finding = Finding::new(Fault::Qdisc, false, what).on(name);
        findings.push(finding.with_remedy(qdisc.remedy(name)));
    }
    let place = AttachPoint::from_codes(attachment.hook, attachment.ingress);
    for filter in netlink.harmful_filters(attachment.ifindex).await? {
        let ours = place.and_then(|place| program_order::own_priority(place, filter.direction));
        let order = if filter.is_before(ours) { "in front of" } else { "behind" };
        let what = format!(
            "a {} filter at {}, pref {}, {order} rewrite, {}",
            filter.kind,
            filter.direction.name(),
            filter.priority,
            filter.harm.describe()
        );
        let remedy = format!(
            "{}, if packets of the peers match it (tc -s filter show dev {name} {})",
            filter.remedy(name),
            filter.direction.name()
        );
        findings.push(Finding::new(Fault::TcFilter, false, what).on(name).with_remedy(remedy));
    }
    Ok(())
}

fn xdp_in_front(interface: &status::Interface) -> impl Iterator<Item = Finding> {
    let name = &interface.interface;
    let programs = interface.other_programs.iter();
    let in_front = programs.filter(|one| one.by == "xdp" && one.order == "before");
    in_front.map(move |program| {
        let called = program.name.as_deref().unwrap_or("without a known name");
        let id = program.id;
        let what = format!("an XDP program, {called} (id {id}), sees packets before rewrite");
        let remedy = format!(
            "ip link set dev {name} xdp off, or xdpgeneric off, if it drops packets of the peers (bpftool \
             prog show id {id})"
        );
        Finding::new(Fault::XdpInFront, false, what).on(name).with_remedy(remedy)
    })
}

/// Finds learnt path MTUs of the peers' addresses that are too small, or may be.
async fn learnt_mtus(
    memberships: &[Membership],
    pinged: Option<&ping::Report>,
    netlink: &Netlink,
    snapshot: &Snapshot,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    for learnt in netlink.learnt_mtus().await? {
        let LearntMtu { destination, mtu, link } = learnt;
        let peers = memberships.iter().flat_map(|membership| &membership.peers);
        let of_address = |addresses: &&_| {
            let addresses: &crate::plan::peers::PeerAddresses = addresses;
            let [private, public] = [addresses.private.0, addresses.public.0];
            private.contains(destination) || public.contains(destination)
        };
        let found =
            peers.flat_map(|peer| peer.addresses.iter().map(move |addresses| (peer, addresses)));
        let Some((peer, addresses)) = found.into_iter().find(|(_, of)| of_address(of)) else {
            continue;
        };
        let Some(link) = snapshot.link(link) else { continue };
        let results = pinged.into_iter().flat_map(|report| &report.peers);
        let measured = results
            .filter(|result| measures(result, &link.name))
            .filter_map(|result| Some((result.private.parse::<IpAddr>().ok()?, result)))
            .find(|(private, _)| addresses.private.0.contains(*private))
            .map(|(_, result)| result);
        let measured = measured.and_then(|result| result.mtu_out).map(u32::from);
        let now = match learnt.judge(link.mtu.map_or(u32::MAX, u32::from), measured) {
            Judgement::Right => continue,
            Judgement::Stale(size) => format!("although packets of {size} bytes arrive"),
            Judgement::Unknown => "and the size that the path carries now is unknown".into(),
        };
        let what = format!(
            "the kernel has learnt a path MTU of {mtu} bytes for {destination} ({}), {now}",
            peer.name
        );
        let finding = Finding::new(Fault::LearntMtu, false, what).on(&link.name);
        findings.push(finding.with_remedy(learnt.remedy()));
    }
    Ok(())
}

/// True if the ping measured the path through the interface `link`: its packets took that path as rewritten packets,
/// with the public address. A native ping took another path.
fn measures(result: &ping::Peer, link: &str) -> bool {
    result.interface == link && result.state != "native"
}

/// Finds software of the cluster that uses public addresses. If the kernel does not list its sockets, finds nothing:
/// the check of the connections reports that.
fn cluster_on_public(known: &KnownAddresses, findings: &mut Vec<Finding>) {
    let listeners = listening_sockets::listening().unwrap_or_default();
    for PublicListener { listener, software } in known.public_listeners(&listeners) {
        let (protocol, local) = (listener.protocol.name(), listener.local);
        let what = format!(
            "{software} seems to listen on {protocol} {local} alone, which is no private address"
        );
        let is_v4 = local.is_ipv4();
        let of_family = known.private.iter().find(|own| own.address().is_ipv4() == is_v4);
        let private = of_family.map_or("the private address".into(), ToString::to_string);
        let option = if listener.protocol == Protocol::Udp { 'u' } else { 't' };
        let remedy = format!(
            "bind it to {private} in its configuration (ss -{option}lnp 'sport = :{}' names it)",
            local.port()
        );
        findings.push(Finding::new(Fault::PublicListener, false, what).with_remedy(remedy));
    }
    let open = tcp_connections::open().unwrap_or_default();
    for connections in known.public_connections(&open) {
        let PublicConnections { local, remote, port, software, count } = connections;
        let what = format!(
            "{} at the port {port} of {software} between {local} and {remote}, which are public \
             addresses",
            counted(count, "connection")
        );
        let remedy = format!(
            "name the members by their private addresses in its configuration (ss -tnp src {local} \
             dst {remote} names it)"
        );
        findings.push(Finding::new(Fault::PublicCluster, false, what).with_remedy(remedy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(interface: &str, state: &'static str) -> ping::Peer {
        ping::Peer {
            name: "srvb".into(),
            private: "10.0.0.2".into(),
            public: "203.0.113.2".into(),
            interface: interface.into(),
            state,
            is_ok: true,
            sent: 3,
            received: 3,
            milliseconds: None,
            mtu_out: Some(1500),
            mtu_back: Some(1500),
            stamp: None,
            arrived: 0,
            what: String::new(),
            remedy: None,
        }
    }

    #[test]
    fn a_ping_measures_the_path_of_its_own_interface() {
        assert!(measures(&result("eth0", "ok"), "eth0"));
        assert!(!measures(&result("ib0", "ok"), "eth0"));
        assert!(!measures(&result("eth0", "native"), "eth0"));
    }
}
