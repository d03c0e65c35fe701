//! Computes the contents of the map `bypass`: the rules for the packets, to and from peers, that the programs leave
//! alone.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use tunnel_common::bypass::{BypassKey, CLUSTER};

use crate::model::{BypassProtocol, BypassRule};
use crate::plan::membership::Membership;
use crate::plan::slots::ByName;

/// The rules by slot. Rules of the whole cluster have the slot [`CLUSTER`].
pub type BypassTable = BTreeMap<u32, BTreeSet<BypassRule>>;

/// The map key of a rule.
#[must_use]
pub fn key(slot: u32, rule: BypassRule) -> BypassKey {
    BypassKey {
        slot,
        protocol: rule.protocol.number(),
        reserved: 0,
        port: rule.port.get().to_be_bytes(),
    }
}

/// The slot and the rule of a map key. `None` if the key has an unknown protocol or port 0.
#[must_use]
pub fn rule(key: &BypassKey) -> Option<(u32, BypassRule)> {
    let protocol = BypassProtocol::from_number(key.protocol)?;
    let port = NonZeroU16::new(u16::from_be_bytes(key.port))?;
    Some((key.slot, BypassRule { protocol, port }))
}

/// The rules of the whole cluster, and of each peer that has a slot.
#[must_use]
pub fn table(membership: &Membership, slots: &ByName) -> BypassTable {
    let peers = membership
        .peers
        .iter()
        .filter(|peer| !peer.bypass.is_empty())
        .filter_map(|peer| Some((*slots.get(&peer.name)?, peer.bypass.clone())));
    [(CLUSTER, membership.bypass.clone())]
        .into_iter()
        .chain(peers)
        .filter(|(_, rules)| !rules.is_empty())
        .collect()
}

/// The map keys of all rules.
pub fn keys(table: &BypassTable) -> BTreeSet<BypassKey> {
    table.iter().flat_map(|(slot, rules)| rules.iter().map(|rule| key(*slot, *rule))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_port_as_the_packet_does() {
        let ssh: BypassRule = "tcp/22".parse().unwrap();
        let key = key(3, ssh);
        assert_eq!((key.slot, key.protocol, key.port), (3, 6, [0, 22]));
        assert_eq!(rule(&key), Some((3, ssh)));
    }

    #[test]
    fn what_bpftool_wrote_and_is_no_rule_is_passed_over() {
        let right = key(0, "udp/51820".parse().unwrap());
        assert_eq!(rule(&BypassKey { protocol: 1, ..right }), None);
        assert_eq!(rule(&BypassKey { port: [0, 0], ..right }), None);
    }

    #[test]
    fn the_table_has_the_clusters_rules_and_those_of_peers() {
        let membership = Membership::of_text(
            r#"
            bypass = ["tcp/22"]
            [[member]]
            name = "srva"
            private = "10.0.0.1"
            public = "198.51.100.2"
            bypass = ["udp/53"]
            [[member]]
            name = "srvb"
            private = "10.0.0.2"
            public = "203.0.113.2"
            bypass = ["udp/51820"]
            [[member]]
            name = "srvc"
            private = "10.0.0.3"
            public = "203.0.113.3"
            "#,
            &["srva"],
        );
        let slots = [("srvb", 0), ("srvc", 1)];
        let slots = slots.into_iter().map(|(name, slot)| (name.parse().unwrap(), slot)).collect();
        let table = table(&membership, &slots);
        let words: Vec<_> = table
            .iter()
            .map(|(slot, rules)| (*slot, rules.iter().map(ToString::to_string).collect::<Vec<_>>()))
            .collect();
        let own_and_clusters = vec!["tcp/22".to_owned(), "udp/53".to_owned()];
        assert_eq!(words, [(0, vec!["udp/51820".to_owned()]), (CLUSTER, own_and_clusters)]);
        assert_eq!(keys(&table).len(), 3);
    }
}
