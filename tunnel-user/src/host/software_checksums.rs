//! Finds interfaces that pass on packets with a checksum of the whole packet that the kernel has computed in software
//! (CHECKSUM_COMPLETE with `csum_complete_sw`). Decapsulation and netfilter leave such checksums.
//!
//! An XDP program can change a packet, but not that checksum. The kernel trusts its own checksum: if the checksum does
//! not match the changed packet, the kernel drops UDP as corrupt (Linux 6.12, net/ipv4/udp.c, udp4_csum_init).

use super::link::Link;

/// Kinds of Ethernet interfaces that verify an outer checksum, in UDP or in GRE, before they pass on the inner frame
/// (Linux 6.12, net/core/skbuff.c, __skb_checksum_complete, by net/ipv4/udp.c, udp_queue_rcv_one_skb, and
/// net/ipv4/gre_demux.c, gre_parse_header). The list lacks L2TP and MACsec, which reset the packet's checksum.
const DECAPSULATE: &[&str] = &["vxlan", "geneve", "gretap", "ip6gretap", "erspan", "ip6erspan"];

/// The kind of a bridge. With br_netfilter, conntrack verifies the checksums of a bridge's packets before the bridge's
/// own interface gets the packets (Linux 6.12, net/netfilter/utils.c, nf_ip_checksum). The operator can add rules and
/// load the module at any time, so [`source`] reports every bridge.
const BRIDGE: &str = "bridge";

/// Kinds that do not inherit checksums from the interface that IFLA_LINK names: that interface is the other end of a
/// pair, or the kind resets checksums.
const OF_THEIR_OWN: &[&str] = &["veth", "netkit", "macsec"];

/// The interface whose packets get a checksum that the kernel computed in software: `link` itself, or an interface
/// below it. `None` if there is no such interface.
#[must_use]
pub fn source<'a>(link: &'a Link, links: &'a [Link]) -> Option<&'a Link> {
    let mut stack = vec![link];
    let mut seen = Vec::new();
    while let Some(link) = stack.pop() {
        if seen.contains(&link.index) {
            continue;
        }
        seen.push(link.index);
        let is = |kinds: &[&str]| link.kind.as_deref().is_some_and(|kind| kinds.contains(&kind));
        if is(DECAPSULATE) || is(&[BRIDGE]) {
            return Some(link);
        }
        if is(OF_THEIR_OWN) {
            continue;
        }
        stack.extend(links.iter().filter(|other| {
            Some(other.index) == link.below || other.controller == Some(link.index)
        }));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::link::ethernet;
    use super::*;

    fn of_kind(index: u32, name: &str, kind: &str) -> Link {
        Link { kind: Some(kind.into()), ..ethernet(index, name) }
    }

    fn found(link: &Link, links: &[Link]) -> Option<String> {
        source(link, links).map(|link| link.name.clone())
    }

    #[test]
    fn a_kind_that_decapsulates_is_found() {
        for kind in ["vxlan", "geneve", "gretap", "ip6gretap", "erspan", "ip6erspan"] {
            let link = of_kind(1, "tunnel", kind);
            assert_eq!(
                found(&link, std::slice::from_ref(&link)).as_deref(),
                Some("tunnel"),
                "{kind}"
            );
        }
    }

    #[test]
    fn what_stands_upon_it_is_found_through_all_layers() {
        let vxlan = Link { controller: Some(2), ..of_kind(1, "vxlan0", "vxlan") };
        let bond = of_kind(2, "bond0", "bond");
        let vlan = Link { below: Some(2), ..of_kind(3, "bond0.5", "vlan") };
        let macvlan = Link { below: Some(3), ..of_kind(4, "macvlan0", "macvlan") };
        let links = [vxlan, bond.clone(), vlan.clone(), macvlan.clone()];
        for link in [&bond, &vlan, &macvlan] {
            assert_eq!(found(link, &links).as_deref(), Some("vxlan0"), "{}", link.name);
        }
    }

    #[test]
    fn a_bridge_is_found_whatever_its_ports_are() {
        let port = Link { controller: Some(2), ..ethernet(1, "eth0") };
        let bridge = of_kind(2, "br0", "bridge");
        let vlan = Link { below: Some(2), ..of_kind(3, "br0.5", "vlan") };
        let links = [port, bridge.clone(), vlan.clone()];
        for link in [&bridge, &vlan] {
            assert_eq!(found(link, &links).as_deref(), Some("br0"), "{}", link.name);
        }
    }

    #[test]
    fn nothing_is_found_where_sums_are_the_hardware_s_or_reset() {
        let nic = ethernet(1, "eth0");
        let vlan = Link { below: Some(1), ..of_kind(2, "eth0.5", "vlan") };
        let vxlan = of_kind(3, "vxlan0", "vxlan");
        let macsec = Link { below: Some(3), ..of_kind(4, "macsec0", "macsec") };
        let veth = Link { below: Some(6), ..of_kind(5, "veth0", "veth") };
        let end = Link { below: Some(5), controller: Some(7), ..of_kind(6, "veth1", "veth") };
        let bridge = of_kind(7, "br0", "bridge");
        let bridged = Link { controller: Some(7), ..of_kind(8, "vxlan1", "vxlan") };
        let links = [nic, vlan, vxlan, macsec, veth, end, bridge, bridged];
        for index in [0, 1, 3, 4, 5] {
            assert_eq!(found(&links[index], &links), None, "{}", links[index].name);
        }
    }

    #[test]
    fn a_circle_ends() {
        let one = Link { below: Some(2), ..ethernet(1, "one") };
        let two = Link { below: Some(1), ..ethernet(2, "two") };
        assert_eq!(found(&one, &[one.clone(), two]), None);
    }
}
