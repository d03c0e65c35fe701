//! Generates the addresses of the measured members, in both families.

use aya::Pod;
use tunnel_common::maps;

/// An address in network byte order.
pub trait Octets: Pod + Default + PartialEq + AsRef<[u8]> {
    /// A member's private address. The egress cycles consist of private addresses.
    fn private(member: u32) -> Self;
    /// A member's public address. The ingress cycles consist of public addresses.
    fn public(member: u32) -> Self;
    /// This host's address, which is both its private and its underlay address.
    fn own() -> Self;
    /// An address that belongs to no member.
    fn stranger() -> Self;
    /// The `tie` field of a peer's entries: `tunnel_common::peers::tie` for IPv6, 0 for IPv4.
    fn tie(private: Self, public: Self) -> Self;
    /// The number of bits in an address.
    const BITS: u8;
    /// The name of the map of peers that are single addresses.
    const PEERS: &'static str;
    /// The name of the map of peers that are prefixes.
    const PREFIXES: &'static str;
}

impl Octets for [u8; 4] {
    fn tie(_: Self, _: Self) -> Self {
        [0; 4]
    }

    fn private(member: u32) -> Self {
        (0x0a00_0000 + member).to_be_bytes()
    }

    fn public(member: u32) -> Self {
        (0x6440_0000 + member).to_be_bytes()
    }

    fn own() -> Self {
        [192, 0, 2, 1]
    }

    fn stranger() -> Self {
        [192, 0, 2, 99]
    }

    const BITS: u8 = 32;
    const PEERS: &'static str = maps::PEERS_V4;
    const PREFIXES: &'static str = maps::PREFIXES_V4;
}

impl Octets for [u8; 16] {
    fn tie(private: Self, public: Self) -> Self {
        tunnel_common::peers::tie(private, public)
    }

    fn private(member: u32) -> Self {
        ((0xfd00_u128 << 112) + u128::from(member)).to_be_bytes()
    }

    fn public(member: u32) -> Self {
        ((0x2001_0db8_u128 << 96) + u128::from(member)).to_be_bytes()
    }

    fn own() -> Self {
        ((0x2001_0db8_ffff_u128 << 80) + 1).to_be_bytes()
    }

    fn stranger() -> Self {
        ((0x2001_0db8_ffff_u128 << 80) + 99).to_be_bytes()
    }

    const BITS: u8 = 128;
    const PEERS: &'static str = maps::PEERS_V6;
    const PREFIXES: &'static str = maps::PREFIXES_V6;
}
