//! The cluster of the table, and how each of its hosts is configured.

use std::net::Ipv4Addr;

use tunnel_common::peers::{Peer, PeerKey, ROLE_PRIVATE, ROLE_PUBLIC};

/// A host of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// Its private address.
    pub private: Ipv4Addr,
    /// Its public address.
    pub public: Ipv4Addr,
}

/// The host on whose side most rows are.
pub const SRVA: Member = Member {
    name: "srva",
    private: Ipv4Addr::new(10, 0, 0, 1),
    public: Ipv4Addr::new(198, 51, 100, 2),
};
/// Its peer in most rows.
pub const SRVB: Member = Member {
    name: "srvb",
    private: Ipv4Addr::new(10, 0, 0, 2),
    public: Ipv4Addr::new(203, 0, 113, 2),
};
/// The other peer, which is marked direct.
pub const SRVC: Member = Member {
    name: "srvc",
    private: Ipv4Addr::new(10, 0, 0, 3),
    public: Ipv4Addr::new(192, 0, 2, 33),
};
/// A router between them.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// A host that is no member.
pub const STRANGER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 200);
/// The address of srva's interface where a 1:1 NAT stands in front of it.
pub const UNDERLAY_BEHIND_NAT: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 5);

/// A peer as a host is told about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownPeer {
    /// Who.
    pub member: Member,
    /// Its slot.
    pub slot: u32,
    /// Whether packets from its private address may arrive.
    pub direct: bool,
}

/// How a host is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Who it is.
    pub member: Member,
    /// The address of its interface.
    pub underlay: Ipv4Addr,
    /// The others.
    pub peers: [KnownPeer; 2],
    /// Until when they may not be attached themselves yet, in seconds since this host booted.
    pub settled_at: u32,
}

const fn known(member: Member, slot: u32, direct: bool) -> KnownPeer {
    KnownPeer { member, slot, direct }
}

/// srva, with srvb in slot 0 and srvc in slot 1.
pub const AT_SRVA: Host = Host {
    member: SRVA,
    underlay: SRVA.public,
    peers: [known(SRVB, 0, false), known(SRVC, 1, true)],
    settled_at: 0,
};
/// The same behind a 1:1 NAT.
pub const AT_SRVA_BEHIND_NAT: Host = Host { underlay: UNDERLAY_BEHIND_NAT, ..AT_SRVA };
/// srva, whose peers may not be attached yet.
pub const AT_SRVA_SETTLING: Host = Host { settled_at: u32::MAX, ..AT_SRVA };
/// The same later: the time is over, but no packet has told the programs.
pub const AT_SRVA_LATER: Host = Host { settled_at: 1, ..AT_SRVA };
/// srvb, with srva in slot 0.
pub const AT_SRVB: Host = Host {
    member: SRVB,
    underlay: SRVB.public,
    peers: [known(SRVA, 0, false), known(SRVC, 1, true)],
    settled_at: 0,
};
/// srvc, with srva in slot 0.
pub const AT_SRVC: Host = Host {
    member: SRVC,
    underlay: SRVC.public,
    peers: [known(SRVA, 0, false), known(SRVB, 1, false)],
    settled_at: 0,
};

impl Host {
    /// The slot of a peer.
    pub fn slot(&self, member: Member) -> u32 {
        let peer = self.peers.iter().find(|peer| peer.member == member);
        peer.expect("a peer of this host").slot
    }

    /// The entries of `peers_v4`.
    pub fn entries(&self) -> Vec<(PeerKey<[u8; 4]>, Peer<[u8; 4]>)> {
        let mut entries = Vec::new();
        for KnownPeer { member, slot, direct } in self.peers {
            for (address, role) in [(member.private, ROLE_PRIVATE), (member.public, ROLE_PUBLIC)] {
                let key = PeerKey { address: address.octets() };
                let peer = Peer {
                    private: member.private.octets(),
                    public: member.public.octets(),
                    self_private: self.member.private.octets(),
                    self_underlay: self.underlay.octets(),
                    slot,
                    role,
                    direct: u8::from(direct),
                    public_flows: 0,
                    length: 32,
                    bypass: 0,
                    plain: 0,
                    reserved: [0; 2],
                    settled_at: self.settled_at,
                };
                entries.push((key, peer));
            }
        }
        entries
    }
}
