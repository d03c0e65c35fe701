//! Tests the packet builders. Most tests decode the built packets with etherparse.

pub mod decoder;
mod extensions;
mod fragments;
mod known_answers;
mod lies;
mod links;
mod quotes;
mod transports;

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

const ONE_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const TWO_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const ONE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xa, 0, 0, 0, 0, 0, 1);
const TWO_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 2, 0xfedc, 0xba98, 0x7654, 0x3210);
const THREE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0x8000, 0x33);

/// Packets of both families with `transport`.
fn of_both_families(transport: impl Into<Transport>) -> [IpPacket; 2] {
    let transport = transport.into();
    [Ipv4::new(ONE_V4, TWO_V4, transport.clone()).into(), ipv6(transport).into()]
}

fn ipv6(transport: impl Into<Transport>) -> Ipv6 {
    Ipv6::new(ONE_V6, TWO_V6, transport)
}

/// `len` bytes that are not all the same.
fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 7 + index / 256) as u8).collect()
}
