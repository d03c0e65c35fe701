//! `rewrite status`: what is attached, to what, since when, by which version; and whether it works.

use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use tunnel_common::ABI_VERSION;
use tunnel_common::outcome::Direction;

use super::routing;
use super::running::{self, Running};
use crate::dataplane::hook::{self, Hook};
use crate::dataplane::maps::text;
use crate::failure::Failure;
use crate::host::arp;
use crate::host::netlink::Netlink;
use crate::host::snapshot::{LOOPBACK, Snapshot};
use crate::plan::peers::{self, RunningPeer};
use crate::plan::routes::PeerRoute;

/// Everything that `status` says; with `--json`, as it stands here (docs/json.md).
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The version of this binary.
    pub version: &'static str,
    /// The version of the maps' shapes.
    pub abi_version: u32,
    /// The attached interfaces.
    pub interfaces: Vec<Interface>,
}

/// One attached interface.
#[derive(Clone, Debug, Serialize)]
pub struct Interface {
    /// Its name.
    pub interface: String,
    /// Where the programs run: tcx or clsact.
    pub hook: &'static str,
    /// When it was attached (RFC 3339, UTC).
    pub attached_at: String,
    /// When attach last changed it (RFC 3339, UTC).
    pub changed_at: String,
    /// The version that last changed it.
    pub attached_by: String,
    /// The folder of the pins.
    pub pins: String,
    /// This host.
    #[serde(rename = "self")]
    pub identity: SelfMember,
    /// The peers, sorted by name.
    pub peers: Vec<Peer>,
    /// What was looked at, and whether it is as it should be.
    pub health: Vec<Finding>,
    /// Whether all of it is.
    pub healthy: bool,
}

/// This host.
#[derive(Clone, Debug, Serialize)]
pub struct SelfMember {
    /// Its name.
    pub name: String,
    /// Its private address.
    pub private: String,
    /// Its public address.
    pub public: String,
    /// The address of its interface.
    pub underlay: String,
}

/// One peer.
#[derive(Clone, Debug, Serialize)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Its private address.
    pub private: String,
    /// Where packets to it are sent.
    pub public: String,
    /// Where packets from it are accepted from.
    pub accepted_from: Vec<String>,
    /// Whether plain packets from its private address are let through.
    pub direct: bool,
}

impl From<&RunningPeer> for Peer {
    fn from(running: &RunningPeer) -> Self {
        Self {
            name: running.peer.name.to_string(),
            private: running.peer.private.to_string(),
            public: running.peer.public.to_string(),
            accepted_from: running.accepted.iter().map(ToString::to_string).collect(),
            direct: running.peer.direct,
        }
    }
}

/// One thing that has to be as it should.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Whether it is.
    pub ok: bool,
    /// What was looked at, or what is wrong with it.
    pub what: String,
}

/// Looks at everything that is attached in this network namespace.
///
/// # Errors
/// If the pins can't be used.
pub async fn run() -> Result<Status, Failure> {
    let netlink = Netlink::connect()?;
    let snapshot = Snapshot::take(&netlink).await?;
    let mut interfaces = Vec::new();
    for running in running::all()? {
        interfaces.push(interface(&running, &netlink, &snapshot).await?);
    }
    Ok(Status { version: env!("CARGO_PKG_VERSION"), abi_version: ABI_VERSION, interfaces })
}

async fn interface(
    running: &Running,
    netlink: &Netlink,
    snapshot: &Snapshot,
) -> Result<Interface, Failure> {
    let Running { folder, maps, attachment, identity } = running;
    let peers = peers::running(&maps.peers()?, &maps.names()?);
    let health = health(running, &peers, netlink, snapshot).await?;
    Ok(Interface {
        interface: folder.interface().into(),
        hook: Hook::from_code(attachment.hook).map_or("none", Hook::name),
        attached_at: time(attachment.attached_at),
        changed_at: time(attachment.changed_at),
        attached_by: text(&attachment.version),
        pins: folder.path().display().to_string(),
        identity: SelfMember {
            name: identity.name.to_string(),
            private: identity.private.to_string(),
            public: identity.public.to_string(),
            underlay: identity.underlay.to_string(),
        },
        peers: peers.iter().map(Peer::from).collect(),
        healthy: health.iter().all(|finding| finding.ok),
        health,
    })
}

async fn health(
    running: &Running,
    peers: &[RunningPeer],
    netlink: &Netlink,
    snapshot: &Snapshot,
) -> Result<Vec<Finding>, Failure> {
    let Running { folder, attachment, identity, .. } = running;
    let name = folder.interface();
    let mut findings = Vec::new();
    let mut look = |ok: bool, right: String, wrong: String| {
        findings.push(Finding { ok, what: if ok { right } else { wrong } });
    };

    let link = snapshot.find(name).filter(|link| link.index == attachment.ifindex);
    look(
        link.is_some_and(|link| link.up),
        format!("{name} is there and up"),
        format!("{name} is gone or down: bring it up, or attach again if it was made anew"),
    );
    for (direction, label) in [(Direction::Egress, "egress"), (Direction::Ingress, "ingress")] {
        let hook = Hook::from_code(attachment.hook);
        let runs = match hook {
            Some(hook) => hook::runs(folder, hook, direction, netlink, attachment.ifindex).await,
            None => false,
        };
        look(
            runs,
            format!("packets meet the {label} program"),
            format!("packets do not meet the {label} program: rewrite attach {name}"),
        );
    }
    look(
        arp::effective(name).is_ok_and(|value| value >= arp::BEST_LOCAL),
        format!("ARP on {name} keeps the private address to itself"),
        format!("ARP on {name} may name the private address: rewrite attach {name}"),
    );
    let address = identity.private;
    look(
        snapshot.all_addresses().contains(&address.0),
        format!("this host has {address}"),
        format!(
            "this host lacks its private address {address}: ip addr add {address}/32 dev {LOOPBACK}"
        ),
    );
    let underlay = identity.underlay;
    look(
        link.is_some_and(|link| snapshot.addresses_of(link.index).contains(&underlay.0))
            || snapshot.all_addresses().contains(&underlay.0),
        format!("this host has {underlay}"),
        format!(
            "this host lacks its underlay address {underlay}: correct the file and attach again"
        ),
    );
    if attachment.routes_managed == 1 {
        let routes = netlink.host_routes().await?;
        for peer in peers {
            let private = peer.peer.private;
            let wanted = netlink.way_to(peer.peer.public.0).await.ok().map(|way| PeerRoute {
                destination: private,
                link: way.link,
                gateway: way.gateway.unwrap_or(peer.peer.public.0),
                source: identity.private,
            });
            look(
                routes
                    .iter()
                    .any(|r| r.route.link == attachment.ifindex && Some(r.route) == wanted),
                format!("{private} is routed through {name}"),
                format!(
                    "there is no route to {private} by the way to {}, through {name}: rewrite attach {name}",
                    peer.peer.public
                ),
            );
        }
    }
    let ours = routing::ours(netlink, attachment.ifindex).await?;
    if attachment.routes_managed == 0 && !ours.is_empty() {
        look(false, String::new(), "routes are left of an attach without --no-routes".into());
    }
    Ok(findings)
}

fn time(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}
