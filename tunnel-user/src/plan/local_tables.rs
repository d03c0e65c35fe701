//! Computes the contents of the maps `local_v4` and `local_v6`: the address ranges of this host's own members. The
//! programs use these maps on a gateway, and on a host that has moved.

use std::collections::BTreeMap;

use tunnel_common::local_members::{LOCAL_FORMER, LOCAL_PRIVATE, LOCAL_UNDERLAY, LocalRange};

use crate::model::{Private, Underlay};
use crate::plan::identity::Identity;
use crate::plan::previous_underlays::PreviousUnderlays;
use crate::plan::range::{Address, Range};

/// All entries of one family.
pub type LocalTable<A> = BTreeMap<Range<A>, LocalRange<A>>;

/// All entries of both families.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalTables {
    /// The entries of IPv4.
    pub v4: LocalTable<[u8; 4]>,
    /// The entries of IPv6.
    pub v6: LocalTable<[u8; 16]>,
}

impl LocalTables {
    /// The tables during the update of the peers' entries, while some peers might not know the new underlay addresses.
    /// Packets to all peers still leave from the old underlay addresses, which `current` holds.
    #[must_use]
    pub fn still_sending_as(&self, current: &Self) -> Self {
        Self {
            v4: still_sending_as(&self.v4, &current.v4),
            v6: still_sending_as(&self.v6, &current.v6),
        }
    }
}

fn still_sending_as<A: Address>(wanted: &LocalTable<A>, current: &LocalTable<A>) -> LocalTable<A> {
    let still = |range: &Range<A>, entry: &LocalRange<A>| match current.get(range) {
        Some(old) if old.role & entry.role & LOCAL_PRIVATE != 0 => {
            LocalRange { underlay: old.underlay, previous_underlay: old.underlay, ..*entry }
        }
        _ => *entry,
    };
    wanted.iter().map(|(range, entry)| (*range, still(range, entry))).collect()
}

/// The entries for all of this host's own members. Each member has an entry under its private range, under its
/// underlay range, and under each former underlay range.
#[must_use]
pub fn tables(identity: &Identity, previous_underlays: &PreviousUnderlays) -> LocalTables {
    LocalTables { v4: table(identity, previous_underlays), v6: table(identity, previous_underlays) }
}

fn table<A: Address>(identity: &Identity, previous_underlays: &PreviousUnderlays) -> LocalTable<A> {
    let mut table = LocalTable::new();
    for mapping in identity.members().iter().flat_map(|own| own.mappings()) {
        let ranges = (Range::of(mapping.private().0), Range::of(mapping.underlay().0));
        let (Some(private), Some(underlay)) = ranges else { continue };
        let of_member = previous_underlays.get(&mapping.private()).into_iter().flatten();
        let previous_underlays: Vec<Range<A>> =
            of_member.filter_map(|former| Range::of(former.0)).collect();
        let entry = LocalRange {
            private: private.address,
            underlay: underlay.address,
            previous_underlay: previous_underlays
                .first()
                .map_or_else(A::default, |former| former.address),
            length: private.length,
            role: 0,
            reserved: [0; 2],
        };
        for (range, role) in [(private, LOCAL_PRIVATE), (underlay, LOCAL_UNDERLAY)] {
            table.entry(range).or_insert(entry).role |= role;
        }
        for former in previous_underlays {
            table.entry(former).or_insert(entry).role |= LOCAL_FORMER;
        }
    }
    table
}

/// The previous underlay ranges of this host, from the entries that [`tables`] made.
#[must_use]
pub fn previous_underlays(tables: &LocalTables) -> PreviousUnderlays {
    let mut previous_underlays = PreviousUnderlays::new();
    collect(&tables.v4, &mut previous_underlays);
    collect(&tables.v6, &mut previous_underlays);
    previous_underlays
}

fn collect<A: Address>(table: &LocalTable<A>, previous_underlays: &mut PreviousUnderlays) {
    for (range, entry) in table.iter().filter(|(_, entry)| entry.role & LOCAL_FORMER != 0) {
        let length = entry.length;
        let private = Private(Range { address: entry.private, length }.prefix());
        let of_member = previous_underlays.entry(private).or_default();
        let former = Underlay(range.prefix());
        if range.address == entry.previous_underlay {
            of_member.insert(0, former);
        } else {
            of_member.push(former);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::membership::Membership;

    fn tables_of(text: &str, names: &[&str]) -> LocalTables {
        tables(&Membership::of_text(text, names).identity, &PreviousUnderlays::new())
    }

    const CLUSTER: &str = r#"
        [[member]]
        name = "a"
        private = ["10.0.0.1", "fd00:1::/64"]
        public = ["198.51.100.2", "2001:db8:1::/64"]
        underlay = "172.31.0.5"
        [[member]]
        name = "b"
        private = "10.0.2.0/24"
        public = "203.0.2.0/24"
        [[member]]
        name = "c"
        private = ["10.0.0.3", "fd00::3"]
        public = ["198.51.100.3", "2001:db8::3"]
        underlay = "10.0.0.3"
    "#;

    #[test]
    fn each_self_is_found_by_its_private_and_by_its_underlay_range() {
        let tables = tables_of(CLUSTER, &["a", "b"]);
        let a = tables.v4[&Range::single([10, 0, 0, 1])];
        assert_eq!((a.role, a.length, a.underlay), (LOCAL_PRIVATE, 32, [172, 31, 0, 5]));
        let a = tables.v4[&Range::single([172, 31, 0, 5])];
        assert_eq!((a.role, a.private), (LOCAL_UNDERLAY, [10, 0, 0, 1]));
        let b = tables.v4[&Range { address: [203, 0, 2, 0], length: 24 }];
        assert_eq!((b.role, b.private, b.length), (LOCAL_UNDERLAY, [10, 0, 2, 0], 24));
        assert_eq!((tables.v4.len(), tables.v6.len()), (4, 2));
    }

    #[test]
    fn former_ranges_are_read_back_with_the_latest_first() {
        let identity = Membership::of_text(CLUSTER, &["a", "b"]).identity;
        let list =
            |texts: &[&str]| texts.iter().map(|text| Underlay(text.parse().unwrap())).collect();
        let former = PreviousUnderlays::from([
            (Private("10.0.0.1".parse().unwrap()), list(&["192.0.2.9", "192.0.2.1", "192.0.2.5"])),
            (Private("fd00:1::/64".parse().unwrap()), list(&["2001:db8:77::/64"])),
        ]);
        let tables = tables(&identity, &former);
        let entry = tables.v4[&Range::single([192, 0, 2, 1])];
        assert_eq!((entry.role, entry.private), (LOCAL_FORMER, [10, 0, 0, 1]));
        assert_eq!(tables.v4[&Range::single([10, 0, 0, 1])].previous_underlay, [192, 0, 2, 9]);
        assert_eq!(previous_underlays(&tables), former);
    }

    #[test]
    fn on_the_way_packets_are_sent_from_where_they_were() {
        let here = tables_of(CLUSTER, &["a", "b"]);
        let moved = tables_of(&CLUSTER.replace("172.31.0.5", "172.31.0.9"), &["a", "b"]);
        let between = moved.still_sending_as(&here);
        let private = Range::single([10, 0, 0, 1]);
        let entry = between.v4[&private];
        assert_eq!((entry.underlay, entry.previous_underlay), ([172, 31, 0, 5], [172, 31, 0, 5]));
        assert!(between.v4.contains_key(&Range::single([172, 31, 0, 9])), "reached there already");
        assert_eq!(moved.still_sending_as(&LocalTables::default()), moved);
    }

    #[test]
    fn behind_a_nat_that_translates_to_the_private_address_it_is_both() {
        let tables = tables_of(CLUSTER, &["c"]);
        let c = tables.v4[&Range::single([10, 0, 0, 3])];
        assert_eq!((c.role, tables.v4.len()), (LOCAL_PRIVATE | LOCAL_UNDERLAY, 1));
    }

    #[test]
    fn a_private_address_that_was_an_underlay_address_sends_from_where_it_is_now() {
        // Before the move, 10.0.0.3 was only the underlay address of the member c.
        let here = tables_of(
            &CLUSTER.replace("\"10.0.0.3\", \"fd00::3\"", "\"10.0.0.4\", \"fd00::3\""),
            &["c"],
        );
        let moved = tables_of(
            &CLUSTER.replace("underlay = \"10.0.0.3\"", "underlay = \"172.31.0.7\""),
            &["c"],
        );
        let range = Range::single([10, 0, 0, 3]);
        assert_eq!((here.v4[&range].role, moved.v4[&range].role), (LOCAL_UNDERLAY, LOCAL_PRIVATE));
        assert_eq!(moved.still_sending_as(&here).v4[&range], moved.v4[&range]);
    }
}
