use super::super::HeldAddress;
use super::*;

fn host(private: &str, public: &str) -> FoundHost {
    let public = public.parse().ok();
    FoundHost { name: None, is_self: false, private: private.parse().unwrap(), public }
}

fn own(private: &str, public: &str) -> FoundHost {
    FoundHost { is_self: true, ..host(private, public) }
}

fn facts(names: &[(&str, &str)], addresses: &[(&str, &str, u8)]) -> HostFacts {
    let name = |&(address, name): &(&str, &str)| (address.parse().unwrap(), name.to_owned());
    let held = |&(interface, address, length): &(&str, &str, u8)| HeldAddress {
        interface: interface.to_owned(),
        address: address.parse().unwrap(),
        length,
    };
    HostFacts {
        hostname: Some("this".into()),
        names: names.iter().map(name).collect(),
        addresses: addresses.iter().map(held).collect(),
        uplink: Some("eth0".into()),
    }
}

fn of(hosts: &[FoundHost], facts: &HostFacts, self_name: Option<&str>) -> Draft {
    let found = Found { hosts: hosts.to_vec(), ..Found::default() };
    draft(&found, facts, self_name.map(|name| name.parse().unwrap()).as_ref())
}

fn described(draft: &Draft) -> Vec<String> {
    let text = |address: Option<IpAddr>| address.map_or("-".to_owned(), |a| a.to_string());
    let addresses =
        |a: &DraftAddresses| format!("{} {} {}", text(a.private), text(a.public), text(a.underlay));
    let member = |member: &DraftMember| {
        let sign = if member.is_self { "*" } else { "" };
        let addresses = member.addresses.iter().map(addresses).collect::<Vec<_>>().join(", ");
        format!("{sign}{}: {addresses}", member.name)
    };
    draft.members.iter().map(member).collect()
}

#[test]
fn both_hosts_get_the_same_members_where_the_names_are_known() {
    let names = facts(&[("10.0.0.1", "srva"), ("203.0.113.2", "srvb")], &[]);
    let on_a = of(
        &[host("10.0.0.2", "203.0.113.2"), own("10.0.0.1", ""), own("10.0.0.1", "198.51.100.2")],
        &names,
        None,
    );
    let on_b = of(
        &[own("10.0.0.2", "203.0.113.2"), host("10.0.0.1", "198.51.100.2")],
        &names,
        Some("srvb"),
    );
    assert_eq!(
        described(&on_a),
        ["*srva: 10.0.0.1 198.51.100.2 -", "srvb: 10.0.0.2 203.0.113.2 -"]
    );
    let without_self = |draft: &Draft| described(draft).join("\n").replace('*', "");
    assert_eq!(without_self(&on_a), without_self(&on_b));
    assert_eq!(on_a.findings, []);
}

#[test]
fn a_host_is_named_by_option_then_by_hosts_then_by_hostname() {
    let hosts = [host("10.0.0.2", "203.0.113.2"), own("10.0.0.1", "198.51.100.2")];
    let named = facts(&[("10.0.0.1", "srva")], &[]);
    for (facts, option, name) in [
        (&named, Some("mine"), "mine"),
        (&named, None, "srva"),
        (&facts(&[], &[]), None, "this"),
        (&HostFacts::default(), None, "peer-10-0-0-1"),
    ] {
        let draft = of(&hosts, facts, option);
        assert_eq!(draft.self_member().unwrap().name.as_str(), name);
        assert_eq!(draft.members[1].name.as_str(), "peer-10-0-0-2");
    }
}

#[test]
fn both_families_of_a_named_peer_are_one_member() {
    let names = facts(&[("10.0.0.2", "srvb"), ("fd00::2", "srvb")], &[]);
    let peers = [host("fd00::2", "2001:db8::2"), host("10.0.0.2", "203.0.113.2")];
    let both = [own("10.0.0.1", "198.51.100.2"), own("fd00::1", "2001:db8::1")];
    let all = [&peers[..], &both].concat();
    assert_eq!(
        described(&of(&all, &names, None))[1..],
        ["srvb: 10.0.0.2 203.0.113.2 -, fd00::2 2001:db8::2 -"]
    );
    let unnamed = of(&all, &facts(&[], &[]), None);
    assert_eq!(unnamed.members.len(), 3);
    assert_eq!(unnamed.members[2].name.as_str(), "peer-fd00--2");
}

#[test]
fn two_public_addresses_of_a_peer_are_a_contradiction_and_a_blank() {
    let hosts = [host("10.0.0.2", "203.0.113.2"), host("10.0.0.2", "203.0.113.3")];
    let draft =
        of(&[&hosts[..], &[own("10.0.0.1", "198.51.100.2")]].concat(), &facts(&[], &[]), None);
    assert_eq!(described(&draft)[1], "peer-10-0-0-2: 10.0.0.2 - -");
    let kinds: Vec<_> = draft.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::Contradiction, FindingKind::Blank]);
}

#[test]
fn two_peers_of_one_name_keep_their_addresses_apart() {
    let names = facts(&[("10.0.0.2", "srv"), ("10.0.0.3", "srv")], &[]);
    let hosts = [host("10.0.0.2", "203.0.113.2"), host("10.0.0.3", "203.0.113.3")];
    let draft = of(&[&hosts[..], &[own("10.0.0.1", "198.51.100.2")]].concat(), &names, None);
    assert_eq!(draft.members[2].name.as_str(), "peer-10-0-0-3");
    assert!(draft.findings[0].why.contains("another member is named srv"));
}

#[test]
fn this_host_completes_a_source_that_knows_only_peers() {
    let held = [("cable", "10.0.0.1", 24), ("eth0", "198.51.100.2", 24)];
    let draft = of(&[host("10.0.0.2", "")], &facts(&[], &held), None);
    assert_eq!(
        described(&draft),
        ["*this: 10.0.0.1 198.51.100.2 -", "peer-10-0-0-2: 10.0.0.2 - -"]
    );
    let behind_nat = [("cable", "10.0.0.1", 24), ("eth0", "172.31.0.5", 24)];
    let draft = of(&[host("10.0.0.2", "")], &facts(&[], &behind_nat), None);
    assert_eq!(described(&draft)[0], "*this: 10.0.0.1 - 172.31.0.5");
    let elsewhere = of(&[host("10.0.0.2", "")], &facts(&[], &held[1..]), None);
    assert_eq!(described(&elsewhere)[1], "peer-10-0-0-2: 10.0.0.2 - -");
    assert_eq!(elsewhere.self_member().unwrap().addresses[0].private, None);
}

#[test]
fn an_own_address_behind_a_nat_is_the_underlay_address() {
    for (public, peer, wanted) in [
        ("172.31.0.5", "203.0.113.2", "- 172.31.0.5"),
        ("100.64.0.5", "203.0.113.2", "- 100.64.0.5"),
        ("172.31.0.5", "172.31.0.6", "172.31.0.5 -"),
        ("172.31.0.5", "", "172.31.0.5 -"),
        ("198.51.100.2", "203.0.113.2", "198.51.100.2 -"),
        ("198.51.100.2", "172.31.0.6", "198.51.100.2 -"),
    ] {
        let draft = of(&[own("10.0.0.1", public), host("10.0.0.2", peer)], &facts(&[], &[]), None);
        assert_eq!(described(&draft)[0], format!("*this: 10.0.0.1 {wanted}"), "{peer}");
        let is_blank = draft.findings.iter().any(|finding| finding.text == "this");
        assert_eq!(is_blank, wanted.starts_with('-'), "{public} {peer}");
    }
}

#[test]
fn a_text_of_another_host_gets_only_the_names_of_this_one() {
    let held = [("lo", "10.0.0.1", 32), ("eth0", "198.51.100.2", 24)];
    let here = facts(&[("10.0.0.2", "srvb")], &held);
    let names_only = HostFacts { names: here.names.clone(), ..HostFacts::default() };
    for (hosts, wanted) in [
        (vec![own("10.0.0.1", ""), host("10.0.0.2", "")], &here),
        (vec![own("10.0.0.2", ""), host("10.0.0.1", "")], &names_only),
        (vec![host("10.0.0.1", ""), host("10.0.0.2", "")], &here),
        (vec![host("10.0.0.2", ""), host("10.0.0.3", "")], &names_only),
    ] {
        let found = Found { hosts, ..Found::default() };
        assert_eq!(here.clone().for_text(&found), *wanted, "{:?}", found.hosts);
    }
}

#[test]
fn sources_that_disagree_are_named() {
    let mine = own("10.0.0.1", "198.51.100.2");
    let draft = |public| of(&[mine.clone(), host("10.0.0.2", public)], &facts(&[], &[]), None);
    let (best, other) = (draft("203.0.113.2"), draft("203.0.113.9"));
    let [finding] = &disagreements(Source::Nft, &best, Source::Vxlan, &other)[..] else { panic!() };
    assert_eq!(finding.text, "10.0.0.2");
    assert_eq!(finding.why, "its public address is 203.0.113.2 in nft, and 203.0.113.9 in vxlan");
    assert_eq!(disagreements(Source::Nft, &best, Source::Vxlan, &best), []);
}
