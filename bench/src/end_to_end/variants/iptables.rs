//! Sets up the usual alternative to rewrite: routes, and NAT with conntrack.

use std::net::IpAddr;

use anyhow::Result;
use testkit::iptables_trick::{self, Host};
use testkit::lab::Lab;
use testkit::netns::Namespace;

use super::{Endpoints, sides};

/// Adds the private address, the route to the peer and the four NAT rules on each host.
pub fn set_up(lab: &Lab) -> Result<Endpoints> {
    let hosts = hosts(lab);
    let [(_, a), (_, b)] = &hosts;
    for ((host, own), peer) in hosts.iter().zip([b, a]) {
        iptables_trick::set_up(host, own, peer)?;
    }
    Ok(Endpoints::private())
}

/// Flushes conntrack's entries: the timeouts of closed connections would otherwise disturb a later
/// measurement.
pub fn flush_conntrack(lab: &Lab) -> Result<()> {
    for host in [&lab.a, &lab.b] {
        host.run(&["conntrack", "--flush"])?;
    }
    Ok(())
}

/// Both hosts with their addresses.
pub fn hosts(lab: &Lab) -> [(&Namespace, Host); 2] {
    sides(lab).map(|side| {
        let [private, public, gateway] = [side.private, side.public, side.gateway].map(IpAddr::V4);
        (side.host, Host { private, public, gateway })
    })
}
