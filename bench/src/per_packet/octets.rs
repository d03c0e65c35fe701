//! The hosts of the measurements.

use aya::Pod;
use tunnel_common::maps;

/// The addresses of members, in network order.
pub trait Octets: Pod + Default + PartialEq + AsRef<[u8]> {
    /// A member's address in the cycles of private addresses, on the way out.
    fn private(member: u32) -> Self;
    /// The same of public ones, on the way in.
    fn public(member: u32) -> Self;
    /// This host's private address, and its underlay address.
    fn own() -> Self;
    /// Nobody's address.
    fn stranger() -> Self;
    /// The words that bind a peer's addresses to each other.
    fn tie(private: Self, public: Self) -> Self;
    /// Bits of an address.
    const BITS: u8;
    /// The map of single peers.
    const PEERS: &'static str;
    /// The map of peers that are prefixes.
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
