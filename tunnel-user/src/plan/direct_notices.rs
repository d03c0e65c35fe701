//! Prepares the notices that this host sends to direct peers before it detaches the programs. A notice is a packet with
//! private addresses. It makes the peer send packets with private addresses, as this host will do after the detach.

use tunnel_common::peers::{Peer, ROLE_PRIVATE};

use crate::plan::peer_tables::{Change, PeerTable};
use crate::plan::range::Address;

/// The notice to a peer that is marked direct and still gets rewritten packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectNotice<A> {
    /// The peer's slot.
    pub slot: u32,
    /// This host's private address.
    pub own: A,
    /// The peer's private address.
    pub peer: A,
    /// The changes after which this host sends packets with private addresses to the peer.
    pub changes: Vec<Change<A>>,
}

/// The notices to the peers in `table`. A network gets no notice, and a gateway sends no notices, because this host
/// does not know which hosts communicate.
#[must_use]
pub fn direct_notices<A: Address>(table: &PeerTable<A>) -> Vec<DirectNotice<A>> {
    let is_meant = |peer: &Peer<A>| {
        let has_own = peer.local_private != A::default();
        peer.role == ROLE_PRIVATE && peer.direct == 1 && peer.replies_native == 0 && has_own
    };
    let notice = |own: A, peer: A, slot: u32| {
        let entries = table.iter().filter(|(_, entry)| entry.slot == slot);
        let changes =
            entries.map(|(range, entry)| Change::Set(*range, Peer { replies_native: 1, ..*entry }));
        DirectNotice { slot, own, peer, changes: changes.collect() }
    };
    table
        .iter()
        .filter(|(range, peer)| range.is_single() && is_meant(peer))
        .map(|(range, peer)| notice(peer.local_private, range.address, peer.slot))
        .collect()
}

#[cfg(test)]
mod tests {
    use tunnel_common::peers::ROLE_PUBLIC;

    use super::*;
    use crate::plan::range::Range;

    const OWN: [u8; 4] = [10, 0, 0, 1];

    fn table(slot: u32, direct: u8, plain: u8) -> PeerTable<[u8; 4]> {
        let host = 2 + slot as u8;
        let (private, public) = ([10, 0, 0, host], [203, 0, 113, host]);
        let entry = |role| Peer {
            private,
            public,
            local_private: OWN,
            local_underlay: [198, 51, 100, 2],
            slot,
            role,
            direct,
            public_flows: 1,
            length: 32,
            bypass: 0,
            replies_native: plain,
            use_former_source: 0,
            awaited: 0,
            tie: [0; 4],
            grace_until: 0,
            expires_at: 0,
        };
        [(Range::single(private), entry(ROLE_PRIVATE)), (Range::single(public), entry(ROLE_PUBLIC))]
            .into()
    }

    #[test]
    fn a_direct_peer_is_told_and_both_of_its_entries_change() {
        let mut all = table(0, 1, 0);
        all.extend(table(1, 0, 0));
        let [notice] = &direct_notices(&all)[..] else { panic!("one") };
        assert_eq!((notice.own, notice.peer, notice.slot), (OWN, [10, 0, 0, 2], 0));
        let changed: Vec<_> = notice
            .changes
            .iter()
            .map(|change| match change {
                Change::Set(range, peer) => (range.address, peer.replies_native, peer.public_flows),
                Change::Remove(range) => panic!("{range:?} goes"),
            })
            .collect();
        assert_eq!(changed, [([10, 0, 0, 2], 1, 1), ([203, 0, 113, 2], 1, 1)]);
    }

    #[test]
    fn who_sends_plainly_already_is_told_nothing() {
        assert_eq!(direct_notices(&table(0, 1, 1)), []);
    }

    #[test]
    fn a_gateway_and_a_network_say_nothing() {
        let mut gateway = table(0, 1, 0);
        gateway.values_mut().for_each(|peer| peer.local_private = [0; 4]);
        assert_eq!(direct_notices(&gateway), []);
        let network: PeerTable<_> = table(0, 1, 0)
            .into_iter()
            .map(|(range, peer)| (Range { length: 24, ..range }, Peer { length: 24, ..peer }))
            .collect();
        assert_eq!(direct_notices(&network), []);
    }
}
