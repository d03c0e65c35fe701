//! Packets of all kinds through both hosts, between addresses of all kinds.

use tunnel_common::outcome::Direction;

use super::datagram::{Address, DCCP, Datagram, Route, TCP, UDP, fragments};
use super::host::{Host, Member};
use super::random::Random;

const CLUSTERS: usize = 1000;
const PACKETS_OF_A_CLUSTER: usize = 100;

/// Two hosts with addresses that have nothing in common with anything.
struct Cluster {
    a: Host,
    b: Host,
    private: Route,
    public: Route,
}

impl Cluster {
    fn random(random: &mut Random) -> Self {
        let mut addresses: Vec<Address> = Vec::new();
        while addresses.len() < 4 {
            let mut address = random.array();
            // Sums are most likely to go wrong where many bits are the same.
            if random.one_in(4) {
                address[random.below(4)] = random.one_of(&[0, 0xff]);
            }
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if random.one_in(4) {
            addresses[3] = with_a_second_carry(&addresses, random.below(3));
        }
        let member = |i| {
            let (private, public): (Address, Address) = (addresses[i], addresses[i + 2]);
            Member { private, public, underlay: public }
        };
        let (a, b) = (member(0), member(1));
        Self {
            a: Host::new(a, &[b]),
            b: Host::new(b, &[a]),
            private: Route::new(a.private, b.private),
            public: Route::new(a.public, b.public),
        }
    }

    /// Sends a packet as it is in the one host, on the wire and in the other.
    fn carry(&self, what: &dyn std::fmt::Debug, sent: &[u8], on_the_wire: &[u8]) {
        let wire = self.a.rewritten(Direction::Egress, sent);
        assert_eq!(wire, on_the_wire, "on the wire: {what:?}");
        let received = self.b.rewritten(Direction::Ingress, &wire);
        assert_eq!(received, sent, "at the other end: {what:?}");
    }
}

/// A public address of the second host that makes the sum over all that changes end in 32 ones, or
/// nearly: what is carried over then is carried over twice.
fn with_a_second_carry(addresses: &[Address], below: usize) -> Address {
    let [a_private, b_private, a_public] =
        [0, 1, 2].map(|i: usize| u32::from_ne_bytes(addresses[i]));
    let rest = a_public.wrapping_add(!a_private).wrapping_add(!b_private);
    let Ok(below) = u32::try_from(below) else { panic!("{below} is no small number") };
    (u32::MAX - below).wrapping_sub(rest).to_ne_bytes()
}

fn random_datagram(random: &mut Random, may_quote: bool) -> Datagram {
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
        11 => Datagram::other(random.one_of(&[2, 4, 41, 47, 50, 51, 58, 89, 103, 253, 0]), data),
        _ => {
            let quoted = random_datagram(random, false);
            let shortest = 20 + quoted.options.len();
            // Not within a checksum: that one could not be mended.
            let kept = shortest + random.below(50) * 2;
            let mut error = Datagram::error(&quoted, kept);
            error.payload[0] = random.one_of(&[3, 4, 5, 11, 12]);
            error.payload[1] = random.one_of(&[0, 1, 2, 3, 4, 13]);
            error.payload[4..8].copy_from_slice(&random.array::<4>());
            error
        }
    };
    if matches!(datagram.protocol, TCP | UDP | DCCP) {
        random.fill(&mut datagram.payload[..4]);
    }
    if random.one_in(3) {
        let words = random.below(11);
        datagram.options = random.vec(words * 4);
    }
    [datagram.traffic_class, datagram.time_to_live] = random.array();
    datagram.identification = u16::from_be_bytes(random.array());
    datagram.dont_fragment = random.one_in(2);
    datagram
}

/// How many bytes of the payload the first fragment must have to be rewritten as it should.
fn first_fragment_min(datagram: &Datagram) -> usize {
    match &datagram.quoted {
        // All of a quoted checksum, or what there is.
        Some((quoted, _)) => (8 + 20 + quoted.options.len() + 18).next_multiple_of(8),
        None if datagram.protocol == TCP => 24,
        None if datagram.protocol == DCCP => 16,
        None => 8,
    }
}

/// 100,000 packets, and as many fragments again. What is expected on the wire is built from the
/// same fields with the other addresses, every checksum anew.
#[test]
fn random_packets_arrive_as_they_were_sent() {
    let random = &mut Random::new(0x7265_7772_6974_6531);
    for _ in 0..CLUSTERS {
        let cluster = Cluster::random(random);
        for _ in 0..PACKETS_OF_A_CLUSTER {
            let datagram = random_datagram(random, true);
            let mut sent = datagram.bytes(cluster.private);
            let mut on_the_wire = datagram.bytes(cluster.public);
            if random.one_in(4) {
                let rest = random.below(20) * 8 + 8;
                let first = first_fragment_min(&datagram) + random.below(4) * 8;
                let sent = fragments(&sent, first, rest);
                let on_the_wire = fragments(&on_the_wire, first, rest);
                for (sent, on_the_wire) in sent.iter().zip(&on_the_wire) {
                    cluster.carry(&datagram, sent, on_the_wire);
                }
                continue;
            }
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
