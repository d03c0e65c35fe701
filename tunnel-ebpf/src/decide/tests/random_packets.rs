//! Tests packets of all kinds through both hosts, between addresses of all kinds.

use tunnel_common::outcome::Direction;

use super::datagram::{DCCP, Datagram, Route, SCTP, TCP, UDP, UDP_LITE};
use super::host::Host;
use super::random::Random;
use super::version::{Member, Version, in_both_versions};
use crate::address::Address;
use crate::family::Octets;

const CLUSTERS: usize = 1000;
const PACKETS_OF_A_CLUSTER: usize = 100;

/// Two hosts with random addresses.
struct Cluster<F: Version> {
    a: Host<F>,
    b: Host<F>,
    private: Route<Octets<F>>,
    public: Route<Octets<F>>,
}

impl<F: Version> Cluster<F> {
    fn random(random: &mut Random) -> Self {
        let mut addresses: Vec<Octets<F>> = Vec::new();
        while addresses.len() < 4 {
            let mut address = F::Address::NONE.octets();
            random.fill(address.as_mut());
            // Sums are most likely to go wrong where many bits are the same.
            if random.one_in(4) {
                let byte = random.below(address.as_ref().len());
                address.as_mut()[byte] = random.one_of(&[0, 0xff]);
            }
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if random.one_in(4) {
            put_a_second_carry(&mut addresses, random.below(3));
        }
        let member = |i| Member::new(addresses[i], addresses[i + 2]);
        let (a, b) = (member(0), member(1));
        Self {
            a: Host::new(a, &[b]),
            b: Host::new(b, &[a]),
            private: Route::new(a.private, b.private),
            public: Route::new(a.public, b.public),
        }
    }

    /// Sends a packet from one host to the other, and checks it on the wire and at the other end.
    fn carry(&self, what: &dyn std::fmt::Debug, sent: &[u8], on_the_wire: &[u8]) {
        let wire = self.a.rewritten(Direction::Egress, sent);
        assert_eq!(wire, on_the_wire, "on the wire: {what:?}");
        let received = self.b.rewritten(Direction::Ingress, &wire);
        assert_eq!(received, sent, "at the other end: {what:?}");
    }
}

/// Changes the last word of the second host's public address. The lower 32 bits of the sum over all changes are then
/// all ones, or nearly, so that the first end-around carry causes a second carry.
fn put_a_second_carry<A: AsRef<[u8]> + AsMut<[u8]>>(addresses: &mut [A], below: usize) {
    let words = |address: &A| -> u64 {
        let words = address.as_ref().as_chunks().0;
        words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum()
    };
    let bytes = addresses[0].as_ref().len();
    let ones = bytes as u64 / 4 * u64::from(u32::MAX);
    addresses[3].as_mut()[bytes - 4..].fill(0);
    let rest = words(&addresses[2]) + words(&addresses[3]) + 2 * ones
        - words(&addresses[0])
        - words(&addresses[1]);
    let Ok(below) = u32::try_from(below) else { panic!("{below} is no small number") };
    let word = (u32::MAX - below).wrapping_sub(rest as u32);
    addresses[3].as_mut()[bytes - 4..].copy_from_slice(&word.to_ne_bytes());
}

fn random_datagram<F: Version>(random: &mut Random, may_quote: bool) -> Datagram<F> {
    let len = random.below(80);
    let data = random.vec(len);
    let identifier = random.array();
    let mut datagram = match random.below(if may_quote { 16 } else { 12 }) {
        0..=2 => Datagram::tcp(&data),
        3 | 4 => Datagram::udp(&data),
        5 => Datagram::udp_without_checksum(&data),
        6 => Datagram::udp_lite(&data, 8 + random.below(len + 1)),
        7 => Datagram::dccp(&data),
        8 => Datagram::sctp(&data),
        9 => Datagram::echo_request(u16::from_be_bytes(identifier), &data),
        10 => Datagram::echo_reply(u16::from_be_bytes(identifier), &data),
        11 => Datagram::other(random.one_of(&[2, 4, 41, 47, 50, 51, 89, 103, 253, 59]), data),
        _ => {
            let quoted = random_datagram(random, false);
            // An even length, since a cut within the checksum would leave it unchanged.
            let mut error = Datagram::error(&quoted, random.below(50) * 2);
            error.payload[0] = random.one_of(F::ERRORS);
            error.payload[1] = random.one_of(&[0, 1, 2, 3, 4, 13]);
            // The length field of the quote stays 0: extensions follow a quote with a length (see quote_bounds).
            error.payload[6..8].copy_from_slice(&random.array::<2>());
            error
        }
    };
    if matches!(datagram.protocol, TCP | UDP | UDP_LITE | DCCP | SCTP) {
        random.fill(&mut datagram.payload[..4]);
    }
    if random.one_in(3) {
        datagram.options = F::random_options(random);
    }
    [datagram.traffic_class, datagram.time_to_live] = random.array();
    datagram.identification = u32::from_be_bytes(random.array());
    datagram.dont_fragment = random.one_in(2);
    datagram
}

/// The minimum payload, in bytes, of a first fragment that the program can rewrite in full.
fn first_fragment_min<F: Version>(datagram: &Datagram<F>) -> usize {
    match &datagram.quoted {
        // Long enough for each quoted checksum: TCP's ends 18 bytes after the quoted IP header.
        Some((quoted, _)) => (8 + quoted.header_len() + 18).next_multiple_of(8),
        None if datagram.protocol == TCP => 24,
        None if datagram.protocol == DCCP => 16,
        None => 8,
    }
}

/// The test sends 100,000 datagrams, about a quarter of them in fragments. The expected packets on the wire have the
/// same fields with the public addresses, and all checksums are computed from scratch.
fn forward_and_reverse_are_the_identity_on_random_packets<F: Version>() {
    let random = &mut Random::new(0x7265_7772_6974_6531);
    for _ in 0..CLUSTERS {
        let cluster = Cluster::<F>::random(random);
        for _ in 0..PACKETS_OF_A_CLUSTER {
            let datagram = random_datagram::<F>(random, true);
            if random.one_in(4) {
                let rest = random.below(20) * 8 + 8;
                let first = first_fragment_min(&datagram) + random.below(4) * 8;
                let sent = datagram.fragments(cluster.private, first, rest);
                let on_the_wire = datagram.fragments(cluster.public, first, rest);
                for (sent, on_the_wire) in sent.iter().zip(&on_the_wire) {
                    cluster.carry(&datagram, sent, on_the_wire);
                }
                continue;
            }
            let mut sent = datagram.bytes(cluster.private);
            let mut on_the_wire = datagram.bytes(cluster.public);
            if random.one_in(8) {
                let len = random.below(30);
                let trailer = random.vec(len);
                sent.extend(&trailer);
                on_the_wire.extend(&trailer);
            }
            cluster.carry(&datagram, &sent, &on_the_wire);
        }
        assert_eq!(cluster.a.flows(), []);
        assert_eq!(cluster.b.flows(), []);
    }
}

/// Two bytes of data that give this checksum over this route.
fn data_for<F: Version>(route: Route<Octets<F>>, checksum: u16) -> [u8; 2] {
    let has = |data: &[u8; 2]| {
        let bytes = Datagram::<F>::udp(data).bytes(route);
        bytes[F::HEADER_LEN + 6..F::HEADER_LEN + 8] == checksum.to_be_bytes()
    };
    let mut all = (0..=u16::MAX).map(u16::to_be_bytes);
    let Some(data) = all.find(has) else { panic!("no data gives {checksum:#06x}") };
    data
}

fn there_and_back<F: Version>(datagram: &Datagram<F>) -> Vec<u8> {
    let (sent, wire) = (datagram.bytes(F::PRIVATE), datagram.bytes(F::PUBLIC));
    assert_eq!(Host::<F>::srva().rewritten(Direction::Egress, &sent), wire);
    assert_eq!(Host::<F>::srvb().rewritten(Direction::Ingress, &wire), sent);
    wire
}

/// 0x0000 means that the sender computed no checksum. The rewrite adds none.
fn forward_and_reverse_are_the_identity_on_a_udp_checksum_0x0000<F: Version>() {
    for data in [[0, 0], data_for::<F>(F::PUBLIC, 0xffff), data_for::<F>(F::PRIVATE, 0xffff)] {
        let wire = there_and_back(&Datagram::<F>::udp_without_checksum(&data));
        assert_eq!(wire[F::HEADER_LEN + 6..F::HEADER_LEN + 8], [0, 0]);
    }
}

/// A sender sends 0xffff for a computed checksum of 0. The test has this value before a rewrite, and after a rewrite.
fn forward_and_reverse_are_the_identity_on_a_udp_checksum_0xffff<F: Version>() {
    let wire = there_and_back(&Datagram::<F>::udp(&data_for::<F>(F::PUBLIC, 0xffff)));
    assert_eq!(wire[F::HEADER_LEN + 6..F::HEADER_LEN + 8], [0xff, 0xff]);
    let datagram = Datagram::<F>::udp(&data_for::<F>(F::PRIVATE, 0xffff));
    assert_eq!(datagram.bytes(F::PRIVATE)[F::HEADER_LEN + 6..F::HEADER_LEN + 8], [0xff, 0xff]);
    there_and_back(&datagram);
}

in_both_versions! {
    forward_and_reverse_are_the_identity_on_random_packets,
    forward_and_reverse_are_the_identity_on_a_udp_checksum_0x0000,
    forward_and_reverse_are_the_identity_on_a_udp_checksum_0xffff,
}
