//! Defines the measured cases: the packets and the numbers of members.

use std::net::{Ipv4Addr, Ipv6Addr};

use testkit::packet::ethernet::ETHERTYPE_ARP;
use testkit::packet::{Frame, Ipv4, Ipv6, Tcp, Transport, Udp};
use tunnel_user::plan::attach_point::Program;

use super::cycle::Members;
use super::octets::Octets;

/// The size of each packet's payload in bytes.
pub const PAYLOAD: usize = 64;

/// A version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The members' address families. The programs leave out the code for an unused family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// One family.
    Only(Version),
    /// Both families.
    Both,
}

impl Families {
    /// True if the families include `version`.
    pub fn include(self, version: Version) -> bool {
        self == Self::Both || self == Self::Only(version)
    }
}

/// The payload of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// A TCP segment with data.
    Tcp,
    /// A UDP datagram with a checksum.
    Udp,
}

/// The members whose packets a program gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Two members in turn.
    Hot,
    /// All members, in an order without locality.
    Cold,
    /// An address that belongs to no member.
    Nobody,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// The number of members.
    pub members: Members,
    /// The members' address families.
    pub families: Families,
    /// The packet's IP version and payload, or `None` for an ARP packet.
    pub packet: Option<(Version, Carries)>,
    /// The members to whom the packets' peer addresses belong.
    pub whose: Whose,
}

/// The measured numbers of members.
pub const SIZES: [Members; 4] = [
    Members::power_of_two(0),
    Members::power_of_two(10),
    Members::power_of_two(17),
    Members::power_of_two(20),
];
const FEW: Members = SIZES[0];

/// The hosts that the cases need: each host's number of members and address families.
pub fn hosts() -> impl Iterator<Item = (Members, Families)> {
    let of_one = |version| SIZES.map(|members| (members, Families::Only(version)));
    let both = [(FEW, Families::Both)];
    of_one(Version::V4).into_iter().chain(of_one(Version::V6)).chain(both)
}

/// All cases of a host.
pub fn cases(members: Members, families: Families) -> Vec<Case> {
    let case = |version, carries, whose| {
        let packet = Some((version, carries));
        Case { members, families, packet, whose }
    };
    let mut cases = Vec::new();
    for version in [Version::V4, Version::V6].into_iter().filter(|v| families.include(*v)) {
        cases.push(case(version, Carries::Tcp, Whose::Hot));
        if families != Families::Both {
            cases.push(case(version, Carries::Udp, Whose::Hot));
        }
        if members > FEW {
            cases.push(case(version, Carries::Tcp, Whose::Cold));
        }
        cases.push(case(version, Carries::Tcp, Whose::Nobody));
    }
    if families == Families::Both {
        cases.push(Case { members, families, packet: None, whose: Whose::Nobody });
    }
    cases
}

impl Case {
    /// The name of the case's row in a table.
    pub fn name(&self) -> String {
        let Some((version, carries)) = self.packet else { return "miss, ARP".to_owned() };
        let version = match version {
            Version::V4 => "IPv4",
            Version::V6 => "IPv6",
        };
        let carries = match carries {
            Carries::Tcp => "TCP",
            Carries::Udp => "UDP",
        };
        let count = self.members.count();
        let noun = if count == 1 { "member" } else { "members" };
        let outcome = match self.whose {
            Whose::Hot => "hit",
            Whose::Cold => "hit, cold",
            Whose::Nobody => "miss",
        };
        let of_both = if self.families == Families::Both { " of both families" } else { "" };
        format!("{version} {carries}, {count} {noun}{of_both}, {outcome}")
    }

    /// The packet that a program gets: from or to the member `first`, or with [`Whose::Nobody`] from or to a stranger.
    pub fn frame(&self, program: Program, first: u32) -> Vec<u8> {
        let Some((version, carries)) = self.packet else {
            return Frame::new(ETHERTYPE_ARP, vec![0; 28]).to_bytes();
        };
        match version {
            Version::V4 => ipv4(program, carries, self.other(program, first)),
            Version::V6 => ipv6(program, carries, self.other(program, first)),
        }
    }

    fn other<A: Octets>(&self, program: Program, member: u32) -> A {
        match (self.whose, program) {
            (Whose::Nobody, _) => A::stranger(),
            (_, Program::Egress) => A::private(member),
            (_, Program::Ingress | Program::Xdp) => A::public(member),
        }
    }
}

/// A program's input packet, to or from the address `other`.
pub fn ipv4(program: Program, carries: Carries, other: [u8; 4]) -> Vec<u8> {
    let [source, destination] = ends(program, other).map(Ipv4Addr::from);
    Ipv4::new(source, destination, carries.transport()).to_frame().to_bytes()
}

/// Like [`ipv4`], for IPv6.
pub fn ipv6(program: Program, carries: Carries, other: [u8; 16]) -> Vec<u8> {
    let [source, destination] = ends(program, other).map(Ipv6Addr::from);
    Ipv6::new(source, destination, carries.transport()).to_frame().to_bytes()
}

fn ends<A: Octets>(program: Program, other: A) -> [A; 2] {
    match program {
        Program::Egress => [A::own(), other],
        Program::Ingress | Program::Xdp => [other, A::own()],
    }
}

impl Carries {
    fn transport(self) -> Transport {
        match self {
            Self::Tcp => Tcp::new(vec![7; PAYLOAD]).into(),
            Self::Udp => Udp::new(vec![7; PAYLOAD]).into(),
        }
    }
}
