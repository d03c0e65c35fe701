//! Checks this host's interface on one network of the file: its addresses, its type, its routes to the peers, and the
//! programs on it.

use super::{Finding, Level, bad};
use crate::config::Cluster;
use crate::dataplane::pins::Folder;
use crate::dataplane::{hook, in_front};
use crate::error::Error;
use crate::host::bridge_netfilter;
use crate::host::forwarding;
use crate::host::link::Link;
use crate::host::netlink::Netlink;
use crate::host::network_manager::NetworkManager;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::snapshot::Snapshot;
use crate::model::Family;
use crate::model::text::list;
use crate::ops::attach::resolve::require_ipv6_on_loopback;
use crate::ops::attached::Running;
use crate::ops::reverse_path;
use crate::ops::routing;
use crate::plan::attach_point::{AttachPoint, Ingress};
use crate::plan::find_self::{self, HostAddresses};
use crate::plan::identity::Identity;
use crate::plan::membership::Membership;
use crate::plan::peers::PeerAddresses;
use crate::plan::routes::changes;

/// Adds the findings about this host's interface on the network of `cluster`: `named` or, without a name, the interface
/// that has an underlay address. Returns the interface if it was found.
pub(super) async fn check(
    cluster: &Cluster,
    self_names: &[String],
    named: Option<&str>,
    ingress: Ingress,
    findings: &mut Vec<Finding>,
) -> Result<Option<Link>, Error> {
    let netlink = Netlink::connect()?;
    let snapshot = Snapshot::take(&netlink).await?;
    let all = snapshot.all_addresses();
    let on_interface = match named.map(|name| snapshot.attachable(name)) {
        None => all.clone(),
        Some(Ok((link, _))) => snapshot.addresses_of(link.index),
        Some(Err(refusal)) => {
            findings.push(bad(refusal));
            return Ok(None);
        }
    };
    let held = HostAddresses {
        interface: named.unwrap_or("this host"),
        on_interface: &on_interface,
        on_host: &all,
    };
    let membership = find_self::find(cluster, self_names, &held)
        .and_then(|identity| Membership::of(cluster, identity));
    let (membership, left_out) = match membership {
        Ok(found) => found,
        Err(failure) => {
            // Also report a loopback interface that is down: every host except a gateway needs it.
            findings.extend(snapshot.loopback().err().map(bad));
            findings.push(bad(failure));
            return Ok(None);
        }
    };
    let identity = &membership.identity;
    if identity.on_loopback().next().is_some() {
        findings.extend(snapshot.loopback().err().map(bad));
    }
    let missing = identity.on_loopback().filter(|own| !all.contains(&own.0.address()));
    findings.extend(require_ipv6_on_loopback(missing).err().map(bad));
    findings.extend(left_out.iter().map(|left| Finding::new(Level::Note, left.to_string())));
    let link = match named {
        Some(name) => snapshot.find(name),
        None => interface(&membership, &netlink, &snapshot).await,
    };
    let Some(link) = link else { return Ok(None) };
    let (name, names) = (&link.name, list(identity.names()));
    findings.push(Finding::new(
        Level::Good,
        format!("this host is {names}, and its interface is {name}: rewrite attach {name}"),
    ));
    let fits = snapshot.attachable(name).and_then(|(link, header_len)| {
        hook::require_ingress(ingress, link, header_len, snapshot.links())
    });
    findings.extend(fits.err().map(bad));
    match link.require_up() {
        Ok(()) => routes(&membership, link, &netlink, &snapshot, findings).await?,
        // Without the interface, the kernel has no route: one finding stands for all peers.
        Err(down) => findings.push(bad(down)),
    }
    let has_networks = cluster.network().is_some();
    let filtered = reverse_path::drops(identity, link, has_networks, &snapshot);
    findings.extend(filtered.into_iter().map(|what| Finding::new(Level::Note, what)));
    forwarding_off(identity, name, findings);
    findings.extend(
        bridge_netfilter::in_the_way(link)
            .map(|failure| Finding::new(Level::Note, failure.to_string())),
    );
    findings.extend(programs_in_front(link, ingress, &netlink).await?);
    if let Some(manager) = NetworkManager::of(link.index, name) {
        findings.push(Finding::new(Level::Note, manager.consequence(name)));
    }
    if link.up && !link.carrier {
        let what = format!("{name} has no carrier: plug the cable in, or bring up the other end");
        findings.push(Finding::new(Level::Note, what));
    }
    Ok(Some(link.clone()))
}

/// Finds other tools' programs that run before our programs, now or after an attach. Such a program may keep a packet
/// from reaching our program.
async fn programs_in_front(
    link: &Link,
    ingress: Ingress,
    netlink: &Netlink,
) -> Result<Vec<Finding>, Error> {
    let folder = Folder::of(NetworkNamespace::current()?, &link.name);
    let running = Running::open(folder.clone()).ok().filter(|_| folder.exists());
    let attached = running.and_then(|running| {
        let attachment = running.attachment;
        AttachPoint::from_codes(attachment.hook, attachment.ingress)
    });
    let found = match attached {
        Some(place) => in_front::of_attached(&folder, place, link.index, netlink).await?,
        None => {
            let place = AttachPoint { hook: hook::best(), ingress };
            in_front::of_next_attach(place, link.index, netlink).await?
        }
    };
    let name = &link.name;
    let finding = |program| {
        let what = format!(
            "{name} runs a program in front of rewrite, {program}: packets that it ends with \
             TCX_PASS skip rewrite; attach it behind rewrite"
        );
        Finding::new(Level::Note, what)
    };
    Ok(found.iter().map(finding).collect())
}

/// The interface that has an underlay address of this host. If no interface has an underlay address, for example
/// because a prefix is routed to the host: the interface on the path to a peer.
async fn interface<'a>(
    membership: &Membership,
    netlink: &Netlink,
    snapshot: &'a Snapshot,
) -> Option<&'a Link> {
    let underlays: Vec<_> = membership.identity.mappings().map(|m| m.underlay().0).collect();
    let has = |link: &&Link| {
        let own = snapshot.addresses_of(link.index);
        own.iter().any(|address| underlays.iter().any(|underlay| underlay.contains(*address)))
    };
    if let Some(link) = snapshot.links().iter().find(has) {
        return Some(link);
    }
    let public = membership.peers.first()?.addresses.first()?.public;
    let next_hops = netlink.next_hops_to(public.0.address(), None).await.ok()?;
    next_hops.first().and_then(|next_hop| snapshot.link(next_hop.link))
}

async fn routes(
    membership: &Membership,
    link: &Link,
    netlink: &Netlink,
    snapshot: &Snapshot,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let names = snapshot.names();
    let attached = routing::attached(link, &names);
    let (existing, policy) = (netlink.host_routes().await?, netlink.policy().await?);
    let identity = &membership.identity;
    for peer in &membership.peers {
        for addresses in &peer.addresses {
            let route = routing::to_peer(netlink, &attached, &policy, identity, addresses).await;
            let route = route.and_then(|route| changes(&attached, &existing, &[route]).map(|_| ()));
            let good = format!(
                "packets to {}, {}, leave through {}",
                peer.name, addresses.public, link.name
            );
            let is_good = route.is_ok();
            findings.push(Finding::of(route, good));
            if is_good {
                let others = routing::other_links(netlink, &attached, identity, addresses).await?;
                findings.extend(spread(&link.name, &others, addresses));
            }
        }
    }
    Ok(())
}

/// Reports that the kernel spreads packets to a peer's public address over several interfaces.
fn spread(name: &str, others: &[String], addresses: &PeerAddresses) -> Option<Finding> {
    let PeerAddresses { private, public } = addresses;
    (!others.is_empty()).then(|| {
        Finding::new(
            Level::Note,
            format!(
                "equal-cost routes spread packets to {public} over {name} and {}: packets to \
                 {private} leave through {name} alone, and packets from it must arrive there; \
                 attach the others as well if its packets arrive on them",
                list(others)
            ),
        )
    })
}

fn forwarding_off(identity: &Identity, interface: &str, findings: &mut Vec<Finding>) {
    let families = Family::ALL.into_iter().filter(|family| identity.has(*family));
    for family in families.filter(|family| !forwarding::forwards(*family, interface)) {
        if identity.is_gateway() {
            findings.push(Finding::new(
                Level::Note,
                format!(
                    "this host is a gateway, but does not forward {family} packets from \
                     {interface}: sysctl -w {}=1",
                    forwarding::sysctl(family, interface)
                ),
            ));
        }
    }
}
