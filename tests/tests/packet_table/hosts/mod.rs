//! Defines the cluster of most rows, and the configuration of each host.

pub mod entries;

use tunnel_common::settings::{ETHERNET_HEADER_LEN, Settings, VLAN_NONE};

use crate::family::Dual;

/// The addresses of a member in one role: a single address, or a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first address.
    pub first: Dual,
    /// The number of bits that the IPv4 addresses share.
    pub bits_v4: u8,
    /// The number of bits that the IPv6 addresses share.
    pub bits_v6: u8,
}

/// A host, or a network of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The member's name.
    pub name: &'static str,
    /// The member's private address, or a network's first private address.
    pub private: Dual,
    /// The member's public address, or a network's first public address.
    pub public: Dual,
    /// The number of bits that the member's IPv4 addresses share, in both roles.
    pub bits_v4: u8,
    /// The number of bits that the member's IPv6 addresses share, in both roles.
    pub bits_v6: u8,
}

impl Member {
    /// A member with one address in each role and family.
    pub const fn new(name: &'static str, private: Dual, public: Dual) -> Self {
        Self { name, private, public, bits_v4: 32, bits_v6: 128 }
    }

    /// The member as a network.
    pub const fn bits(self, bits_v4: u8, bits_v6: u8) -> Self {
        Self { bits_v4, bits_v6, ..self }
    }

    /// The member's range that begins with `first`.
    pub const fn range(self, first: Dual) -> Range {
        Range { first, bits_v4: self.bits_v4, bits_v6: self.bits_v6 }
    }

    /// The network's host `host` places after its first host.
    pub fn host(self, host: u128) -> Self {
        let (private, public) = (self.private.plus(host), self.public.plus(host));
        Self { private, public, ..self }
    }
}

/// The host whose programs most rows run.
pub const SRVA: Member = Member::new(
    "srva",
    Dual::new([10, 0, 0, 1], [0xfd00, 0xa, 0, 0, 0, 0, 0, 1]),
    Dual::new([198, 51, 100, 2], [0x2001, 0xdb8, 0x51, 0x100, 0, 0, 0, 2]),
);
/// The peer of srva in most rows.
pub const SRVB: Member = Member::new(
    "srvb",
    Dual::new([10, 0, 0, 2], [0xfd00, 0xa, 0, 0, 0, 0, 0, 2]),
    Dual::new([203, 0, 113, 2], [0x2001, 0xdb8, 0x113, 0, 0x5054, 0xff, 0xfe12, 0x3456]),
);
/// The other peer of srva, which is marked direct.
pub const SRVC: Member = Member::new(
    "srvc",
    Dual::new([10, 0, 0, 3], [0xfd00, 0xa, 0, 0, 0, 0, 0, 3]),
    Dual::new([192, 0, 2, 33], [0x2001, 0xdb8, 0x2, 0, 0, 0, 0, 0x33]),
);
/// A router between the members.
pub const ROUTER: Dual = Dual::new([198, 51, 100, 1], [0x2001, 0xdb8, 0x51, 0x100, 0, 0, 0, 1]);
/// A host that is no member.
pub const STRANGER: Dual = Dual::new([192, 0, 2, 200], [0x2001, 0xdb8, 0x2, 0, 0, 0, 0, 0x200]);
/// The address of srva's interface when srva is behind a 1:1 NAT.
pub const UNDERLAY_BEHIND_NAT: Dual = Dual::new([172, 31, 0, 5], [0xfd00, 0x31, 0, 0, 0, 0, 0, 5]);

/// The addresses of one local member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// The member's private addresses.
    pub private: Range,
    /// The addresses of the host's interface.
    pub underlay: Range,
}

impl Own {
    /// The addresses of a member whose public address is also the interface's address.
    pub const fn of(member: Member) -> Self {
        Self { private: member.range(member.private), underlay: member.range(member.public) }
    }
}

/// A peer in a host's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownPeer {
    /// The member.
    pub member: Member,
    /// The peer's slot.
    pub slot: u32,
    /// True for a direct peer: packets that arrive with its private address as their source pass.
    pub direct: bool,
    /// The bypass rules that the programs check for this peer: the value of the field `Peer::bypass`.
    pub bypass: u8,
}

impl KnownPeer {
    /// A peer with all special features off.
    pub const fn new(slot: u32, member: Member) -> Self {
        Self { member, slot, direct: false, bypass: 0 }
    }

    /// The peer, marked direct.
    pub const fn direct(self) -> Self {
        Self { direct: true, ..self }
    }

    /// The peer, with these bypass rules to check.
    pub const fn bypass(self, bypass: u8) -> Self {
        Self { bypass, ..self }
    }
}

/// A bypass rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The peer's slot, or `CLUSTER` for all peers.
    pub slot: u32,
    /// The IP protocol number.
    pub protocol: u8,
    /// The port.
    pub port: u16,
}

/// The configuration of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// The host's own member.
    pub member: Member,
    /// The settings of the programs.
    pub settings: Settings,
    /// The host's own addresses. Only a gateway has several.
    pub local: &'static [Own],
    /// The peers.
    pub peers: &'static [KnownPeer],
    /// The bypass rules.
    pub rules: &'static [Rule],
    /// The end of the peers' grace period, in seconds since this host booted.
    pub grace_until: u32,
}

impl Host {
    /// The slot of a peer.
    pub fn slot(&self, member: Member) -> u32 {
        let peer = self.peers.iter().find(|peer| peer.member.name == member.name);
        peer.expect("a peer of this host").slot
    }
}

/// Settings for peers with one address, on Ethernet, with all other features off.
pub const ETHERNET: Settings = Settings {
    link_header_len: ETHERNET_HEADER_LEN,
    ipv4: 1,
    ipv6: 1,
    prefixes_v4: 0,
    prefixes_v6: 0,
    gateway: 0,
    bypass: 0,
    moved: 0,
    vlan: VLAN_NONE,
    reserved: 0,
    vlan_id: 0,
    guarded_v4: [0; 4],
    guarded_v6: [0; 16],
};

/// srva, with srvb in slot 0 and srvc in slot 1.
pub const AT_SRVA: Host = Host {
    member: SRVA,
    settings: ETHERNET,
    local: &[Own::of(SRVA)],
    peers: &[KnownPeer::new(0, SRVB), KnownPeer::new(1, SRVC).direct()],
    rules: &[],
    grace_until: 0,
};
/// srva behind a 1:1 NAT.
pub const AT_SRVA_BEHIND_NAT: Host = Host {
    local: &[Own { underlay: SRVA.range(UNDERLAY_BEHIND_NAT), ..Own::of(SRVA) }],
    ..AT_SRVA
};
/// srva, whose peers might not be attached yet.
pub const AT_SRVA_IN_GRACE_PERIOD: Host = Host { grace_until: u32::MAX, ..AT_SRVA };
/// srva after the grace period, before any packet has cleared the period's end from a peer's entry.
pub const AT_SRVA_LATER: Host = Host { grace_until: 1, ..AT_SRVA };
/// srvb, with srva in slot 0.
pub const AT_SRVB: Host = Host {
    member: SRVB,
    local: &[Own::of(SRVB)],
    peers: &[KnownPeer::new(0, SRVA), KnownPeer::new(1, SRVC).direct()],
    ..AT_SRVA
};
/// srvc, with srva in slot 0.
pub const AT_SRVC: Host = Host {
    member: SRVC,
    local: &[Own::of(SRVC)],
    peers: &[KnownPeer::new(0, SRVA), KnownPeer::new(1, SRVB)],
    ..AT_SRVA
};
