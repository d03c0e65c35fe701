//! Generates the oracle's steps, in order. In each step, one frame reaches one program.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use testkit::packet::random::{
    Direction, Generator, Identity, LinkType, Packet, Pool, Profile, SplitMix,
};
use tunnel_user::plan::attach_point::Program;

use crate::cluster::{Cluster, Link, Range};
use crate::programs::{self, Abilities};
use testkit::test_run::{Type, Way};

/// The number of steps in an episode. Each episode starts the programs anew.
pub const STEPS: u64 = 2_000;

/// The length of an Ethernet and an IPv6 header. A program can always access these headers directly, because no driver
/// splits an IP header.
const LEAST_LINEAR: usize = 54;

/// One frame through one program.
#[derive(Clone, Debug)]
pub struct Step {
    /// The program.
    pub program: Program,
    /// The frame.
    pub packet: Packet,
    /// The state in which the frame reaches the program.
    pub way: Way,
}

/// The steps of one episode: all frames that a host sees after one start of its programs.
pub struct Episode {
    seed: u64,
    programs: Vec<Program>,
    abilities: Abilities,
    egress: Generator,
    ingress: Generator,
}

impl Episode {
    /// The episode with this index in the sequence from `seed` in `cluster`.
    pub fn new(cluster: &Cluster, abilities: Abilities, seed: u64, index: u64) -> Self {
        let mut random = SplitMix::of(seed, index);
        let mut programs = vec![Program::Egress, Program::Ingress];
        if cluster.link == Link::Ethernet {
            programs.push(Program::Xdp);
        }
        let [egress, ingress] = [Direction::Egress, Direction::Ingress]
            .map(|direction| profile(cluster, direction, &mut random));
        Self {
            programs,
            abilities,
            egress: Generator::new(random.next(), egress),
            ingress: Generator::new(random.next(), ingress),
            seed: random.next(),
        }
    }

    /// The step with this index.
    pub fn step(&self, index: u64) -> Step {
        let mut random = SplitMix::of(self.seed, index);
        let program = random.one_of(&self.programs);
        let packet = match programs::direction(program) {
            tunnel_common::outcome::Direction::Egress => self.egress.packet(index),
            tunnel_common::outcome::Direction::Ingress => self.ingress.packet(index),
        };
        let way = self.way(&mut random, programs::type_of(program), packet.bytes.len());
        Step { program, packet, way }
    }

    fn way(&self, random: &mut SplitMix, of: Type, len: usize) -> Way {
        let can_be_split = match of {
            Type::Tc => self.abilities.skb_linear,
            Type::Xdp => self.abilities.xdp_linear,
        };
        let is_split = can_be_split && len > LEAST_LINEAR && random.per_mille(300);
        let is_segmented = of == Type::Tc && random.per_mille(60);
        let has_sum = of == Type::Tc && self.abilities.sum && random.per_mille(500);
        Way {
            segments: if is_segmented { random.between(1, 6) as u32 } else { 0 },
            has_sum,
            linear: is_split
                .then(|| random.between(LEAST_LINEAR, len.min(LEAST_LINEAR + 120)) as u32),
        }
    }
}

fn profile(cluster: &Cluster, direction: Direction, random: &mut SplitMix) -> Profile {
    let v4 = |address: IpAddr| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    };
    let v6 = |address: IpAddr| match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    };
    Profile {
        direction,
        link: match cluster.link {
            Link::Ethernet => LinkType::Ethernet,
            Link::InfiniBand => LinkType::InfiniBand,
        },
        ipv4: pool(
            cluster,
            random,
            v4,
            vec![Ipv4Addr::new(192, 88, 99, 1), Ipv4Addr::new(198, 19, 255, 254)],
            vec![
                Ipv4Addr::new(192, 0, 3, 5),
                Ipv4Addr::new(10, 2, 0, 0),
                Ipv4Addr::new(224, 0, 0, 5),
                Ipv4Addr::LOCALHOST,
                Ipv4Addr::BROADCAST,
                Ipv4Addr::UNSPECIFIED,
            ],
        ),
        ipv6: pool(
            cluster,
            random,
            v6,
            vec![Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1)],
            vec![
                Ipv6Addr::new(0xfd01, 0, 8, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
                Ipv6Addr::LOCALHOST,
                Ipv6Addr::UNSPECIFIED,
            ],
        ),
        ports: vec![22, 53, 24007, 49151, 50001],
        minimum_len: 14,
        maximum_len: 3000,
        for_test_run: true,
    }
}

/// The addresses of one family in `cluster`, with some addresses of each prefix.
fn pool<A: Copy>(
    cluster: &Cluster,
    random: &mut SplitMix,
    of_family: impl Fn(IpAddr) -> Option<A>,
    routers: Vec<A>,
    strangers: Vec<A>,
) -> Pool<A> {
    let mut hosts = |private: Range, public: Range| {
        let count = if private.is_single() { 1 } else { 4 };
        let mut identities = Vec::new();
        for _ in 0..count {
            let place = place(random, private);
            let identity =
                (of_family(private.at_place_of(place)), of_family(public.at_place_of(place)));
            if let (Some(private), Some(public)) = identity {
                identities.push(Identity { private, public });
            }
        }
        identities
    };
    let peers: Vec<Identity<A>> = cluster
        .peers
        .iter()
        .flat_map(|peer| {
            let former = peer.former.map(|(range, _)| range);
            let publics = [peer.public].into_iter().chain(former);
            publics.map(|public| (peer.private, public)).collect::<Vec<_>>()
        })
        .flat_map(|(private, public)| hosts(private, public))
        .collect();
    if peers.is_empty() {
        return Pool::empty();
    }
    let own = cluster.local.iter().flat_map(|own| {
        let underlays = [own.underlay].into_iter().chain(own.former);
        underlays.map(|underlay| (own.private, underlay)).collect::<Vec<_>>()
    });
    let local = own.flat_map(|(private, underlay)| hosts(private, underlay)).collect();
    Pool { local, peers, routers, strangers }
}

/// A random offset in `range`, as an address. Often, a nested range contains the address at this offset, too.
fn place(random: &mut SplitMix, range: Range) -> IpAddr {
    let last = match random.below(3) {
        0 => random.bits16(),
        1 => 0x0200 | random.one_of(&[0, 1, 5, 7, 200, 255]),
        _ => random.below(8) as u16,
    };
    let [high, low] = last.to_be_bytes();
    match range.first {
        IpAddr::V4(_) => IpAddr::from([0, 0, high, low]),
        IpAddr::V6(_) => match random.below(3) {
            0 => IpAddr::from([0, 0, 0, random.bits16() & 7, 0, 0, 0, last & 0xff]),
            1 => IpAddr::from([0, 0, 0, 7, 0, 0, 0, random.one_of(&[0x99, 1, 2])]),
            _ => IpAddr::from([0_u16, 0, random.bits16() & 7, 7, 0, 0, 0, last]),
        },
    }
}
