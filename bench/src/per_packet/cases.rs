//! The measured cases: the packets, and the number of members.

use std::net::{Ipv4Addr, Ipv6Addr};

use testkit::packet::ethernet::ETHERTYPE_ARP;
use testkit::packet::{Frame, Ipv4, Ipv6, Tcp, Transport, Udp};
use tunnel_user::plan::attach_point::Program;

use super::cycle::Members;
use super::octets::Octets;

/// Bytes of the payload of each packet.
pub const PAYLOAD: usize = 64;

/// A version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The families that a cluster's members have addresses of: the programs leave out what is not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// One.
    Only(Version),
    /// Both.
    Both,
}

impl Families {
    /// True if it is among them.
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

/// The members that the packets concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Two, in turn.
    Hot,
    /// All, in an order without locality.
    Cold,
    /// The address of no member.
    Nobody,
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// The number of members.
    pub members: Members,
    /// Their families.
    pub families: Families,
    /// The packet that is sent; nothing if it is no packet of IP.
    pub packet: Option<(Version, Carries)>,
    /// To whom, or from whom.
    pub whose: Whose,
}

/// The numbers of members.
pub const SIZES: [Members; 4] = [
    Members::power_of_two(0),
    Members::power_of_two(10),
    Members::power_of_two(17),
    Members::power_of_two(20),
];
const FEW: Members = SIZES[0];

/// The hosts that are needed.
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
    /// Its row in a table.
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

    /// The packet that a program gets, from or to the member `first`.
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

/// A packet as a program gets it, to or from the address `other`.
pub fn ipv4(program: Program, carries: Carries, other: [u8; 4]) -> Vec<u8> {
    let [source, destination] = ends(program, other).map(Ipv4Addr::from);
    Ipv4::new(source, destination, carries.transport()).to_frame().to_bytes()
}

/// The same with IPv6.
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
