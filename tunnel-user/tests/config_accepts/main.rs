//! Tests valid cluster files and the resulting clusters.

mod bypass;
mod families;
mod nested;
mod panics;
#[path = "../schema/mod.rs"]
mod schema;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tunnel_user::config::{AddressClaims, Cluster, Conflict, Member, check_members, load, parse};
use tunnel_user::model::{Drain, Mapping, Prefix, Private, Public, Role, Underlay};

const EXAMPLE: &str = r#"# /etc/rewrite/cluster.toml
[[member]]
name    = "srva"
private = "10.0.0.1"
public  = "198.51.100.2"

[[member]]
name    = "srvb"
private = "10.0.0.2"
public  = "203.0.113.2"
# underlay = "172.31.0.5"   only behind a 1:1 NAT
"#;

/// Loads a file that the loader and the schema both accept.
fn right(text: &str) -> Cluster {
    assert_eq!(schema::complaints(text), [""; 0], "{text}");
    match parse(Path::new("cluster.toml"), text) {
        Ok(clusters) => clusters.all()[0].clone(),
        Err(error) => panic!("{error}"),
    }
}

fn range(text: &str) -> Prefix {
    text.parse().expect(text)
}

fn mapping(private: &str, public: &str, underlay: &str) -> Mapping {
    Mapping::new(Private(range(private)), Public(range(public)), Underlay(range(underlay)))
        .expect("ranges of one family and length")
}

fn member(name: &str, v4: Mapping, line: usize) -> Member {
    Member {
        name: name.parse().expect("a name"),
        v4: Some(v4),
        v6: None,
        direct: false,
        bypass: BTreeSet::new(),
        line,
    }
}

/// The IPv4 address of the second member's interface.
fn second_underlay(cluster: &Cluster) -> String {
    cluster.members()[1].v4.expect("an IPv4 address").underlay().to_string()
}

fn example() -> Vec<Member> {
    vec![
        member("srva", mapping("10.0.0.1", "198.51.100.2", "198.51.100.2"), 2),
        member("srvb", mapping("10.0.0.2", "203.0.113.2", "203.0.113.2"), 7),
    ]
}

#[test]
fn the_example_of_the_design() {
    let cluster = right(EXAMPLE);
    assert_eq!(cluster.members(), example());
    assert!(cluster.bypass().is_empty());
}

const TWO_NETWORKS: &str = r#"
[[network]]
name      = "internet"
interface = ["eth0", "enp1s0"]

[[network]]
name      = "ib"
interface = "ib0"

[[member]]
name        = "srva"
private     = "10.0.0.1"
public      = { internet = "198.51.100.2", ib = "172.16.0.1" }
underlay.internet = "192.168.1.2"

[[member]]
name        = "srvb"
private     = "10.0.0.2"
public.internet = "203.0.113.2"
public.ib   = "172.16.0.2"

[[member]]
name        = "far"
private     = "10.0.0.3"
public      = "203.0.113.3"      # of the first network
"#;

#[test]
fn a_cluster_on_two_networks_is_one_on_each() {
    assert_eq!(schema::complaints(TWO_NETWORKS), [""; 0]);
    let clusters = parse(Path::new("cluster.toml"), TWO_NETWORKS).expect("a right file");
    let [internet, ib] = clusters.all() else { panic!("two networks") };
    let public = |cluster: &Cluster| -> Vec<String> {
        let members = cluster.members().iter();
        members.map(|member| member.v4.expect("IPv4").public().to_string()).collect()
    };
    assert_eq!(public(internet), ["198.51.100.2", "203.0.113.2", "203.0.113.3"]);
    assert_eq!(public(ib), ["172.16.0.1", "172.16.0.2"]);
    let underlay = |cluster: &Cluster| cluster.members()[0].v4.expect("IPv4").underlay();
    assert_eq!(underlay(internet).to_string(), "192.168.1.2");
    assert_eq!(underlay(ib).to_string(), "172.16.0.1");
}

#[test]
fn the_network_is_that_of_the_interface_or_the_one_that_is_named() {
    let clusters = parse(Path::new("cluster.toml"), TWO_NETWORKS).expect("a right file");
    let on = |interface: &str, named: Option<&str>| {
        let named = named.map(|name| name.parse().expect("a name"));
        clusters
            .on(interface, named.as_ref())
            .map(|cluster| cluster.network().map(|network| network.name.to_string()))
    };
    for (interface, named, wanted) in [
        ("eth0", None, "internet"),
        ("enp1s0", None, "internet"),
        ("ib0", None, "ib"),
        ("wlan0", Some("ib"), "ib"),
        ("eth0", Some("ib"), "ib"),
    ] {
        assert_eq!(on(interface, named).expect("known").as_deref(), Some(wanted), "{interface}");
    }
    let error = on("wlan0", None).expect_err("unknown").to_string();
    assert!(error.contains("--network: internet, ib"), "{error}");
    let error = on("eth0", Some("lan")).expect_err("unknown").to_string();
    assert!(error.contains("internet, ib"), "{error}");
    assert!(clusters.rank(Some("internet")) < clusters.rank(Some("ib")));
    assert!(clusters.rank(Some("ib")) < clusters.rank(Some("lan")));
}

#[test]
fn a_file_without_networks_is_for_any_interface_and_one_with_a_network_is_not() {
    let without = parse(Path::new("cluster.toml"), EXAMPLE).expect("a right file");
    assert_eq!(without.on("wlan0", None).expect("the only one").members(), example());
    let lan = "lan".parse().expect("a name");
    let error = without.on("eth0", Some(&lan)).expect_err("unknown");
    assert_eq!(error.what, "the file has no network lan");
    assert_eq!((without.rank(None), without.rank(Some("lan"))), (0, usize::MAX));
    let text = format!("[[network]]\nname = \"lan\"\ninterface = \"eth0\"\n{EXAMPLE}");
    assert_eq!(schema::complaints(&text), [""; 0]);
    let with_one = parse(Path::new("cluster.toml"), &text).expect("a right file");
    assert_eq!(with_one.on("eth0", None).expect("known").members().len(), 2);
    let error = with_one.on("wlan0", None).expect_err("unknown");
    assert_eq!(error.what, "the file does not say which network wlan0 is on");
}

#[test]
fn the_drain_and_the_revision_are_those_of_the_file() {
    let cluster = right(EXAMPLE);
    assert_eq!((cluster.drain(), cluster.revision()), (Drain::default(), None));
    let cluster = right(&format!("drain = \"5m\"\nrevision = 0x1_0007\n{EXAMPLE}"));
    let drain = Drain::from_seconds(300);
    assert_eq!((cluster.drain(), cluster.revision()), (drain, Some(65_543)));
}

#[test]
fn the_example_from_disk() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), EXAMPLE).expect("the file is written");
    let cluster = load(file.path()).expect("a right file");
    assert_eq!(cluster.all()[0].members(), example());
}

#[test]
fn an_underlay_address_behind_a_nat() {
    let cluster = right(&EXAMPLE.replace("# underlay", "underlay").replace("only", "# only"));
    let underlays: Vec<String> = cluster
        .members()
        .iter()
        .flat_map(Member::mappings)
        .map(|mapping| mapping.underlay().to_string())
        .collect();
    assert_eq!(underlays, ["198.51.100.2", "172.31.0.5"]);
}

#[test]
fn the_same_underlay_address_behind_two_nats() {
    let cluster = right(
        r#"
        [[member]]
        name = "srva"
        private = "10.0.0.1"
        public = "198.51.100.2"
        underlay = "172.31.0.5"
        [[member]]
        name = "srvb"
        private = "10.0.0.2"
        public = "203.0.113.2"
        underlay = "172.31.0.5"
        "#,
    );
    let shared = Underlay(range("172.31.0.5"));
    assert!(cluster.into_iter().flat_map(Member::mappings).all(|m| m.underlay() == shared));
}

#[test]
fn a_private_address_on_the_members_own_interface() {
    let text = EXAMPLE.replace("# underlay = \"172.31.0.5\"   only", "underlay = \"10.0.0.2\" #");
    assert_eq!(second_underlay(&right(&text)), "10.0.0.2");
}

#[test]
fn a_link_local_underlay_address() {
    let text =
        EXAMPLE.replace("# underlay = \"172.31.0.5\"   only", "underlay = \"169.254.0.5\" #");
    assert_eq!(second_underlay(&right(&text)), "169.254.0.5");
}

#[test]
fn every_spelling_of_one_cluster() {
    let lists = EXAMPLE
        .replace("\"10.0.0.1\"", "[\"10.0.0.1\"]")
        .replace("\"203.0.113.2\"", "[\"203.0.113.2\",]");
    let full_prefixes = EXAMPLE
        .replace("\"10.0.0.1\"", "\"10.0.0.1/32\"")
        .replace("\"203.0.113.2\"", "[\"203.0.113.2/32\"]");
    let comments = EXAMPLE.replace("\"\n", "\"  # why\n");
    let literal_strings = EXAMPLE.replace('"', "'");
    let windows = EXAMPLE.replace('\n', "\r\n");
    let with_mark = format!("\u{feff}{EXAMPLE}");
    let same_underlay =
        EXAMPLE.replace("# underlay = \"172.31.0.5\"   only", "underlay = \"203.0.113.2\" #");
    let without_last_newline = EXAMPLE.trim_end();
    for text in [
        &lists,
        &full_prefixes,
        &comments,
        &literal_strings,
        &windows,
        &with_mark,
        &same_underlay,
        without_last_newline,
    ] {
        assert_eq!(right(text).members(), example(), "{text}");
    }
}

#[test]
fn inline_tables() {
    let cluster = right(
        "member = [\n{ name = \"a\", private = \"10.0.0.1\", public = \"192.0.2.1\" },\n\
         { name = \"b\", private = \"10.0.0.2\", public = \"192.0.2.2\" }]",
    );
    let lines: Vec<usize> = cluster.members().iter().map(|member| member.line).collect();
    assert_eq!(lines, [2, 3]);
}

#[test]
fn a_member_that_is_reached_directly_as_well() {
    let cluster = right(&format!("{EXAMPLE}direct = true\n"));
    let direct: Vec<bool> = cluster.into_iter().map(|member| member.direct).collect();
    assert_eq!(direct, [false, true]);
    assert!(!right(&format!("{EXAMPLE}direct = false\n")).members()[1].direct);
}

#[test]
fn members_stay_in_the_order_of_the_file() {
    let text: String = (1..=200)
        .rev()
        .map(|n| {
            format!(
                "[[member]]\nname = \"m{n}\"\nprivate = \"10.0.0.{n}\"\npublic = \"192.0.2.{n}\"\n"
            )
        })
        .collect();
    let cluster = right(&text);
    let names: Vec<&str> = cluster.members().iter().map(|m| m.name.as_str()).collect();
    let expected: Vec<String> = (1..=200).rev().map(|n| format!("m{n}")).collect();
    assert_eq!(names, expected);
}

#[test]
fn a_member_to_add_is_checked_against_the_running_ones() {
    let mut claims: Vec<AddressClaims> = example().iter().map(AddressClaims::from).collect();
    let added = member("srvc", mapping("10.0.0.3", "192.0.2.9", "192.0.2.9"), 0);
    claims.push(AddressClaims::from(&added));
    assert_eq!(check_members(&claims), []);

    let added = member("srvc", mapping("203.0.113.2", "198.51.100.2", "198.51.100.2"), 0);
    claims[2] = AddressClaims::from(&added);
    let told: Vec<(usize, String)> = check_members(&claims)
        .iter()
        .map(|conflict| (conflict.member(), conflict.to_string()))
        .collect();
    assert_eq!(
        told,
        [
            (
                2,
                "the public address of srvc, 198.51.100.2, is also the public address of srva"
                    .into()
            ),
            (
                2,
                "the private address of srvc, 203.0.113.2, is also the public address of srvb"
                    .into()
            ),
        ]
    );
    assert!(check_members(&claims).iter().all(|conflict| matches!(
        conflict,
        Conflict::Range { with, .. } if with.role == Role::Public
    )));
}
