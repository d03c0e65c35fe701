//! Tests the edits of the running peers.

use super::*;

fn current() -> Membership {
    Membership::of_text(
        r#"
        [[member]]
        name = "srva"
        private = ["10.0.0.1", "fd00::1"]
        public = ["198.51.100.2", "2001:db8::1"]
        [[member]]
        name = "srvb"
        private = ["10.0.0.2", "fd00::2"]
        public = ["203.0.113.2", "2001:db8:b::2"]
        bypass = ["tcp/22"]
        [[member]]
        name = "net"
        private = "10.3.0.0/24"
        public = "203.0.3.0/24"
        "#,
        &["srva"],
    )
}

fn list<T>(texts: &[&str], wrap: fn(Prefix) -> T) -> Vec<T> {
    texts.iter().map(|text| wrap(text.parse().unwrap())).collect()
}

fn add(private: &[&str], public: &[&str]) -> Edit {
    Edit::Add {
        name: "srvd".parse().unwrap(),
        private: list(private, Private),
        public: list(public, Public),
        direct: false,
        bypass: BTreeSet::new(),
    }
}

fn set(peer: &str, public: &[&str]) -> Edit {
    let public = list(public, Public);
    Edit::Set { peer: peer.into(), public, direct: None, bypass: None, drain: None }
}

fn addresses(peer: Option<&NamedPeer>) -> Vec<String> {
    peer.unwrap().addresses.iter().map(ToString::to_string).collect()
}

fn refused(edit: &Edit) -> String {
    edited(edit, &current()).unwrap_err().to_string()
}

#[test]
fn addresses_are_paired_by_family_in_whatever_order() {
    let edit = add(&["fd00::4", "10.0.0.4"], &["192.0.2.4", "2001:db8::4"]);
    let edited = edited(&edit, &current()).unwrap();
    assert_eq!(
        addresses(edited.after.as_ref()),
        ["10.0.0.4 at 192.0.2.4", "fd00::4 at 2001:db8::4"]
    );
    assert_eq!(edited.membership.peers.len(), 3);
}

#[test]
fn addresses_that_do_not_fit_together_are_refused() {
    for (private, public, said) in [
        (&["10.0.0.4"][..], &["2001:db8::4"][..], "family mismatch"),
        (&["10.0.0.4", "fd00::4"], &["192.0.2.4"], "family mismatch"),
        (&["10.4.0.0/24"], &["192.0.2.0/25"], "24 bits"),
        (&["10.0.0.4", "10.0.0.5"], &["192.0.2.4"], "two IPv4 addresses"),
    ] {
        let error = refused(&add(private, public));
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_peer_is_found_by_its_name_and_by_each_private_address() {
    for wanted in ["srvb", "10.0.0.2", "fd00::2"] {
        let edited = edited(&Edit::Remove { peer: wanted.into() }, &current()).unwrap();
        assert_eq!(edited.before.map(|peer| peer.name.to_string()), Some("srvb".into()));
    }
    let edited = edited(&Edit::Remove { peer: "10.3.0.0/24".into() }, &current()).unwrap();
    assert_eq!(edited.membership.peers.len(), 1);
    let error = refused(&Edit::Remove { peer: "203.0.113.2".into() });
    let wanted = "no peer has the name or the private address 203.0.113.2";
    assert!(error.contains(wanted), "{error}");
}

#[test]
fn what_is_not_given_stays() {
    let edited = edited(&set("srvb", &["192.0.2.9"]), &current()).unwrap();
    assert_eq!(
        addresses(edited.after.as_ref()),
        ["10.0.0.2 at 192.0.2.9", "fd00::2 at 2001:db8:b::2"]
    );
    let (before, after) = (edited.before.unwrap(), edited.after.unwrap());
    assert_eq!((before.direct, &before.bypass), (after.direct, &after.bypass));
    assert_eq!(before, current().peers[0]);
}

#[test]
fn rules_are_replaced_and_taken_away() {
    let rules: BTreeSet<_> = ["udp/53".parse().unwrap()].into();
    for bypass in [rules, BTreeSet::new()] {
        let edit = Edit::Set {
            peer: "srvb".into(),
            public: Vec::new(),
            direct: Some(true),
            bypass: Some(bypass.clone()),
            drain: None,
        };
        let after = edited(&edit, &current()).unwrap().after.unwrap();
        assert_eq!((after.direct, after.bypass), (true, bypass));
    }
}

#[test]
fn a_public_address_that_does_not_fit_the_peer_is_refused() {
    let error = refused(&set("net", &["2001:db8::9"]));
    assert!(error.contains("net has no IPv6 address"), "{error}");
    let error = refused(&set("net", &["203.0.9.0/25"]));
    assert!(error.contains("24 bits"), "{error}");
    let error = refused(&set("srvb", &["192.0.2.1", "192.0.2.2"]));
    assert!(error.contains("two IPv4 addresses"), "{error}");
}

#[test]
fn an_address_that_another_member_has_is_refused() {
    for (private, public, said) in [
        ("10.0.0.1", "192.0.2.4", "srva"),
        ("10.0.0.2", "192.0.2.4", "srvb"),
        ("10.0.0.4", "203.0.113.2", "srvb"),
        ("10.0.0.4", "10.0.0.1", "srva"),
    ] {
        let error = refused(&add(&[private], &[public]));
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn an_address_of_its_own_within_a_network_is_no_conflict() {
    assert!(edited(&add(&["10.3.0.7"], &["192.0.2.7"]), &current()).is_ok());
}

#[test]
fn a_peer_of_a_family_that_this_host_lacks_is_refused() {
    let text = r#"
        [[member]]
        name = "srva"
        private = "10.0.0.1"
        public = "198.51.100.2"
        [[member]]
        name = "srvb"
        private = "10.0.0.2"
        public = "203.0.113.2"
    "#;
    let current = Membership::of_text(text, &["srva"]);
    let error = edited(&add(&["fd00::4"], &["2001:db8::4"]), &current).unwrap_err();
    assert!(error.to_string().contains("IPv4 addresses only"), "{error}");
    let both = add(&["10.0.0.4", "fd00::4"], &["192.0.2.4", "2001:db8::4"]);
    let error = edited(&both, &current).unwrap_err();
    assert!(error.to_string().contains("no IPv6 address"), "{error}");
}

#[test]
fn no_drain_without_a_new_address_ends_the_drain_of_the_last_move() {
    let (none, some) = (Some(Drain::NONE), Some(Drain::from_seconds(5)));
    for (public, drain, ends) in [
        (&[][..], none, true),
        (&[], some, false),
        (&[], None, false),
        (&["192.0.2.9"], none, false),
    ] {
        let public = list(public, Public);
        let edit = Edit::Set { peer: "fd00::2".into(), public, direct: None, bypass: None, drain };
        let ended = edited(&edit, &current()).unwrap().ends_draining;
        assert_eq!(ended.map(|name| name.to_string()), ends.then(|| "srvb".into()), "{edit:?}");
        assert_eq!(edit.drain(), drain);
    }
    assert_eq!(Edit::Remove { peer: "srvb".into() }.drain(), None);
}

#[test]
fn behind_a_nat_the_underlay_address_of_this_host_is_nobodys_public_address() {
    let text = r#"
        [[member]]
        name = "srva"
        private = "10.0.0.1"
        public = "198.51.100.2"
        underlay = "172.31.0.5"
        [[member]]
        name = "srvb"
        private = "10.0.0.2"
        public = "203.0.113.2"
    "#;
    let current = Membership::of_text(text, &["srva"]);
    let error = edited(&add(&["10.0.0.4"], &["172.31.0.5"]), &current).unwrap_err().to_string();
    assert!(error.contains("the underlay address of srva"), "{error}");
}
