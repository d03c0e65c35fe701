//! The contents of `selves_v4` and `selves_v6`: by what address a gateway's programs know a host
//! that it stands in front of.

use std::collections::BTreeMap;

use tunnel_common::selves::{SELF_PRIVATE, SELF_UNDERLAY, SelfRange};

use crate::plan::identity::Identity;
use crate::plan::range::{Address, Range};

/// All entries of one family.
pub type SelfTable<A> = BTreeMap<Range<A>, SelfRange<A>>;

/// All entries of both families.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelfTables {
    /// Those of IPv4.
    pub v4: SelfTable<[u8; 4]>,
    /// Those of IPv6.
    pub v6: SelfTable<[u8; 16]>,
}

/// The entries for all members that this host is: one under the private range, one under the
/// underlay range.
#[must_use]
pub fn tables(identity: &Identity) -> SelfTables {
    SelfTables { v4: table(identity), v6: table(identity) }
}

fn table<A: Address>(identity: &Identity) -> SelfTable<A> {
    let mut table = SelfTable::new();
    for mapping in identity.selves().iter().flat_map(|own| own.mappings()) {
        let ranges = (Range::of(mapping.private().0), Range::of(mapping.underlay().0));
        let (Some(private), Some(underlay)) = ranges else { continue };
        let entry = SelfRange {
            private: private.address,
            underlay: underlay.address,
            length: private.length,
            role: 0,
            reserved: [0; 2],
        };
        for (range, role) in [(private, SELF_PRIVATE), (underlay, SELF_UNDERLAY)] {
            table.entry(range).or_insert(entry).role |= role;
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::membership::Membership;

    fn tables_of(text: &str, selves: &[&str]) -> SelfTables {
        tables(&Membership::of_text(text, selves).identity)
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
        assert_eq!((a.role, a.length, a.underlay), (SELF_PRIVATE, 32, [172, 31, 0, 5]));
        let a = tables.v4[&Range::single([172, 31, 0, 5])];
        assert_eq!((a.role, a.private), (SELF_UNDERLAY, [10, 0, 0, 1]));
        let b = tables.v4[&Range { address: [203, 0, 2, 0], length: 24 }];
        assert_eq!((b.role, b.private, b.length), (SELF_UNDERLAY, [10, 0, 2, 0], 24));
        assert_eq!((tables.v4.len(), tables.v6.len()), (4, 2));
    }

    #[test]
    fn behind_a_nat_that_translates_to_the_private_address_it_is_both() {
        let tables = tables_of(CLUSTER, &["c"]);
        let c = tables.v4[&Range::single([10, 0, 0, 3])];
        assert_eq!((c.role, tables.v4.len()), (SELF_PRIVATE | SELF_UNDERLAY, 1));
    }
}
