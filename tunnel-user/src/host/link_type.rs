//! Derives the length of the link header of an interface's packets from the interface's type.

use rtnetlink::packet_route::link::LinkLayerType;
use tunnel_common::settings::{ETHERNET_HEADER_LEN, INFINIBAND_HEADER_LEN};

/// The number of bytes before the network header in the packets that programs at tc see. The number is known for types
/// with a fixed length; `None` for all other types.
///
/// `point_to_point` is the interface's flag: a GRE tunnel without the flag has many remote ends, and its link header
/// carries their addresses (Linux, net/ipv4/ip_gre.c, ipgre_tunnel_init).
#[must_use]
pub const fn link_header_len(link_type: LinkLayerType, point_to_point: bool) -> Option<u8> {
    match link_type {
        LinkLayerType::Ether => Some(ETHERNET_HEADER_LEN),
        LinkLayerType::Infiniband => Some(INFINIBAND_HEADER_LEN),
        // In order: tun and WireGuard; PPP, whose header the kernel adds after tc; raw IP of modems; IPIP; IPv6 in
        // IPv6; IPv6 in IPv4. link_fitness.rs refuses the kinds of these types that keep a different header.
        LinkLayerType::None
        | LinkLayerType::Ppp
        | LinkLayerType::Rawip
        | LinkLayerType::Tunnel
        | LinkLayerType::Tunnel6
        | LinkLayerType::Sit => Some(0),
        LinkLayerType::Ipgre if point_to_point => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_number(number: u16, point_to_point: bool) -> Option<u8> {
        link_header_len(LinkLayerType::from(number), point_to_point)
    }

    /// The numbers come from Linux, include/uapi/linux/if_arp.h.
    #[test]
    fn known_types_have_their_header() {
        for (number, length) in
            [(1, 14), (32, 24), (65534, 0), (512, 0), (519, 0), (768, 0), (769, 0), (776, 0)]
        {
            assert_eq!(of_number(number, false), Some(length), "{number}");
            assert_eq!(of_number(number, true), Some(length), "{number}");
        }
    }

    #[test]
    fn a_gre_tunnel_has_none_only_if_it_has_one_end() {
        assert_eq!(of_number(778, true), Some(0));
        assert_eq!(of_number(778, false), None);
    }

    #[test]
    fn loopback_and_what_is_not_known_are_not_guessed() {
        for number in [772, 801, 824, 823, 280, 0, 65535] {
            assert_eq!(of_number(number, false), None, "{number}");
        }
    }
}
