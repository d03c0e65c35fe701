//! Defines the lab's addresses of both families.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A's private address.
pub const A_PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// B's private address.
pub const B_PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// A's public address.
pub const A_PUBLIC: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// B's public address.
pub const B_PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

/// The address of the router on A's side.
pub const ROUTER_A_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The address of the router on B's side.
pub const ROUTER_B_ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// The lab's addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// A's private address.
    pub a_private: IpAddr,
    /// B's private address.
    pub b_private: IpAddr,
    /// A's public address.
    pub a_public: IpAddr,
    /// B's public address.
    pub b_public: IpAddr,
    /// The router's address on A's side.
    pub router_a: IpAddr,
    /// The router's address on B's side.
    pub router_b: IpAddr,
}

/// The IPv4 addresses of the lab.
pub const IPV4: Addresses = Addresses {
    a_private: IpAddr::V4(A_PRIVATE),
    b_private: IpAddr::V4(B_PRIVATE),
    a_public: IpAddr::V4(A_PUBLIC),
    b_public: IpAddr::V4(B_PUBLIC),
    router_a: IpAddr::V4(ROUTER_A_ADDRESS),
    router_b: IpAddr::V4(ROUTER_B_ADDRESS),
};

/// The IPv6 addresses of the lab.
pub const IPV6: Addresses = Addresses {
    a_private: IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)),
    b_private: IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2)),
    a_public: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 2)),
    b_public: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 2)),
    router_a: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 1)),
    router_b: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 1)),
};

/// The lab's addresses of both families.
pub const FAMILIES: [Addresses; 2] = [IPV4, IPV6];

/// The network of a lab address: the first 24 bits of an IPv4 address, or the first 64 bits of an IPv6 address.
#[must_use]
pub fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}
