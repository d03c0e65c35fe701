//! What the pure code may ask of the maps.

use tunnel_common::bypass::BypassKey;
use tunnel_common::counters::Count;
use tunnel_common::flows::{BYPASSED, DATAGRAM, FROM_UNDERLAY, Flow, LEFT_ALONE};
use tunnel_common::outcome::Direction;
use tunnel_common::peers::Peer;
use tunnel_common::selves::SelfRange;

use crate::address::Address;

/// The peers, this host, and the flows in which its public address is an end point, in one version
/// of IP.
pub trait Tables<A: Address> {
    /// The peer that `address` is a private or public address of: a single one, or else the longest
    /// prefix.
    fn peer(&self, address: A) -> Option<&Peer<A::Octets>>;

    /// Counts a packet that was rewritten for the peer in `slot`.
    fn count_rewritten(&self, slot: u32, direction: Direction, count: Count);

    /// Whether there are peers that are prefixes.
    fn has_prefixes(&self) -> bool;

    /// Whether this host is several members, or a prefix.
    fn is_gateway(&self) -> bool;

    /// Whether this host has an underlay address from before it moved.
    fn has_moved(&self) -> bool;

    /// The longest range of this host's own that holds `address`. Only asked on a gateway, and on a
    /// host that has moved.
    fn own(&self, address: A) -> Option<&SelfRange<A::Octets>>;

    /// Whether there is such a bypass rule.
    fn has_bypass(&self, rule: &BypassKey) -> bool;

    /// Whether the time is over in which packets from a former address of the peer are accepted.
    fn has_drained(&self, former: &Peer<A::Octets>) -> bool;

    /// Whether the peer, whose `until` is not 0, may not be attached itself yet.
    fn is_settling(&self, peer: &Peer<A::Octets>, public: A) -> bool;

    /// Notes that the peer is attached: `until` of its entry under `public` becomes 0.
    fn settle(&self, public: A);

    /// Notes in the peer's entries under both its addresses whether its packets arrive plain.
    fn set_plain(&self, private: A, public: A, is_plain: bool);

    /// Notes in the peer's entries under both its addresses whether it may not know this host's
    /// underlay address of now.
    fn set_unaware(&self, private: A, public: A, is_unaware: bool);

    /// Notes in the peer's entries under both its addresses that there are such flows with it.
    fn set_public_flows(&self, private: A, public: A);

    /// Remembers that this host has sent a packet of `flow` just now, or has seen the first fragment
    /// of a datagram, and how the ones that belong to it are treated.
    fn remember(&self, flow: &Flow<A::Octets>, treatment: Treatment);

    /// Forgets `flow`.
    fn forget(&self, flow: &Flow<A::Octets>);

    /// How packets of `flow` are treated, if it was remembered lately enough for its protocol.
    fn recall(&self, flow: &Flow<A::Octets>) -> Option<Treatment>;
}

/// How the packets of a remembered flow are treated when they arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Both ends are public addresses.
    LeftAlone,
    /// This host's end is its underlay address: only the peer's address is replaced.
    FromUnderlay,
    /// On the bypass list.
    Bypassed,
}

impl Treatment {
    /// As the map holds it.
    #[must_use]
    #[inline(always)]
    pub const fn code(self) -> u8 {
        match self {
            Self::LeftAlone => LEFT_ALONE,
            Self::FromUnderlay => FROM_UNDERLAY,
            Self::Bypassed => BYPASSED,
        }
    }

    /// From the map.
    #[must_use]
    #[inline(always)]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            LEFT_ALONE => Some(Self::LeftAlone),
            FROM_UNDERLAY => Some(Self::FromUnderlay),
            BYPASSED => Some(Self::Bypassed),
            _ => None,
        }
    }
}

/// Nanoseconds after which a flow is forgotten when this host is silent.
///
/// TCP: 2 hours 4 minutes (RFC 5382, REQ-5); all else: 5 minutes (RFC 4787, REQ-5). A datagram whose
/// fragments follow its first one: half a minute, as long as Linux waits for them (sysctl
/// net.ipv4.ipfrag_time; for IPv6 it is a minute, RFC 8200 section 4.5), since its identification
/// soon stands for another.
#[must_use]
#[inline(always)]
pub const fn flow_lifetime<O>(flow: &Flow<O>) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    if flow.kind == DATAGRAM {
        30 * SECOND
    } else if flow.protocol == crate::parse::transport::TCP {
        7_440 * SECOND
    } else {
        300 * SECOND
    }
}
