//! Right cluster files, and what is made of them.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use tunnel_user::address::{Private, Public, Underlay};
use tunnel_user::config::{Claim, Cluster, Conflict, Member, Role, check_members, load, parse};

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

fn right(text: &str) -> Cluster {
    match parse(Path::new("cluster.toml"), text) {
        Ok(cluster) => cluster,
        Err(error) => panic!("{error}"),
    }
}

fn member(name: &str, private: [u8; 4], public: [u8; 4], underlay: [u8; 4], line: usize) -> Member {
    Member {
        name: name.parse().expect("a name"),
        private: private.into(),
        public: public.into(),
        underlay: underlay.into(),
        direct: false,
        line,
    }
}

fn example() -> Vec<Member> {
    vec![
        member("srva", [10, 0, 0, 1], [198, 51, 100, 2], [198, 51, 100, 2], 2),
        member("srvb", [10, 0, 0, 2], [203, 0, 113, 2], [203, 0, 113, 2], 7),
    ]
}

#[test]
fn the_example_of_the_design() {
    assert_eq!(right(EXAMPLE).members(), example());
}

#[test]
fn the_example_from_disk() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), EXAMPLE).expect("the file is written");
    let cluster = load(file.path()).expect("a right file");
    assert_eq!(cluster.into_members(), example());
}

#[test]
fn an_underlay_address_behind_a_nat() {
    let cluster = right(&EXAMPLE.replace("# underlay", "underlay").replace("only", "# only"));
    let underlays: Vec<String> =
        cluster.members().iter().map(|member| member.underlay.to_string()).collect();
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
    let shared = Underlay(Ipv4Addr::new(172, 31, 0, 5));
    assert!(cluster.into_iter().all(|member| member.underlay == shared));
}

#[test]
fn a_private_address_on_the_members_own_interface() {
    let text = EXAMPLE.replace("# underlay = \"172.31.0.5\"   only", "underlay = \"10.0.0.2\" #");
    let cluster = right(&text);
    assert_eq!(cluster.members()[1].underlay, Underlay::from([10, 0, 0, 2]));
}

#[test]
fn a_link_local_underlay_address() {
    let text =
        EXAMPLE.replace("# underlay = \"172.31.0.5\"   only", "underlay = \"169.254.0.5\" #");
    let cluster = right(&text);
    assert_eq!(cluster.members()[1].underlay, Underlay::from([169, 254, 0, 5]));
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
    let mut claims: Vec<Claim> = example().iter().map(Claim::from).collect();
    let mut added = member("srvc", [10, 0, 0, 3], [192, 0, 2, 9], [192, 0, 2, 9], 0);
    claims.push(Claim::from(&added));
    assert_eq!(check_members(&claims), []);

    added.private = Private::from([203, 0, 113, 2]);
    added.public = Public::from([198, 51, 100, 2]);
    claims[2] = Claim::from(&added);
    let told: Vec<(usize, String)> = check_members(&claims)
        .iter()
        .map(|conflict| (conflict.member(), conflict.to_string()))
        .collect();
    assert_eq!(
        told,
        [
            (2, "the public address of srvc, 198.51.100.2, is also that of srva".into()),
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

/// Whatever stands in a file, the answer is a cluster or an error.
#[test]
fn no_text_makes_it_panic() {
    let pieces = [
        "[[member]]\n",
        "[member]\n",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "'''",
        "\"\"\"",
        "\\",
        "=",
        ",",
        ".",
        "\n",
        "\r",
        "\0",
        "#",
        "name = ",
        "private = ",
        "public = ",
        "underlay = ",
        "direct = ",
        "\"a\"\n",
        "\"10.0.0.1\"\n",
        "\"10.0.0.0/24\"\n",
        "\"fd00::1\"\n",
        "[\"10.0.0.2\", \"::/0\"]\n",
        "true\n",
        "1\n",
        "1e400\n",
        "0xffffffffffffffffffffffffff\n",
        "2026-13-45\n",
        "é",
        "\u{feff}",
        "\u{1b}[2J",
        "member",
        "private.x.y = 1\n",
        "[member.private]\n",
        "\\uD800",
        "\\U00110000",
        "\"/999\"\n",
        "\"\"\n",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for _ in 0..20_000 {
        let text: String = (0..next(24)).map(|_| pieces[next(pieces.len())]).collect();
        if let Err(error) = parse(Path::new("cluster.toml"), &text) {
            assert!(!error.problems().is_empty(), "{text:?}");
            let lines = text.matches('\n').count() + 1;
            for problem in error.problems() {
                assert!(
                    problem.line.is_some_and(|line| (1..=lines).contains(&line)),
                    "{text:?}: {error}"
                );
            }
        }
        let cut = (0..=next(EXAMPLE.len())).rev().find(|at| EXAMPLE.is_char_boundary(*at));
        let half = &EXAMPLE[..cut.unwrap_or_default()];
        let _ = parse(Path::new("cluster.toml"), &format!("{half}{text}"));
    }
}
