//! Parses files whose members have few distinct addresses, so that the members often conflict. The parser refuses a
//! file if and only if a pairwise comparison of the members finds a fault. An accepted cluster contains the file's
//! values, and the maps for the cluster contain the cluster's peers.
#![no_main]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use fuzz::expect::assert_refusal;
use fuzz::expected::{Entry, Range, is_right};
use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use tunnel_user::config::{Cluster, Member, parse};
use tunnel_user::model::{BypassProtocol, Family, Mapping};
use tunnel_user::plan::identity::{Identity, OwnMember};
use tunnel_user::plan::membership::Membership;
use tunnel_user::plan::peer_tables::{self, GRACE_PERIOD};
use tunnel_user::plan::{bypass, running_peers, slots};

#[derive(Debug)]
struct File {
    members: Vec<Entry>,
    bypass: Vec<(&'static str, u16)>,
}

impl<'a> Arbitrary<'a> for File {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let bypass = rules(input)?;
        let count = input.int_in_range(0..=12)?;
        let members = (0..count).map(|index| entry(input, index)).collect::<Result<_>>()?;
        Ok(Self { members, bypass })
    }
}

fn entry(input: &mut Unstructured<'_>, index: u8) -> Result<Entry> {
    let named_after = if input.ratio(1, 16)? { 0 } else { index };
    let host_bits = *input.choose(&[0, 0, 0, 1, 3, 4, 8, 12, 16])?;
    const FAMILIES: [&[bool]; 4] = [&[false], &[true], &[false, true], &[true, false]];
    let families = *input.choose(&FAMILIES)?;
    let underlay = if input.ratio(1, 3)? { families } else { &[] };
    let public = ranges(input, families, host_bits)?;
    let underlay =
        if input.ratio(1, 4)? { public.clone() } else { ranges(input, underlay, host_bits)? };
    Ok(Entry {
        name: format!("m{named_after}"),
        private: ranges(input, families, host_bits)?,
        public,
        underlay,
        bypass: rules(input)?,
    })
}

/// Generates one range for each family in `families`, and rarely leaves a family out. Most ranges are valid.
fn ranges(input: &mut Unstructured<'_>, families: &[bool], host_bits: u8) -> Result<Vec<Range>> {
    let mut ranges = Vec::new();
    for is_v6 in families {
        if input.ratio(1, 32)? {
            continue;
        }
        let mut range = Range { low: input.arbitrary()?, host_bits, is_v6: *is_v6 };
        if input.ratio(1, 32)? {
            range.host_bits = input.int_in_range(0..=16)?;
        }
        if !input.ratio(1, 32)? {
            range.low = range.first() as u16;
        }
        ranges.push(range);
    }
    Ok(ranges)
}

fn rules(input: &mut Unstructured<'_>) -> Result<Vec<(&'static str, u16)>> {
    let count = input.int_in_range(0..=2)?;
    let protocols = BypassProtocol::ALL.map(BypassProtocol::as_str);
    (0..count).map(|_| Ok((*input.choose(&protocols)?, input.int_in_range(0..=99)?))).collect()
}

fn text(file: &File) -> String {
    let mut text = format!("bypass = {}\n", rules_text(&file.bypass));
    for member in &file.members {
        let _ = writeln!(text, "[[member]]\nname = \"{}\"", member.name);
        let roles = [
            ("private", &member.private),
            ("public", &member.public),
            ("underlay", &member.underlay),
        ];
        for (key, ranges) in roles {
            let ranges: Vec<_> = ranges
                .iter()
                .map(|range| format!("\"{}/{}\"", range.address(), range.length()))
                .collect();
            if !ranges.is_empty() {
                let _ = writeln!(text, "{key} = [{}]", ranges.join(", "));
            }
        }
        let _ = writeln!(text, "bypass = {}", rules_text(&member.bypass));
    }
    text
}

fn rules_text(rules: &[(&str, u16)]) -> String {
    let rules: Vec<_> =
        rules.iter().map(|(protocol, port)| format!("\"{protocol}/{port}\"")).collect();
    format!("[{}]", rules.join(", "))
}

fuzz_target!(|file: File| {
    let text = text(&file);
    match parse(Path::new("cluster.toml"), &text) {
        Ok(clusters) => {
            let [cluster] = clusters.all() else { panic!("one network") };
            assert!(is_right(&file.members, &file.bypass), "taken:\n{text}");
            assert_same_after_reading(cluster);
            assert_eq!(cluster.bypass().len(), file.bypass.len());
            assert_eq!(cluster.members().len(), file.members.len());
            for (member, entry) in cluster.members().iter().zip(&file.members) {
                assert_same(member, entry);
            }
        }
        Err(error) => {
            assert!(!is_right(&file.members, &file.bypass), "refused:\n{error}\n{text}");
            assert_refusal(&error, &text);
        }
    }
});

fn assert_same(member: &Member, entry: &Entry) {
    assert_eq!(member.name.as_str(), entry.name);
    assert_eq!(member.bypass.len(), entry.bypass.len());
    for family in Family::ALL {
        let of = |ranges: &[Range]| {
            let mut ranges = ranges.iter().copied();
            ranges.find(|range| range.is_v6 == (family == Family::Ipv6))
        };
        let expected = of(&entry.private).zip(of(&entry.public)).map(|(private, public)| {
            [private, public, of(&entry.underlay).unwrap_or(public)]
                .map(|range| (range.address(), range.length()))
        });
        let found = member.mapping(family).map(|mapping: Mapping| {
            [mapping.private().0, mapping.public().0, mapping.underlay().0]
                .map(|prefix| (prefix.address(), prefix.length()))
        });
        assert_eq!(found, expected);
    }
}

/// Asserts that the peers read back from the maps equal the cluster's peers, with each member in turn as this host.
fn assert_same_after_reading(cluster: &Cluster) {
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
