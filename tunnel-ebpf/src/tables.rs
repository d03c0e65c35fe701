//! The questions that the pure code may ask of the maps.

use tunnel_common::bypass::BypassKey;
use tunnel_common::counters::Count;
use tunnel_common::flows::{BYPASSED, DATAGRAM, FROM_UNDERLAY, Flow, LEFT_ALONE};
use tunnel_common::local_members::LocalRange;
use tunnel_common::outcome::Direction;

use crate::address::Address;
use crate::conditions::Conditions;
use crate::peer_entry::{PeerEntry, PeerLookup};

/// The peers, this host, and the flows in which its public address is an end point, in one version
/// of IP.
pub trait Tables<A: Address> {
    /// The peer that `address` is a private or public address of: a single one, or else the longest
    /// prefix.
    fn peer(&self, address: A) -> PeerLookup<'_, A>;

    /// The same where few packets come, without a second look at an entry that became another key's: each look
    /// multiplies the ways on which the verifier goes.
    fn peer_once(&self, address: A) -> PeerLookup<'_, A> {
        self.peer(address)
    }

    /// A single peer has `address` all the same, although the lookup found none: it may miss an entry that is
    /// replaced at that moment.
    fn is_missed(&self, address: A) -> bool;

    /// The conditions of the peer that `address` is an address of, looked up anew: those that were read with an
    /// entry may be those of the key that it went to. None where it is contended.
    fn conditions(&self, address: A) -> Conditions;

    /// Counts a packet that was rewritten for the peer in `slot`.
    fn count_rewritten(&self, slot: u32, direction: Direction, count: Count);

    /// True if there are peers that are prefixes.
    fn has_prefixes(&self) -> bool;

    /// True if this host is several members, or a prefix.
    fn is_gateway(&self) -> bool;

    /// True if this host has an underlay address from before it moved.
    fn has_moved(&self) -> bool;

    /// The longest range of this host's own that holds `address`. Only asked on a gateway, and on a
    /// host that has moved.
    fn local_range(&self, address: A) -> Option<&LocalRange<A::Octets>>;

    /// This host's private address, where no packet from outside may have it; or none.
    fn guarded(&self) -> A;

    /// True if there is such a bypass rule.
    fn has_bypass(&self, rule: &BypassKey) -> bool;

    /// True if the time is over in which packets from a former address of the peer are accepted.
    fn has_drained(&self, former: &PeerEntry<'_, A>) -> bool;

    /// True if the grace period of a peer that has one goes on. Ends it when its time is over.
    fn in_grace_period(&self, peer: &PeerEntry<'_, A>) -> bool;

    /// Notes in the peer's entries under both its addresses whether its packets arrive native.
    fn set_replies_native(&self, private: A, public: A, is_native: bool);

    /// Notes in the peer's entries under both its addresses whether it may not know this host's
    /// current underlay address.
    fn set_use_former_source(&self, private: A, public: A, uses_former: bool);

    /// The peer that has the single public address `public` has shown that it holds the pair of addresses of the
    /// entry there: from now on, packets to it go between them. If the peer sends between them, it is awaited no
    /// longer. False if the entry could not be written.
    fn note_shown(&self, public: A, peer_sends: bool) -> bool;

    /// Notes in the peer's entries under both its addresses that there are such flows with it.
    fn set_public_flows(&self, private: A, public: A);

    /// Remembers that this host has sent a packet of `flow` just now, or has seen the first fragment
    /// of a datagram, and how the ones that belong to it are treated.
    fn insert_flow(&self, flow: &Flow<A::Octets>, action: FlowAction);

    /// Forgets `flow`.
    fn delete_flow(&self, flow: &Flow<A::Octets>);

    /// The action for packets of `flow`, if it was inserted lately enough for its protocol.
    fn lookup_flow(&self, flow: &Flow<A::Octets>) -> Option<FlowAction>;
}

/// The action for arriving packets of a remembered flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowAction {
    /// Both ends are public addresses.
    LeftAlone,
    /// This host's end is its underlay address: only the peer's address is replaced.
    FromUnderlay,
    /// On the bypass list.
    Bypassed,
}

impl FlowAction {
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

/// A number that stands for `flow` beside its action: see [`tunnel_common::flows::FlowState::tag`]. Never
/// [`NO_TAG`].
#[must_use]
#[inline(always)]
pub fn flow_tag<A: Address>(flow: &Flow<A::Octets>) -> u32 {
    let [[l0, l1], [p0, p1]] = [flow.local_port, flow.peer_port];
    let rest = u64::from_ne_bytes([l0, l1, p0, p1, flow.protocol, flow.kind, 0, 0]);
    // Odd numbers without a pattern, one for each part, so that parts that change places make another.
    let (local, peer) = (A::from_octets(flow.local).sum(), A::from_octets(flow.peer).sum());
    let mixed = local.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ peer.wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
        ^ rest.wrapping_mul(0x1656_67b1_9e37_79f9);
    (mixed >> 32) as u32 | 1
}

/// The tag of an entry that programs of ABI 2 wrote, into a map that both versions share during an upgrade.
pub const NO_TAG: u32 = 0;

/// The entry under the key `flow`, which has this tag, is the flow's own.
#[must_use]
#[inline(always)]
pub fn is_of_flow<A: Address>(tag: u32, flow: &Flow<A::Octets>) -> bool {
    tag == NO_TAG || tag == flow_tag::<A>(flow)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Words;
    use tunnel_common::flows::FLOW;

    type A = Words<1>;

    const fn flow(local_port: u16) -> Flow<[u8; 4]> {
        Flow {
            local: [198, 51, 100, 2],
            peer: [203, 0, 113, 2],
            local_port: local_port.to_be_bytes(),
            peer_port: [0, 22],
            protocol: 6,
            kind: FLOW,
            reserved: [0; 2],
        }
    }

    #[test]
    fn an_entry_of_another_flow_is_not_taken_for_this_one() {
        let tag = flow_tag::<A>(&flow(40_000));
        assert!(is_of_flow::<A>(tag, &flow(40_000)));
        assert!(!is_of_flow::<A>(tag, &flow(40_001)));
    }

    #[test]
    fn an_entry_of_the_version_before_counts_and_is_none_of_this_one() {
        assert!(is_of_flow::<A>(NO_TAG, &flow(40_000)));
        for port in 0..=u16::MAX {
            assert_ne!(flow_tag::<A>(&flow(port)), NO_TAG);
        }
    }
}
