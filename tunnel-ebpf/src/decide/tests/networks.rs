//! Defines the tests' networks: a prefix that does not end at a byte boundary, another prefix within it, and single
//! addresses within it.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::host::Host;
use super::version::{Member, Version};
use crate::family::{Octets, V4, V6};

/// Networks of a version of IP.
pub trait Networks: Version {
    /// A network, its prefix's length and its slot.
    const OUTER: (Member<Octets<Self>>, u8, u32);
    /// A network whose private addresses lie within the first network's.
    const INNER: (Member<Octets<Self>>, u8, u32);
    /// A member whose private address lies within the first network's, and its slot.
    const WITHIN_PRIVATE: (Member<Octets<Self>>, u32);
    /// A member whose public address lies within the first network's, and its slot.
    const WITHIN_PUBLIC: (Member<Octets<Self>>, u32);
    /// A slot, a private address and the public address that belongs to it, worked out by hand. The first three
    /// elements belong to `OUTER`, and the last element belongs to `INNER`.
    const PAIRS: [(u32, Octets<Self>, Octets<Self>); 6];
    /// Private and public addresses next to the first network's.
    const OUTSIDE: [(Octets<Self>, Octets<Self>); 2];
    /// A private address of the first network whose public address belongs to another member.
    const SHADOWED_PRIVATE: Octets<Self>;
    /// Public addresses of the first network whose private addresses belong to other members.
    const SHADOWED_PUBLIC: [Octets<Self>; 2];
}

/// srva with the networks and the members within them as peers, beside srvb and srvc.
pub fn beside_networks<F: Networks>() -> Host<F> {
    let mut host = Host::srva();
    for (network, length, slot) in [F::OUTER, F::INNER] {
        host.tables.add_prefix(&F::SRVA, slot, &network, length);
    }
    for (member, slot) in [F::WITHIN_PRIVATE, F::WITHIN_PUBLIC] {
        host.tables.add_peer(&F::SRVA, slot, &member);
    }
    host
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> [u8; 4] {
    Ipv4Addr::new(a, b, c, d).octets()
}

/// Builds the address `start[0]:start[1]:0:a:b:c:d:e`, where `rest` holds b to e.
const fn v6(start: [u16; 2], a: u16, rest: [u16; 4]) -> [u8; 16] {
    let [b, c, d, e] = rest;
    Ipv6Addr::new(start[0], start[1], 0, a, b, c, d, e).octets()
}

const INSIDE: [u16; 2] = [0xfd00, 0x20];
const OUTSIDE: [u16; 2] = [0x2001, 0xdb8];

impl Networks for V4 {
    const OUTER: (Member<[u8; 4]>, u8, u32) =
        (Member::new(v4(10, 96, 16, 0), v4(198, 18, 32, 0)), 20, 5);
    const INNER: (Member<[u8; 4]>, u8, u32) =
        (Member::new(v4(10, 96, 20, 0), v4(100, 64, 9, 0)), 24, 6);
    const WITHIN_PRIVATE: (Member<[u8; 4]>, u32) =
        (Member::new(v4(10, 96, 17, 5), v4(192, 0, 2, 77)), 7);
    const WITHIN_PUBLIC: (Member<[u8; 4]>, u32) =
        (Member::new(v4(10, 0, 0, 9), v4(198, 18, 40, 3)), 8);
    const PAIRS: [(u32, [u8; 4], [u8; 4]); 6] = [
        (5, v4(10, 96, 16, 1), v4(198, 18, 32, 1)),
        (5, v4(10, 96, 31, 254), v4(198, 18, 47, 254)),
        (5, v4(10, 96, 21, 0), v4(198, 18, 37, 0)),
        (7, v4(10, 96, 17, 5), v4(192, 0, 2, 77)),
        (8, v4(10, 0, 0, 9), v4(198, 18, 40, 3)),
        (6, v4(10, 96, 20, 200), v4(100, 64, 9, 200)),
    ];
    const OUTSIDE: [([u8; 4], [u8; 4]); 2] =
        [(v4(10, 96, 15, 255), v4(198, 18, 31, 255)), (v4(10, 96, 32, 0), v4(198, 18, 48, 0))];
    const SHADOWED_PRIVATE: [u8; 4] = v4(10, 96, 24, 3);
    const SHADOWED_PUBLIC: [[u8; 4]; 2] = [v4(198, 18, 36, 200), v4(198, 18, 33, 5)];
}

impl Networks for V6 {
    const OUTER: (Member<[u8; 16]>, u8, u32) =
        (Member::new(v6(INSIDE, 0x1000, [0; 4]), v6(OUTSIDE, 0x6000, [0; 4])), 52, 5);
    const INNER: (Member<[u8; 16]>, u8, u32) =
        (Member::new(v6(INSIDE, 0x1204, [0; 4]), v6(OUTSIDE, 0x9999, [0; 4])), 64, 6);
    const WITHIN_PRIVATE: (Member<[u8; 16]>, u32) =
        (Member::new(v6(INSIDE, 0x1001, [0, 0, 0, 5]), v6(OUTSIDE, 0xd, [0, 0, 0, 7])), 7);
    const WITHIN_PUBLIC: (Member<[u8; 16]>, u32) =
        (Member::new(v6(INSIDE, 0x99, [0, 0, 0, 9]), v6(OUTSIDE, 0x6800, [0, 0, 0, 3])), 8);
    const PAIRS: [(u32, [u8; 16], [u8; 16]); 6] = [
        (5, v6(INSIDE, 0x1000, [0, 0, 0, 1]), v6(OUTSIDE, 0x6000, [0, 0, 0, 1])),
        (5, v6(INSIDE, 0x1fff, [0xffff; 4]), v6(OUTSIDE, 0x6fff, [0xffff; 4])),
        (5, v6(INSIDE, 0x1205, [1, 2, 3, 4]), v6(OUTSIDE, 0x6205, [1, 2, 3, 4])),
        (7, v6(INSIDE, 0x1001, [0, 0, 0, 5]), v6(OUTSIDE, 0xd, [0, 0, 0, 7])),
        (8, v6(INSIDE, 0x99, [0, 0, 0, 9]), v6(OUTSIDE, 0x6800, [0, 0, 0, 3])),
        (6, v6(INSIDE, 0x1204, [8, 0, 0, 9]), v6(OUTSIDE, 0x9999, [8, 0, 0, 9])),
    ];
    const OUTSIDE: [([u8; 16], [u8; 16]); 2] = [
        (v6(INSIDE, 0x0fff, [0xffff; 4]), v6(OUTSIDE, 0x5fff, [0xffff; 4])),
        (v6(INSIDE, 0x2000, [0; 4]), v6(OUTSIDE, 0x7000, [0; 4])),
    ];
    const SHADOWED_PRIVATE: [u8; 16] = v6(INSIDE, 0x1800, [0, 0, 0, 3]);
    const SHADOWED_PUBLIC: [[u8; 16]; 2] =
        [v6(OUTSIDE, 0x6204, [8, 0, 0, 9]), v6(OUTSIDE, 0x6001, [0, 0, 0, 5])];
}
