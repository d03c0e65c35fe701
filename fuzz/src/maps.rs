//! A round trip from a cluster to the values of the maps and back.

use std::collections::BTreeMap;

use tunnel_user::config::{Cluster, Member};
use tunnel_user::plan::identity::{Identity, OwnMember};
use tunnel_user::plan::membership::Membership;
use tunnel_user::plan::peer_tables::{self, GRACE_PERIOD};
use tunnel_user::plan::{bypass, running_peers, slots};

/// Asserts that the maps give back the peers they were made from, with each member in turn as this host.
///
/// # Panics
/// If the peers differ.
pub fn assert_same_after_reading(cluster: &Cluster) {
    for own in cluster.members() {
        assert_same_after_reading_to(cluster, own);
    }
}

fn assert_same_after_reading_to(cluster: &Cluster, own: &Member) {
    let identity = Identity::new(vec![OwnMember::from(own)]);
    // `Membership::of` refuses a peer that has no family in common with this host.
    let Ok((membership, _)) = Membership::of(cluster, identity) else { return };
    let slots = slots::assign(&BTreeMap::new(), membership.peers.iter().map(|peer| &peer.name));
    let tables = peer_tables::tables(&membership, &slots.by_name, GRACE_PERIOD);
    let rules = bypass::table(&membership, &slots.by_name);
    let names = slots.by_name.into_iter().map(|(name, slot)| (slot, name)).collect();
    let found = running_peers::running(&tables, &names, &rules);

    let mut wanted = membership.peers;
    wanted.sort_by(|a, b| a.name.cmp(&b.name));
    for (running, peer) in found.iter().zip(&wanted) {
        assert_eq!(running.peer, *peer);
        let accepted: Vec<_> = running.accepted.iter().map(|public| public.0).collect();
        assert_eq!(accepted, peer.public().collect::<Vec<_>>());
    }
    assert_eq!(found.len(), wanted.len());
}
