//! Finds interfaces whose reverse-path filter can drop packets of peers.

use std::net::IpAddr;

use crate::host::forwarding;
use crate::host::link::Link;
use crate::host::snapshot::{LOOPBACK, Snapshot};
use crate::model::text::interface_sysctl;
use crate::plan::identity::Identity;

/// A description for each interface that can drop packets of peers, with the command that lets them in. `link` is the
/// attached interface, and `has_networks` is true if the file has networks.
#[must_use]
pub fn drops(
    identity: &Identity,
    link: &Link,
    has_networks: bool,
    snapshot: &Snapshot,
) -> Vec<String> {
    let name = &link.name;
    let loose = |interface: &str| {
        format!("sysctl -w {}=2 lets them in", interface_sysctl("ipv4", interface, "rp_filter"))
    };
    let private: Vec<IpAddr> = identity.on_loopback().map(|own| own.0.address()).collect();
    let v4 = |address: &IpAddr| address.is_ipv4() && private.contains(address);
    let mut drops = Vec::new();
    // Packets on the loopback interface stay on this host.
    for other in snapshot.links().iter().filter(|other| other.name != LOOPBACK) {
        let has_private = snapshot.addresses_of(other.index).iter().any(v4);
        let other_name = &other.name;
        if has_private && other.index != link.index && forwarding::strict_reverse_path(other_name) {
            drops.push(format!(
                "{other_name} filters by reverse path (rp_filter is 1): while {name} is attached, \
                 the kernel drops packets from the peers that still arrive on {other_name}; {}",
                loose(other_name)
            ));
        }
    }
    if has_networks && forwarding::strict_reverse_path(name) {
        drops.push(format!(
            "{name} filters by reverse path (rp_filter is 1): while only one of two hosts uses \
             another network, the kernel drops packets on {name} whose replies take the other \
             network; {}",
            loose(name)
        ));
    }
    drops
}
