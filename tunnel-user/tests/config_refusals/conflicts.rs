//! Tests files whose members can't be in one cluster.

use super::{Case, Expected, assert_refused, case, with};

/// A file with the given members. Each text is `name private public` or `name private public underlay`, and becomes
/// five lines. The first member has `name` on line 2, `private` on line 3, `public` on line 4 and `underlay` on
/// line 5.
fn cluster(members: &[&str]) -> String {
    let mut text = String::new();
    for member in members {
        let mut lines = vec!["[[member]]".to_owned()];
        for (key, value) in ["name", "private", "public", "underlay"].iter().zip(member.split(' '))
        {
            lines.push(format!("{key} = \"{value}\""));
        }
        lines.resize(5, "#".into());
        text += &lines.join("\n");
        text.push('\n');
    }
    text
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "two members of one name",
            &with("name", "\"srva\""),
            &[Expected(7, "two members have the name srva (line 2)", "a name of its own")],
        ),
        case(
            "three members of one name",
            &cluster(&["a 10.0.0.1 192.0.2.1", "a 10.0.0.2 192.0.2.2", "a 10.0.0.3 192.0.2.3"]),
            &[
                Expected(7, "have the name a (line 2)", "of its own"),
                Expected(12, "have the name a (line 2)", "of its own"),
            ],
        ),
        case(
            "one private address twice",
            &with("private", "\"10.0.0.1\""),
            &[Expected(
                8,
                "the private address of srvb, 10.0.0.1, is also the private address of srva (line 3)",
                "a private address of its own",
            )],
        ),
        case(
            "one private address twice, once as a prefix",
            &with("private", "\"10.0.0.1/32\""),
            &[Expected(
                8,
                "10.0.0.1, is also the private address of srva (line 3)",
                "a private address of its own",
            )],
        ),
        case(
            "one public address twice",
            &with("public", "\"198.51.100.2\""),
            &[Expected(
                9,
                "the public address of srvb, 198.51.100.2, is also the public address of srva (line 4)",
                "a public address of its own",
            )],
        ),
        case(
            "one IPv6 address in two spellings",
            &cluster(&["a fd00::1 2001:db8::1", "b FD00:0::1 2001:db8::2"]),
            &[Expected(8, "fd00::1, is also the private address of a (line 3)", "of its own")],
        ),
        case(
            "one private network twice",
            &cluster(&["a 10.0.0.0/16 203.0.0.0/16", "b 10.0.0.0/16 192.0.0.0/16"]),
            &[Expected(
                8,
                "the private address of b, 10.0.0.0/16, is also the private address of a (line 3)",
                "of its own",
            )],
        ),
        case(
            "one public network twice, within a wider one",
            &cluster(&[
                "a 10.0.0.0/16 203.0.0.0/16",
                "b 10.1.0.0/24 203.0.113.0/24",
                "c 10.2.0.0/24 203.0.113.0/24",
            ]),
            &[Expected(
                14,
                "the public address of c, 203.0.113.0/24, is also the public address of b (line 9)",
                "of its own",
            )],
        ),
        case(
            "a private network around another's public address",
            &cluster(&["a 10.0.0.9 192.0.2.9", "b 192.0.2.0/24 203.0.113.0/24"]),
            &[Expected(
                8,
                "the private address of b, 192.0.2.0/24, and the public address of a, 192.0.2.9, overlap (line 4)",
                "can't be a public or underlay address",
            )],
        ),
        case(
            "a private network within the member's own public one",
            &cluster(&["a 10.0.0.9 192.0.2.9", "b 203.0.113.0/24 203.0.113.0/24"]),
            &[Expected(
                8,
                "203.0.113.0/24, is also the public address of b (line 9)",
                "nothing to rewrite",
            )],
        ),
        case(
            "an underlay address that is another's public one",
            &with("underlay", "\"198.51.100.2\""),
            &[Expected(
                10,
                "the underlay address of srvb, 198.51.100.2, is also the public address of srva (line 4)",
                "could be meant for either member",
            )],
        ),
        case(
            "an underlay address within another's public network",
            &cluster(&["a 10.0.0.0/24 203.0.113.0/24", "b 10.1.0.1 192.0.2.9 203.0.113.9"]),
            &[Expected(
                10,
                "the underlay address of b, 203.0.113.9, and the public address of a, 203.0.113.0/24, overlap (line 4)",
                "could be meant for either member",
            )],
        ),
        case(
            "an IPv6 address that is another's, beside IPv4",
            "[[member]]\nname = \"a\"\nprivate = [\"10.0.0.1\", \"fd00::1\"]\npublic = [\"192.0.2.1\", \"2001:db8::1\"]\n\
             [[member]]\nname = \"b\"\nprivate = [\n\"10.0.0.2\",\n\"fd00::1\"]\npublic = [\"192.0.2.2\", \"2001:db8::2\"]\n",
            &[Expected(
                9,
                "the private address of b, fd00::1, is also the private address of a (line 3)",
                "of its own",
            )],
        ),
        case(
            "nothing to rewrite",
            &with("private", "\"203.0.113.2\""),
            &[Expected(
                8,
                "the private address of srvb, 203.0.113.2, is also the public address of srvb (line 9)",
                "nothing to rewrite",
            )],
        ),
        case(
            "a private address that is another's public one",
            &with("private", "\"198.51.100.2\""),
            &[Expected(
                8,
                "198.51.100.2, is also the public address of srva (line 4)",
                "can't be a public or underlay address",
            )],
        ),
        case(
            "a public address that is another's private one",
            &with("public", "\"10.0.0.1\""),
            &[Expected(
                9,
                "the public address of srvb, 10.0.0.1, is also the private address of srva (line 3)",
                "can't be a public or underlay",
            )],
        ),
        case(
            "private and public addresses changed round",
            &cluster(&["a 10.0.0.1 192.0.2.1", "b 192.0.2.1 10.0.0.1"]),
            &[
                Expected(8, "is also the public address of a (line 4)", "change one"),
                Expected(9, "is also the private address of a (line 3)", "change one"),
            ],
        ),
        case(
            "an underlay address that is another's private one",
            &with("underlay", "\"10.0.0.1\""),
            &[Expected(
                10,
                "the underlay address of srvb, 10.0.0.1, is also the private address of srva (line 3)",
                "can't be a public or underlay",
            )],
        ),
        case(
            "a private address that is another's underlay",
            &cluster(&["a 10.0.0.1 192.0.2.1 172.31.0.5", "b 172.31.0.5 192.0.2.2"]),
            &[Expected(
                8,
                "the private address of b, 172.31.0.5, is also the underlay address of a (line 5)",
                "change one",
            )],
        ),
    ]
}

#[test]
fn members_that_can_not_be_in_one_cluster_are_refused() {
    assert_refused(&cases());
}
