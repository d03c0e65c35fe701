//! Compares the check with the tables of each host, pair by pair, and finds wrong tables.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use super::*;
use crate::config;
use crate::plan::membership::Membership;
use crate::plan::{peer_tables, slots};

type V4 = [u8; 4];

fn cluster(text: &str) -> Cluster {
    config::parse(Path::new("cluster.toml"), text).unwrap().all()[0].clone()
}

fn text(members: &[(&str, &str)]) -> String {
    let member = |(n, (private, public)): (usize, &(&str, &str))| {
        format!("[[member]]\nname = \"m{n}\"\nprivate = {private:?}\npublic = {public:?}\n")
    };
    members.iter().enumerate().map(member).collect()
}

fn failing(checked: &Checked) -> BTreeSet<(String, String)> {
    let names = |failed: &Failed| (failed.from.to_string(), failed.to.to_string());
    checked.failures.iter().map(names).collect()
}

/// The pairs that fail by the tables that attach writes on each host. This search tries every address, so the IPv4
/// prefixes have 24 bits or more. An address belongs to the member with the longest private range.
fn failing_pair_by_pair(cluster: &Cluster) -> BTreeSet<(String, String)> {
    let ranges = |member: &Member| {
        let mapping = member.mapping(Family::Ipv4).unwrap();
        [mapping.private().0, mapping.public().0].map(|range| Range::<V4>::of(range).unwrap())
    };
    let table = |member: &Member| {
        let identity = Identity::new(vec![member.into()]);
        let (membership, _) = Membership::of(cluster, identity).unwrap();
        let names = membership.peers.iter().map(|peer| &peer.name);
        let slots = slots::assign(&Default::default(), names).by_name;
        peer_tables::tables(&membership, &slots, 0).v4
    };
    // The longest range is the last one of the ranges that hold the address, sorted by length.
    let find = |table: &PeerTable<V4>, address: V4| {
        let holds = |range: &&Range<V4>| address.masked(range.length) == range.address;
        let key = table.keys().filter(holds).max_by_key(|range| range.length).copied();
        key.map(|key| (key, table[&key]))
    };
    let owner_by = |role: usize, address: V4| {
        let holds = |member: &&Member| {
            let range = ranges(member)[role];
            address.masked(range.length) == range.address
        };
        let owners = cluster.members().iter().filter(holds);
        owners.max_by_key(|member| ranges(member)[role].length).unwrap().name.clone()
    };
    let owner = |address: V4| owner_by(0, address);
    let moved = |first: V4, key: Range<V4>, address: V4| {
        V4::from_number(first.number() + (address.number() - key.address.number()))
    };
    let mut failing = BTreeSet::new();
    for from in cluster.members() {
        let sender = table(from);
        for to in cluster.members().iter().filter(|to| to.name != from.name) {
            let receiver = table(to);
            let arrives = |source: V4, destination: V4| {
                let [private, public] = ranges(from);
                let source_wire = moved(public.address, private, source);
                let (key, entry) = find(&sender, destination)?;
                let destination_wire = moved(entry.public, key, destination);
                let owner = find(&sender, destination_wire)?;
                let (key, heard) = find(&receiver, source_wire)?;
                let [to_private, to_public] = ranges(to);
                // The network delivers a packet to the member with the longest matching public range.
                let is_right = owner.1.slot == entry.slot
                    && owner_by(1, source_wire) == from.name
                    && owner_by(1, destination_wire) == to.name
                    && moved(heard.private, key, source_wire) == source
                    && moved(to_private.address, to_public, destination_wire) == destination;
                is_right.then_some(())
            };
            let addresses = |member: &Member| {
                let [private, _] = ranges(member);
                let all = (0..private.size()).map(|position| private.at(position));
                all.filter(|address| owner(*address) == member.name).collect::<Vec<_>>()
            };
            let (sources, destinations) = (addresses(from), addresses(to));
            // Vary one address at a time: the programs look up a packet's source and destination separately.
            let fails = match (sources.first(), destinations.first()) {
                (Some(source), Some(destination)) => {
                    sources.iter().any(|source| arrives(*source, *destination).is_none())
                        || destinations.iter().any(|to| arrives(*source, *to).is_none())
                }
                _ => false,
            };
            if fails {
                failing.insert((from.name.to_string(), to.name.to_string()));
            }
        }
    }
    failing
}

const NESTED: &[&[(&str, &str)]] = &[
    &[("10.0.0.1", "192.0.2.1"), ("10.0.0.2", "192.0.2.2"), ("10.0.0.3", "192.0.2.3")],
    &[("10.0.0.0/24", "203.0.113.0/24"), ("10.0.0.9", "192.0.2.9"), ("10.2.0.1", "192.0.2.1")],
    &[("10.1.0.0/24", "203.0.113.0/24"), ("10.2.0.9", "203.0.113.9"), ("10.2.0.1", "192.0.2.1")],
    &[("10.1.0.0/24", "203.0.113.0/24"), ("10.1.0.0/28", "203.0.113.0/28")],
    &[("10.1.0.0/24", "203.0.113.0/24"), ("10.1.0.0/28", "203.0.113.240/28")],
    &[
        ("10.1.0.0/24", "203.0.113.0/24"),
        ("10.1.0.128/25", "198.51.100.0/25"),
        ("10.1.0.130", "203.0.113.130"),
        ("10.3.0.1", "203.0.113.255"),
    ],
];

#[test]
fn the_check_finds_the_pairs_that_the_tables_of_each_host_show() {
    let mut all = BTreeSet::new();
    for members in NESTED {
        let cluster = cluster(&text(members));
        let checked = check(&cluster);
        let expected = failing_pair_by_pair(&cluster);
        assert_eq!(failing(&checked), expected, "{members:?}: {checked:?}");
        assert_eq!(checked.failed_pairs, expected.len() as u64, "{members:?}");
        assert_eq!(checked.pairs, (members.len() * (members.len() - 1)) as u64);
        all.extend(expected);
    }
    assert!(!all.is_empty(), "some files have pairs that fail");
}

#[test]
fn a_public_address_within_another_network_shadows_one_host_of_it() {
    let checked = check(&cluster(&text(NESTED[2])));
    let to_network = checked.failures.iter().find(|failed| failed.to.as_str() == "m0").unwrap();
    assert!(to_network.what.contains("10.1.0.9 is at 203.0.113.9"), "{to_network:?}");
    // Packets from 10.1.0.9 to m2 fail, too: m2 takes their source, 203.0.113.9, for m1.
    assert!(failing(&checked).contains(&("m0".into(), "m2".into())), "{checked:?}");
}

#[test]
fn members_without_a_common_family_fail() {
    let text =
        text(&[("10.0.0.1", "192.0.2.1"), ("10.0.0.2", "192.0.2.2"), ("fd00::3", "2001:db8::3")]);
    let checked = check(&cluster(&text));
    assert_eq!((checked.pairs, checked.failed_pairs), (2 + 4, 4));
    assert!(checked.failures[0].what.contains("no family in common"), "{checked:?}");
}

#[test]
fn both_families_are_checked() {
    let member = |n: usize| {
        format!(
            "[[member]]\nname = \"m{n}\"\nprivate = [\"10.0.0.{n}\", \"fd00::{n}\"]\n\
             public = [\"192.0.2.{n}\", \"2001:db8::{n}\"]\nunderlay = \"172.16.0.5\"\n"
        )
    };
    let checked = check(&cluster(&(1..=3).map(member).collect::<String>()));
    assert_eq!(checked, Checked { pairs: 12, ..Checked::default() });
}

fn hosts() -> Hosts<V4> {
    Hosts::of(&cluster(&text(NESTED[0])))
}

fn checked(hosts: &Hosts<V4>) -> Checked {
    let mut checked = Checked::default();
    hosts.check(&mut checked);
    checked
}

#[test]
fn an_entry_with_another_members_public_address_fails_for_all_senders() {
    let mut hosts = hosts();
    assert_eq!(checked(&hosts).failed_pairs, 0);
    let key = Range::single([10, 0, 0, 2]);
    hosts.table.entry(key).and_modify(|peer| peer.public = [192, 0, 2, 3]);
    let found = failing(&checked(&hosts));
    let expected = [("m0", "m1"), ("m2", "m1")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn an_entry_with_another_members_private_address_fails_for_all_receivers() {
    let mut hosts = hosts();
    let key = Range::single([192, 0, 2, 2]);
    hosts.table.entry(key).and_modify(|peer| peer.private = [10, 0, 0, 3]);
    let found = failing(&checked(&hosts));
    let expected = [("m1", "m0"), ("m1", "m2")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn a_pair_with_two_failures_counts_once() {
    let mut hosts = hosts();
    hosts.hosts[0].own.underlay = [192, 0, 2, 9];
    hosts.hosts[1].own.underlay = [192, 0, 2, 9];
    let checked = checked(&hosts);
    assert_eq!((checked.failed_pairs, failing(&checked).len()), (6, 6));
}

#[test]
fn a_missing_entry_and_a_key_in_the_wrong_role_fail() {
    for key in [[10, 0, 0, 2], [192, 0, 2, 2]] {
        let mut missing = hosts();
        missing.table.remove(&Range::single(key));
        assert!(checked(&missing).failed_pairs >= 2, "{key:?}");
        let mut wrong = hosts();
        wrong.table.entry(Range::single(key)).and_modify(|peer| peer.role = 9);
        assert_eq!(checked(&wrong).failed_pairs, 2, "{key:?}");
    }
}

#[test]
fn a_host_with_another_own_address_fails_in_both_directions() {
    let mut hosts = hosts();
    hosts.hosts[1].own.underlay = [192, 0, 2, 3];
    let checked = checked(&hosts);
    assert_eq!(checked.failed_pairs, 4);
    assert!(checked.failures[0].what.contains("m1 does not know itself"), "{checked:?}");
}

#[test]
fn a_gateway_with_a_wrong_local_table_fails() {
    let mut hosts = Hosts::<V4>::of(&cluster(&text(NESTED[1])));
    assert_eq!(checked(&hosts).failed_pairs, 0);
    let local = hosts.hosts[0].local.as_mut().unwrap();
    local.values_mut().for_each(|range| range.underlay = [203, 0, 112, 0]);
    assert_eq!(checked(&hosts).failed_pairs, 4);
}

#[test]
fn ten_thousand_members_take_seconds() {
    let member = |n: u32| {
        let [_, _, high, low] = n.to_be_bytes();
        format!(
            "[[member]]\nname = \"m{n}\"\nprivate = \"10.0.{high}.{low}\"\n\
             public = \"198.18.{high}.{low}\"\n"
        )
    };
    let cluster = cluster(&(0..10_000).map(member).collect::<String>());
    let start = Instant::now();
    let checked = check(&cluster);
    assert_eq!(checked, Checked { pairs: 99_990_000, ..Checked::default() });
    println!("checked {} pairs in {:?}", checked.pairs, start.elapsed());
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}
