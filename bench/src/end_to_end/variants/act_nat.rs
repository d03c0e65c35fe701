//! Rewrites both addresses of a packet with tc's stateless NAT action (act_nat), without an eBPF program.

use std::net::Ipv4Addr;

use anyhow::Result;
use testkit::lab::{Lab, PUBLIC_INTERFACE};

use super::{Endpoints, Side, sides};

/// Adds one filter for each direction on each host.
pub fn set_up(lab: &Lab) -> Result<Endpoints> {
    for side in sides(lab) {
        side.add_private()?;
        let Side { host, private, public, peer_private, peer_public, .. } = side;
        // Send ARP requests from the public address. By default, a request for the gateway comes from the private
        // address and gets no answer: the filters match only IP packets, so ARP packets keep the private address.
        host.sysctl(&format!("net.ipv4.conf.{PUBLIC_INTERFACE}.arp_announce"), "2")?;
        host.run(&["tc", "qdisc", "add", "dev", PUBLIC_INTERFACE, "clsact"])?;
        let leaving = filter("egress", [private, public], [peer_private, peer_public]);
        let arriving = filter("ingress", [peer_public, peer_private], [public, private]);
        for filter in [leaving, arriving] {
            host.run(&filter.split(' ').collect::<Vec<_>>())?;
        }
    }
    Ok(Endpoints::private())
}

/// The tc command that adds a filter at a hook. Each pair holds the old and the new address.
fn filter(hook: &str, source: [Ipv4Addr; 2], destination: [Ipv4Addr; 2]) -> String {
    let ([src, new_src], [dst, new_dst]) = (source, destination);
    // In tc, `nat egress` replaces sources and `nat ingress` replaces destinations, at either hook.
    format!(
        "tc filter add dev {PUBLIC_INTERFACE} {hook} protocol ip prio 1 \
         u32 match ip src {src}/32 match ip dst {dst}/32 \
         action nat egress {src}/32 {new_src} pipe action nat ingress {dst}/32 {new_dst}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_addresses_of_a_packet_are_replaced() {
        let [a, a_public, b, b_public] =
            ["10.0.0.1", "192.0.2.11", "10.0.0.2", "192.0.2.12"].map(|text| text.parse().unwrap());
        let command = filter("egress", [a, a_public], [b, b_public]);
        for part in [
            "eth0 egress ",
            "match ip src 10.0.0.1/32 match ip dst 10.0.0.2/32 ",
            "nat egress 10.0.0.1/32 192.0.2.11 pipe ",
            "nat ingress 10.0.0.2/32 192.0.2.12",
        ] {
            assert!(command.contains(part), "{part} is missing in {command}");
        }
    }
}
