//! Refuses interfaces that accept the programs, but do not show them packets in the expected form. The checks use the
//! interface's kind, and the interface that it is a part of.

use rtnetlink::packet_route::link::LinkLayerType;

use super::link::Link;
use crate::error::Error;

const ANOTHER: &str = "attach an interface of another kind that carries the packets between the \
                       public addresses: Ethernet, WireGuard, IPIP or GRE, for example";

/// Refuses an interface whose packets the programs do not see in the expected form. `links` holds all interfaces of
/// the network namespace.
///
/// # Errors
/// [`Error::Refused`] that names the obstacle.
pub fn require(link: &Link, links: &[Link]) -> Result<(), Error> {
    let (what, help) = match problem(link, links) {
        Some(problem) => problem,
        None => return Ok(()),
    };
    Err(Error::refused(what, help))
}

fn problem(link: &Link, links: &[Link]) -> Option<(String, String)> {
    part_of(link, links).or_else(|| mode(link, links)).or_else(|| kind(link))
}

/// The problem with an interface that is a part of another interface: the kernel treats its packets as packets of the
/// other interface.
fn part_of(link: &Link, links: &[Link]) -> Option<(String, String)> {
    let name = &link.name;
    let index = link.controller?;
    let Some(controller) = links.iter().find(|other| other.index == index) else {
        return Some((
            format!(
                "{name} is a part of another interface, number {index}, that is not visible here"
            ),
            "attach the other interface, which receives its packets".into(),
        ));
    };
    let above = &controller.name;
    let (role, takes) = match controller.kind.as_deref() {
        Some("vrf") => {
            let what = format!(
                "{name} is in the VRF {above}, whose routing table lacks the private address and \
                 the routes that attach adds to the main table"
            );
            let help = format!(
                "take it out of the VRF (ip link set dev {name} nomaster), or attach an interface \
                 outside of VRFs"
            );
            return Some((what, help));
        }
        // Do not name the controller: it is ovs-system, the datapath device of all ports. The host's addresses are on
        // the bridges' own interfaces, which also have the kind `openvswitch`.
        Some("openvswitch") => {
            let what = format!("{name} is a port of Open vSwitch, which forwards its packets");
            return Some((what, "attach the bridge's own interface instead".into()));
        }
        Some("bridge") => ("a port of the bridge", "forwards its packets and holds the addresses"),
        Some("bond") => ("a slave of the bond", "receives its packets and holds the addresses"),
        Some("team") => ("a port of the team", "receives its packets and holds the addresses"),
        _ => ("a part of", "receives its packets and holds the addresses"),
    };
    Some((format!("{name} is {role} {above}, which {takes}"), format!("attach {above} instead")))
}

/// The problem with an ipvlan interface in mode l3s: it gets its packets in ip_rcv, after its parent's tc, and its own
/// tc does not run (Linux 4.9, drivers/net/ipvlan/ipvlan_l3s.c, ipvlan_l3_rcv; include/net/l3mdev.h).
fn mode(link: &Link, links: &[Link]) -> Option<(String, String)> {
    if !link.is_ipvlan_l3s {
        return None;
    }
    let name = &link.name;
    let parent = link.below.and_then(|index| links.iter().find(|other| other.index == index));
    let parent = parent.map_or_else(|| "its parent".to_owned(), |parent| parent.name.clone());
    Some((
        format!(
            "{name} is an ipvlan interface in mode l3s: the kernel takes its packets from \
             {parent} after the hook of the ingress program"
        ),
        format!(
            "use another mode for all ipvlan interfaces of {parent} (ip link set dev {name} type \
             ipvlan mode l3), or a macvlan interface"
        ),
    ))
}

fn kind(link: &Link) -> Option<(String, String)> {
    let name = &link.name;
    let kind = link.kind.as_deref();
    let what = match kind {
        // Linux 6.12, net/xfrm/xfrm_input.c: skb_mac_header_rebuild keeps the outer link header.
        Some(kind @ ("vti" | "vti6" | "xfrm")) => stale_header(name, kind),
        // Until Linux 7.1, commit a200cdbf9593, drivers/net/ovpn/io.c did not set the MAC header.
        Some(kind @ "ovpn") => stale_header(name, kind),
        // Linux 6.12, drivers/net/wwan sets no MAC header, and before Linux 6.16, commit 1e4033b53db4, the kernel
        // took the missing header for a header of 64 KiB.
        Some(kind @ "wwan") => no_header(name, kind),
        // drivers/net/vrf.c: packets go to the VRF's device after the NIC's tc.
        Some("vrf") => {
            let what = format!("{name} is a VRF: a tc program on it sees no packets");
            return Some((
                what,
                "attach an interface outside of VRFs: addresses and routes go into the main \
                 routing table"
                    .into(),
            ));
        }
        // Linux 6.12, drivers/net/wan/hdlc_ppp.c has 4 bytes before the IP header, and net/atm/br2684.c has stale
        // bytes there.
        kind if link.link_type == LinkLayerType::Ppp && kind != Some("ppp") => format!(
            "{name} is a PPP interface that pppd did not create: its packets may have a link \
             header that this version does not support"
        ),
        // rmnet sets the MAC header; mhi_net and the drivers of the modems below rmnet do not.
        kind if link.link_type == LinkLayerType::Rawip && kind != Some("rmnet") => {
            no_header(name, kind.unwrap_or("raw IP"))
        }
        _ => return None,
    };
    Some((what, ANOTHER.into()))
}

fn stale_header(name: &str, kind: &str) -> String {
    format!(
        "{name} is an interface of the kind {kind}: packets that arrive on it still have the link \
         header of the interface below, where the programs expect IP"
    )
}

fn no_header(name: &str, kind: &str) -> String {
    format!(
        "{name} is an interface of the kind {kind}: the modem's driver does not tell the kernel \
         where its packets begin, so the programs may read the wrong bytes"
    )
}

#[cfg(test)]
mod tests {
    use super::super::link::ethernet;
    use super::*;

    fn said(link: &Link, links: &[Link]) -> String {
        require(link, links).err().map_or_else(String::new, |failure| failure.to_string())
    }

    fn of_kind(link_type: LinkLayerType, kind: Option<&str>) -> Link {
        Link { link_type, kind: kind.map(str::to_owned), ..ethernet(5, "dev0") }
    }

    fn part(kind: Option<&str>) -> String {
        let above = Link { kind: kind.map(str::to_owned), ..ethernet(9, "above0") };
        let part = Link { controller: Some(9), ..ethernet(5, "eth0") };
        said(&part, &[part.clone(), above])
    }

    #[test]
    fn a_kind_that_keeps_a_link_header_is_refused_by_its_name() {
        for (link_type, kind) in [
            (LinkLayerType::Tunnel, "vti"),
            (LinkLayerType::Tunnel6, "vti6"),
            (LinkLayerType::None, "xfrm"),
            (LinkLayerType::None, "ovpn"),
            (LinkLayerType::None, "wwan"),
        ] {
            let said = said(&of_kind(link_type, Some(kind)), &[]);
            assert!(said.contains(&format!("dev0 is an interface of the kind {kind}:")), "{said}");
            assert!(said.contains("help: attach an interface of another kind"), "{said}");
        }
    }

    #[test]
    fn kinds_that_set_their_header_are_fit() {
        for (link_type, kind) in [
            (LinkLayerType::Ether, None),
            (LinkLayerType::Ether, Some("bridge")),
            (LinkLayerType::Ether, Some("bond")),
            (LinkLayerType::Ether, Some("ipvlan")),
            (LinkLayerType::Ether, Some("macvlan")),
            (LinkLayerType::Ether, Some("vlan")),
            (LinkLayerType::Ether, Some("vxlan")),
            (LinkLayerType::None, Some("tun")),
            (LinkLayerType::None, Some("wireguard")),
            (LinkLayerType::None, None),
            (LinkLayerType::Ppp, Some("ppp")),
            (LinkLayerType::Rawip, Some("rmnet")),
            (LinkLayerType::Tunnel, Some("ipip")),
            (LinkLayerType::Tunnel6, Some("ip6tnl")),
            (LinkLayerType::Sit, Some("sit")),
            (LinkLayerType::Ipgre, Some("gre")),
        ] {
            let link = of_kind(link_type, kind);
            assert_eq!(said(&link, std::slice::from_ref(&link)), "", "{kind:?}");
        }
    }

    #[test]
    fn ppp_and_raw_ip_are_fit_only_by_the_kind_that_sets_the_header() {
        let ppp = said(&of_kind(LinkLayerType::Ppp, None), &[]);
        assert!(ppp.contains("is a PPP interface that pppd did not create"), "{ppp}");
        let modem = said(&of_kind(LinkLayerType::Rawip, None), &[]);
        assert!(modem.contains("the modem's driver"), "{modem}");
    }

    #[test]
    fn a_vrf_is_named_and_so_is_an_interface_in_it() {
        let said_of_part = part(Some("vrf"));
        assert!(said_of_part.contains("eth0 is in the VRF above0"), "{said_of_part}");
        assert!(said_of_part.contains("ip link set dev eth0 nomaster"), "{said_of_part}");
        let itself = said(&of_kind(LinkLayerType::Ether, Some("vrf")), &[]);
        assert!(itself.contains("dev0 is a VRF"), "{itself}");
    }

    #[test]
    fn what_has_the_packets_of_a_part_is_named() {
        for (kind, role) in [
            (Some("bond"), "a slave of the bond above0"),
            (Some("team"), "a port of the team above0"),
            (Some("bridge"), "a port of the bridge above0"),
            // The virtual function of a netvsc interface.
            (None, "a part of above0"),
            (Some("batadv"), "a part of above0"),
        ] {
            let said = part(kind);
            assert!(said.contains(&format!("eth0 is {role}")), "{said}");
            assert!(said.contains("help: attach above0 instead"), "{said}");
        }
    }

    #[test]
    fn a_port_of_open_vswitch_is_refused_for_the_bridge_s_own_interface() {
        let said = part(Some("openvswitch"));
        assert!(said.contains("eth0 is a port of Open vSwitch"), "{said}");
        assert!(said.contains("help: attach the bridge's own interface"), "{said}");
    }

    #[test]
    fn a_controller_that_is_not_seen_is_named_by_its_number() {
        let part = Link { controller: Some(9), ..ethernet(5, "eth0") };
        assert!(said(&part, &[]).contains("number 9"));
    }

    #[test]
    fn ipvlan_in_mode_l3s_is_refused_and_its_parent_is_not() {
        let parent = ethernet(2, "eth0");
        let child = Link {
            is_ipvlan_l3s: true,
            below: Some(2),
            kind: Some("ipvlan".into()),
            ..ethernet(5, "ipvl0")
        };
        let links = [parent.clone(), child.clone()];
        let of_child = said(&child, &links);
        assert!(of_child.contains("ipvl0 is an ipvlan interface in mode l3s"), "{of_child}");
        assert!(of_child.contains("from eth0"), "{of_child}");
        assert_eq!(said(&parent, &links), "");
        assert!(said(&Link { below: None, ..child }, &[]).contains("from its parent"));
    }
}
