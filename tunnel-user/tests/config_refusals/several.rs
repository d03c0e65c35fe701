//! Tests files with several kinds of problems: the error reports all problems at once.

use std::fmt::Write as _;
use std::path::Path;

use tunnel_user::config::parse;

use super::{Case, Expected, assert_refused, case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "one of each kind",
            r#"colour = "red"
[[member]]
name = "srv a"
private = "10.0.0.256"
public = "198.51.100.2"
weight = 3

[[member]]
name = "srvb"
private = "127.0.0.1"
direct = "no"

[[member]]
name = "srvb"
private = 5
public = ["198.51.100.2"]
"#,
            &[
                Expected(1, "unknown key \"colour\"", "leave it out"),
                Expected(3, "holds ' '", "a name is made of"),
                Expected(4, "more than 255", "from 0 to 255"),
                Expected(6, "unknown key \"weight\"", "the keys of a member"),
                Expected(8, "has no public address", "add public"),
                Expected(10, "is loopback", "one host can have"),
                Expected(11, "direct is a string", "without quotes"),
                Expected(14, "two members have the name srvb (line 9)", "of its own"),
                Expected(15, "private is an integer", "in quotes"),
                Expected(16, "address of a member without a valid name (line 5)", "of its own"),
            ],
        ),
        case(
            "an only member that is wrong",
            "[[member]]\nname = \"\"\nprivate = \"10.0.0.1\"\npublic = \"192.0.2.1\"\n",
            &[
                Expected(1, "one member, which has no peer", "each of the other hosts"),
                Expected(2, "the name is empty", "give the member a name"),
            ],
        ),
        case(
            "keys with a slip of the pen beside the right ones, which are wrong for another reason",
            "[[member]]\nname = \"srva\"\nprivate = \"10.0.0.1\"\npublic = \"198.51.100.2\"\n\
             [[member]]\nname = \"srvb\"\nnme = \"x\"\nprivate = \"10.0.0.1\"\nprivat = \"10.0.0.9\"\n\
             public = \"198.51.100.2\"\npubilc = \"192.0.2.9\"\n",
            &[
                Expected(7, "unknown key \"nme\"", "did you mean name?"),
                Expected(8, "the private address of srvb, 10.0.0.1, is also", "of its own"),
                Expected(9, "unknown key \"privat\"", "did you mean private?"),
                Expected(10, "the public address of srvb, 198.51.100.2, is also", "of its own"),
                Expected(11, "unknown key \"pubilc\"", "did you mean public?"),
            ],
        ),
        case(
            "wrong rules and wrong members",
            "bypass = [\"tcp/22\",\n\"icmp\"]\n\
             [[member]]\nname = \"a\"\nprivate = \"fd00::1\"\npublic = \"2001:db8::1\"\nbypass = \"tcp/22\"\n\
             [[member]]\nname = \"b\"\nprivate = \"fd00::2\"\npublic = \"2001:db8::1\"\nbypass = [\"tcp/0\"]\n",
            &[
                Expected(2, "\"icmp\" has no ports", "only protocols with ports"),
                Expected(7, "bypass is a string", "write a list"),
                Expected(11, "is also the public address of a (line 6)", "of its own"),
                Expected(12, "the port 0", "from 1 to 65535"),
            ],
        ),
        case(
            "lines that end as on Windows",
            "[[member]]\r\nname = \"a\"\r\nprivate = \"10.0.0.1\"\r\npublic = \"0.0.0.0\"\r\n\
             [[member]]\r\nname = \"b\"\r\nprivate = \"10.0.0.2\"\r\npublic = \"::\"\r\n",
            &[
                Expected(4, "this network", "one host can have"),
                Expected(8, "the unspecified address", "one host can have"),
            ],
        ),
        case(
            "a byte order mark and text of many bytes before the fault",
            "\u{feff}# Größe und Länge\n[[member]]\nname = \"ä\"\nprivate = \"10.0.0.1\"\npublic = \"192.0.2.1\"\n\
             [[member]]\nname = \"b\"\nprivate = \"10.0.0.2\"\npublic = \"192.0.2.2\"\n",
            &[Expected(3, "holds 'ä'", "letters A-Z")],
        ),
    ]
}

#[test]
fn all_problems_of_a_file_are_told_at_once() {
    assert_refused(&cases());
}

/// Each member but the first has the first member's private address.
#[test]
fn a_hundred_conflicts_are_told_and_that_there_are_more() {
    for (members, has_more) in [(101, false), (102, true)] {
        let mut text = String::new();
        for n in 1..=members {
            let public = format!("192.0.2.{n}");
            let _ = writeln!(
                text,
                "[[member]]\nname = \"m{n}\"\nprivate = \"10.0.0.1\"\npublic = \"{public}\""
            );
        }
        let error = parse(Path::new("cluster.toml"), &text).expect_err("conflicts");
        let lines: Vec<_> = error.problems().iter().map(|problem| problem.line).collect();
        let expected: Vec<_> = (1..=100).map(|n| Some(4 * n + 3)).collect();
        assert_eq!(lines, expected, "{members} members");
        let told = error.to_string().contains("the file has more problems than these 100");
        assert_eq!(told, has_more, "{members} members");
    }
}
