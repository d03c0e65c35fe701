//! Computes the entries of one peer, under its private and its public range.

use tunnel_common::peers::{BYPASS_CLUSTER, BYPASS_MEMBER, Peer, ROLE_PRIVATE, ROLE_PUBLIC};

use crate::plan::identity::Identity;
use crate::plan::peers::NamedPeer;
use crate::plan::range::{Address, Range};

/// The part of a peer's entries that depends on this host. All other fields depend on the peer alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own<A> {
    /// This host's private address; 0 on a gateway.
    pub private: A,
    /// This host's underlay address; 0 on a gateway.
    pub underlay: A,
    /// True if bypass rules apply to all of this host's traffic.
    pub bypasses: bool,
}

impl<A: Address> Own<A> {
    /// The part for a host with this identity.
    #[must_use]
    pub fn of(identity: &Identity, bypasses: bool) -> Self {
        let own = identity.single(A::FAMILY);
        let address = |prefix| Range::of(prefix).map_or_else(A::default, |range| range.address);
        Self {
            private: own.map_or_else(A::default, |own| address(own.private().0)),
            underlay: own.map_or_else(A::default, |own| address(own.underlay().0)),
            bypasses,
        }
    }
}

/// The entries of one peer under its private and its public range.
pub fn entries<A: Address>(
    own: &Own<A>,
    peer: &NamedPeer,
    slot: u32,
    grace_until: u32,
) -> impl Iterator<Item = (Range<A>, Peer<A>)> {
    peer.addresses
        .iter()
        .filter_map(|addresses| {
            Some((Range::of(addresses.private.0)?, Range::of(addresses.public.0)?))
        })
        .flat_map(move |(private, public)| {
            let entry = entry(own, peer, slot, private, public, grace_until);
            let of_role = |role| Peer { role, ..entry };
            [(private, of_role(ROLE_PRIVATE)), (public, of_role(ROLE_PUBLIC))]
        })
}

fn entry<A: Address>(
    own: &Own<A>,
    peer: &NamedPeer,
    slot: u32,
    private: Range<A>,
    public: Range<A>,
    grace_until: u32,
) -> Peer<A> {
    let flag = |rules: bool, flag: u8| if rules { flag } else { 0 };
    tied(Peer {
        private: private.address,
        public: public.address,
        local_private: own.private,
        local_underlay: own.underlay,
        slot,
        role: ROLE_PRIVATE,
        direct: u8::from(peer.direct),
        public_flows: 0,
        length: private.length,
        bypass: flag(own.bypasses, BYPASS_CLUSTER) | flag(!peer.bypass.is_empty(), BYPASS_MEMBER),
        replies_native: 0,
        use_former_source: 0,
        awaited: 0,
        tie: A::default(),
        grace_until,
        expires_at: 0,
    })
}

/// Sets the field [`Peer::tie`] for the addresses of `peer`. If the `tie` of an entry under a single IPv6 address does
/// not match the entry's addresses, the programs drop the entry's packets.
#[must_use]
pub fn tied<A: Address>(peer: Peer<A>) -> Peer<A> {
    let is_single = peer.length == A::FAMILY.bits();
    let tie = if is_single { A::tie(peer.private, peer.public) } else { A::default() };
    Peer { tie, ..peer }
}
