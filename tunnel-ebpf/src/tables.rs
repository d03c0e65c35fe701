//! Defines the pure code's access to the maps.

use tunnel_common::bypass::BypassKey;
use tunnel_common::counters::Count;
use tunnel_common::flows::{BYPASSED, DATAGRAM, FROM_UNDERLAY, Flow, LEFT_ALONE};
use tunnel_common::local_members::LocalRange;
use tunnel_common::outcome::Direction;

use crate::address::Address;
use crate::conditions::Conditions;
use crate::peer_entry::{PeerEntry, PeerLookup};

/// The tables of one version of IP: the peers, this host's addresses, and the flows in which this host's underlay
/// address is an end point.
pub trait Tables<A: Address> {
    /// The peer with the private or public address `address`: the peer with exactly this address, or else the peer with
    /// the longest matching prefix.
    fn peer(&self, address: A) -> PeerLookup<'_, A>;

    /// [`Self::peer`] for rare packets. This method does not repeat the lookup of an entry that the kernel has given to
    /// another key: each lookup multiplies the verifier's paths.
    fn peer_once(&self, address: A) -> PeerLookup<'_, A> {
        self.peer(address)
    }

    /// For an address that a lookup did not find: true if a peer has exactly this address. A lookup can miss an entry
    /// during the entry's replacement.
    fn is_missed(&self, address: A) -> bool;

    /// The conditions of the peer with `address`, from a new lookup: the kernel may have given the previous entry to
    /// another key meanwhile. No conditions if the new lookup finds no entry.
    fn conditions(&self, address: A) -> Conditions;

    /// Counts a packet that was rewritten for the peer in `slot`.
    fn count_rewritten(&self, slot: u32, direction: Direction, count: Count);

    /// Counts a rewritten ICMP error of a router, about a packet to the peer in `slot`.
    fn count_router_error(&self, slot: u32, count: Count);

    /// True if there are peers that are prefixes.
    fn has_prefixes(&self) -> bool;

    /// True if this host is several members, or a prefix.
    fn is_gateway(&self) -> bool;

    /// True if this host has an underlay address from before it moved.
    fn has_moved(&self) -> bool;

    /// This host's own range whose prefix is the longest match for `address`. Only for a gateway, and for a host that
    /// has moved.
    fn local_range(&self, address: A) -> Option<&LocalRange<A::Octets>>;

    /// This host's guarded private address, which no packet from outside may have; [`Address::NONE`] if none is
    /// guarded.
    fn guarded(&self) -> A;

    /// True if the bypass list has `rule`.
    fn has_bypass(&self, rule: &BypassKey) -> bool;

    /// True if a peer's former address has drained: the programs no longer accept packets from it.
    fn has_drained(&self, former: &PeerEntry<'_, A>) -> bool;

    /// True while the peer's grace period lasts. Clears the period in the entry when its time is over.
    fn in_grace_period(&self, peer: &PeerEntry<'_, A>) -> bool;

    /// Notes in the peer's entries, under both addresses, whether the peer's packets arrive with its private address.
    fn set_replies_native(&self, private: A, public: A, is_native: bool);

    /// Notes in the peer's entries, under both addresses, the source of packets to the peer: this host's former
    /// underlay address if `uses_former`, or its current one.
    fn set_use_former_source(&self, private: A, public: A, uses_former: bool);

    /// Notes that the peer with the public address `public` has shown that it holds the entry's pair of addresses: from
    /// now on, packets to the peer go between this pair. The peer is not a prefix. If `peer_sends`, the peer sends
    /// between this pair and is no longer awaited. Returns false if the note failed.
    fn note_shown(&self, public: A, peer_sends: bool) -> bool;

    /// Notes in the peer's entries, under both addresses, that there are flows with public addresses.
    fn set_public_flows(&self, private: A, public: A);

    /// True if `address` is an underlay address of this host. For rare packets: most hosts look the address up in the
    /// record of their members.
    fn is_underlay(&self, address: A) -> bool;

    /// This host's part of a stamp.
    fn receiver(&self) -> Receiver;

    /// Inserts `flow` with the action for its packets: this host has just sent a packet of the flow, or has seen the
    /// first fragment of a datagram.
    fn insert_flow(&self, flow: &Flow<A::Octets>, action: FlowAction);

    /// Deletes `flow`.
    fn delete_flow(&self, flow: &Flow<A::Octets>);

    /// The action for packets of `flow`; `None` if the lifetime for the flow's protocol is over.
    fn lookup_flow(&self, flow: &Flow<A::Octets>) -> Option<FlowAction>;
}

/// This host's part of a stamp. Words are as they stand in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receiver {
    /// [`tunnel_common::ping::Stamp::abi_version`].
    pub abi_version: [u8; 2],
    /// [`tunnel_common::ping::Stamp::revision`].
    pub revision: [u8; 4],
    /// [`tunnel_common::ping::Stamp::digest`].
    pub digest: u64,
    /// [`tunnel_common::ping::Stamp::version`].
    pub version: [u64; 2],
}

/// The action for packets of a known flow or datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowAction {
    /// This host's end is its underlay address, the peer's end a public address: the programs leave the packet alone.
    LeftAlone,
    /// This host's end is its underlay address, the peer's end a private address: the programs replace only the peer's
    /// address.
    FromUnderlay,
    /// The packet's datagram is on the bypass list.
    Bypassed,
}

impl FlowAction {
    /// The map's code of the action.
    #[must_use]
    #[inline(always)]
    pub const fn code(self) -> u8 {
        match self {
            Self::LeftAlone => LEFT_ALONE,
            Self::FromUnderlay => FROM_UNDERLAY,
            Self::Bypassed => BYPASSED,
        }
    }

    /// The action with the map's code.
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

/// A hash of `flow`, which the flow's entry holds beside the action: see [`tunnel_common::flows::FlowState::tag`].
/// Never [`NO_TAG`].
#[must_use]
#[inline(always)]
pub fn flow_tag<A: Address>(flow: &Flow<A::Octets>) -> u32 {
    let [[l0, l1], [p0, p1]] = [flow.local_port, flow.peer_port];
    let rest = u64::from_ne_bytes([l0, l1, p0, p1, flow.protocol, flow.kind, 0, 0]);
    // Odd multipliers without a pattern, one for each part, so that swapped parts normally give a different tag.
    let (local, peer) = (A::from_octets(flow.local).sum(), A::from_octets(flow.peer).sum());
    let mixed = local.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ peer.wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
        ^ rest.wrapping_mul(0x1656_67b1_9e37_79f9);
    (mixed >> 32) as u32 | 1
}

/// The tag of an entry that the loader or a program of ABI 2 wrote: during an upgrade, the programs of both versions
/// share the map.
pub const NO_TAG: u32 = 0;

/// True if an entry with this tag under the key `flow` belongs to the flow.
#[must_use]
#[inline(always)]
pub fn is_of_flow<A: Address>(tag: u32, flow: &Flow<A::Octets>) -> bool {
    tag == NO_TAG || tag == flow_tag::<A>(flow)
}

/// The lifetime of a flow after this host's last packet, in nanoseconds.
///
/// TCP: 2 hours 4 minutes (RFC 5382, REQ-5); all else: 5 minutes (RFC 4787, REQ-5). A datagram in fragments: half a
/// minute, since a new datagram soon reuses the identification. Linux waits equally long for the fragments of an IPv4
/// datagram (sysctl net.ipv4.ipfrag_time), and a minute for IPv6 (RFC 8200, section 4.5).
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
