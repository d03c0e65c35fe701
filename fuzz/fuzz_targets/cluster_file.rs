//! Parses any text as a cluster file. A refusal explains each problem; an accepted cluster is consistent and
//! survives a round trip through its text.
#![no_main]

use std::path::Path;

use fuzz::expect::assert_refusal;
use fuzz::render;
use libfuzzer_sys::fuzz_target;
use tunnel_user::config::{AddressClaims, Cluster, check_members, parse};

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

    let text = render::file(cluster);
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
