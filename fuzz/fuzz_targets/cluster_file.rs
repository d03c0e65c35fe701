//! Parses any text as a cluster file. A refusal explains each problem; an accepted cluster is consistent and
//! survives a round trip through its text.
#![no_main]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use fuzz::expect::assert_refusal;
use libfuzzer_sys::fuzz_target;
use tunnel_user::config::{AddressClaims, Cluster, check_members, parse};
use tunnel_user::model::{BypassRule, Mapping, Prefix};

fuzz_target!(|text: &str| {
    match parse(Path::new("cluster.toml"), text) {
        Ok(clusters) => clusters.all().iter().for_each(assert_sound),
        Err(error) => assert_refusal(&error, text),
    }
});

fn assert_sound(cluster: &Cluster) {
    assert!(cluster.members().len() >= 2);
    assert!(cluster.into_iter().all(|member| member.mappings().next().is_some()));
    let claims: Vec<AddressClaims> = cluster.into_iter().map(AddressClaims::from).collect();
    assert_eq!(check_members(&claims), []);

    let text = render(cluster);
    let again = parse(Path::new("again.toml"), &text).expect("it was right before");
    let [again] = again.all() else { panic!("one network") };
    assert_eq!(again.bypass(), cluster.bypass());
    assert_eq!(again.members().len(), cluster.members().len());
    for (member, before) in again.members().iter().zip(cluster.members()) {
        let mut before = before.clone();
        before.line = member.line;
        assert_eq!(*member, before);
    }
}

/// The text of a file that describes `cluster`.
fn render(cluster: &Cluster) -> String {
    let mut text = rules(cluster.bypass());
    for member in cluster.members() {
        let list = |role: fn(&Mapping) -> Prefix| {
            let ranges: Vec<String> =
                member.mappings().map(|mapping| format!("\"{}\"", role(&mapping))).collect();
            ranges.join(", ")
        };
        let _ = write!(
            text,
            "[[member]]\nname = \"{}\"\nprivate = [{}]\npublic = [{}]\nunderlay = [{}]\n\
             direct = {}\n{}",
            member.name,
            list(|mapping| mapping.private().0),
            list(|mapping| mapping.public().0),
            list(|mapping| mapping.underlay().0),
            member.direct,
            rules(&member.bypass),
        );
    }
    text
}

fn rules(rules: &BTreeSet<BypassRule>) -> String {
    let rules: Vec<String> = rules.iter().map(|rule| format!("\"{rule}\"")).collect();
    format!("bypass = [{}]\n", rules.join(", "))
}
