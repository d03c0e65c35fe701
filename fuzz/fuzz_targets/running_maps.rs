//! Reads arbitrary values of pinned maps, because anybody can change the maps with `bpftool`. Asserts that a command
//! can still show all peers, write the values back, and change the maps to a wanted state.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use fuzz::bytes::Pinned;
use libfuzzer_sys::fuzz_target;
use tunnel_common::bypass::CLUSTER;
use tunnel_common::local_members::LocalMember;
use tunnel_common::members::NAME_LEN;
use tunnel_common::peers::{Peer, ROLE_FORMER, ROLE_PRIVATE, ROLE_PUBLIC};
use tunnel_user::dataplane::record::{decode_local, encode_local, padded};
use tunnel_user::model::MemberName;
use tunnel_user::model::text::unpadded;
use tunnel_user::plan::bypass::{self, BypassTable};
use tunnel_user::plan::handover::Handover;
use tunnel_user::plan::identity::{Identity, OwnMember};
use tunnel_user::plan::membership::Membership;
use tunnel_user::plan::peer_tables::{Change, PeerTable, PeerTables, changes, tables};
use tunnel_user::plan::previous_underlays::PreviousUnderlays;
use tunnel_user::plan::range::Address;
use tunnel_user::plan::running_peers::{RunningPeer, running};
use tunnel_user::plan::settings::{InterfaceSettings, settings};
use tunnel_user::plan::vlan::Vlan;
use tunnel_user::plan::{local_tables, slots};

fuzz_target!(|pinned: Pinned| {
    let names: BTreeMap<u32, MemberName> =
        pinned.names.iter().filter_map(|(slot, field)| Some((*slot, name(field)?))).collect();
    let rules = rules(&pinned);
    let peers = running(&pinned.peers, &names, &rules);
    assert_all_shown(&peers, &pinned.peers, &names, &rules);

    let local = pinned.local.iter().filter_map(own_member).collect();
    let membership = Membership {
        identity: Identity::new(local),
        peers: peers.into_iter().map(|running| running.peer).collect(),
        bypass: rules.get(&CLUSTER).cloned().unwrap_or_default(),
    };
    let interface = InterfaceSettings::of(&membership, 14, Vlan::None, &[]);
    let _ = settings(&membership, &interface, true);
    let _ = local_tables::tables(&membership.identity, &PreviousUnderlays::new());
    let slots = slots::assign(&names, membership.peers.iter().map(|peer| &peer.name));
    let handover = Handover { now: 1_000, drain: 30, ..Handover::default() };
    let wanted = tables(&membership, &slots.by_name, 1);
    let next = handover.successor(&pinned.peers, &wanted);
    assert_changed_to(&pinned.peers.v4, &next.v4);
    assert_changed_to(&pinned.peers.v6, &next.v6);
    assert_keeps(&wanted.v4, &next.v4);
    assert_keeps(&wanted.v6, &next.v6);
});

/// Decodes the name in a field of a map. The error for an invalid name must explain the problem.
fn name(field: &[u8; NAME_LEN]) -> Option<MemberName> {
    match unpadded(field).parse::<MemberName>() {
        Ok(name) => {
            let behind = &field[name.as_str().len()..];
            assert!(field.starts_with(name.as_str().as_bytes()) && behind[0] == 0);
            assert_eq!(unpadded(&padded::<NAME_LEN>(name.as_str())), name.as_str());
            Some(name)
        }
        Err(problem) => {
            fuzz::expect::assert_explained(&problem, &problem.help());
            None
        }
    }
}

fn own_member(record: &LocalMember) -> Option<OwnMember> {
    let (own, added) = decode_local(record).ok()?;
    assert!(added.iter().all(|private| own.mappings().any(|m| m.private() == *private)));
    let added: BTreeSet<_> = added.into_iter().collect();
    let (again, added_again) = decode_local(&encode_local(&own, &added)).expect("a right name");
    assert_eq!(again, own);
    assert_eq!(added_again.into_iter().collect::<BTreeSet<_>>(), added);
    Some(own)
}

fn rules(pinned: &Pinned) -> BypassTable {
    let mut table = BypassTable::new();
    for key in &pinned.bypass {
        if let Some((slot, rule)) = bypass::rule(key) {
            let mut canonical = *key;
            canonical.reserved = 0;
            assert_eq!(bypass::key(slot, rule), canonical);
            table.entry(slot).or_default().insert(rule);
        }
    }
    table
}

fn assert_all_shown(
    peers: &[RunningPeer],
    tables: &PeerTables,
    names: &BTreeMap<u32, MemberName>,
    rules: &BypassTable,
) {
    let shown: usize = peers.iter().map(|running| running.peer.addresses.len()).sum();
    assert_eq!(
        shown,
        count(&tables.v4, ROLE_PRIVATE, None) + count(&tables.v6, ROLE_PRIVATE, None)
    );
    assert!(peers.is_sorted_by_key(|running| &running.peer.name));
    for running in peers {
        let RunningPeer { slot, peer, accepted, former_addresses, awaited, use_former_source } =
            running;
        let families: BTreeSet<_> = peer.addresses.iter().map(|a| a.family()).collect();
        assert_eq!(families.len(), peer.addresses.len(), "one address of a family");
        match names.get(slot) {
            Some(name) => assert_eq!(peer.name, *name),
            None => assert_eq!(peer.name.as_str(), format!("slot-{slot}")),
        }
        assert_eq!(Some(&peer.bypass).filter(|rules| !rules.is_empty()), rules.get(slot));
        let expected = count(&tables.v4, ROLE_PUBLIC, Some(*slot))
            + count(&tables.v6, ROLE_PUBLIC, Some(*slot));
        assert_eq!(accepted.len(), expected);
        let expected = count(&tables.v4, ROLE_FORMER, Some(*slot))
            + count(&tables.v6, ROLE_FORMER, Some(*slot));
        assert_eq!(former_addresses.len(), expected);
        assert!(awaited.len() <= accepted.len());
        assert!(use_former_source.is_subset(&families));
    }
}

fn count<A: Address>(table: &PeerTable<A>, role: u8, slot: Option<u32>) -> usize {
    let entries = table.values().filter(|entry| entry.role == role);
    entries.filter(|entry| slot.is_none_or(|slot| entry.slot == slot)).count()
}

/// Asserts that `next` contains every wanted entry, apart from the fields that the programs write, and that all
/// other entries are former addresses.
fn assert_keeps<A: Address>(wanted: &PeerTable<A>, next: &PeerTable<A>) {
    for (range, wanted) in wanted {
        let entry = next[range];
        let noted = Peer {
            public_flows: entry.public_flows,
            replies_native: entry.replies_native,
            use_former_source: entry.use_former_source,
            grace_until: entry.grace_until,
            awaited: entry.awaited,
            ..*wanted
        };
        let noted = match awaits(next, &entry) {
            // While the peer is awaited, the private entry may keep the previous addresses: ignore them in the
            // comparison.
            true => {
                let Peer { public, local_underlay, tie, .. } = entry;
                Peer { public, local_underlay, tie, ..noted }
            }
            false => noted,
        };
        assert_eq!(entry, noted);
    }
    let others = next.iter().filter(|(range, _)| !wanted.contains_key(range));
    assert!(others.into_iter().all(|(_, entry)| entry.role == ROLE_FORMER));
}

/// True for a private entry whose peer has an awaited entry.
fn awaits<A: Address>(table: &PeerTable<A>, private: &Peer<A>) -> bool {
    let is_its = |entry: &&Peer<A>| (entry.slot, entry.private) == (private.slot, private.private);
    private.role == ROLE_PRIVATE && table.values().filter(is_its).any(|entry| entry.awaited == 1)
}

/// Asserts that the changes turn `current` into `wanted`, and that the inverse changes in reverse order
/// restore `current`.
fn assert_changed_to<A: Address>(current: &PeerTable<A>, wanted: &PeerTable<A>) {
    let changes = changes(current, wanted);
    let mut table = current.clone();
    for change in &changes {
        apply(&mut table, change);
    }
    assert_eq!(table, *wanted);
    for change in changes.iter().rev() {
        apply(&mut table, &change.back(current));
    }
    assert_eq!(table, *current);
}

fn apply<A: Address>(table: &mut PeerTable<A>, change: &Change<A>) {
    match change {
        Change::Set(range, entry) => table.insert(*range, *entry),
        Change::Remove(range) => table.remove(range),
    };
}
