//! Tests invalid bypass rules in the lists of the cluster and of members.

use super::{Case, Expected, assert_refused, case, with};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = rules();
    cases.extend(lists());
    cases
}

/// A file with `value` as the second member's `bypass`, on line 11.
fn of_member(value: &str) -> String {
    with("", "") + &format!("bypass = {value}\n")
}

/// A file with `value` as the cluster's `bypass`, on line 1.
fn of_cluster(value: &str) -> String {
    format!("bypass = {value}\n") + &with("", "")
}

fn rules() -> Vec<Case> {
    let wrong = |scenario, rule: &str, message, help| {
        let value = format!("[\"{rule}\"]");
        case(scenario, &of_member(&value), &[Expected(11, message, help)])
    };
    let right_protocols = "tcp, udp, udplite, dccp or sctp";
    vec![
        wrong("an empty rule", "", "the bypass rule is empty", "such as \"tcp/22\""),
        wrong("white space around", " tcp/22 ", "white space", "write \"tcp/22\" without"),
        wrong("white space within", "tcp/ 22", "white space", "write \"tcp/22\" without"),
        wrong("a space for the slash", "tcp 22", "white space", "without it"),
        wrong("a newline", "tcp/22\\n", "\"tcp/22\\n\" has white space", "write \"tcp/22\""),
        wrong("no port", "tcp", "\"tcp\" has no port", "such as \"tcp/22\""),
        wrong("nothing behind the slash", "udp/", "has no port", "such as \"udp/22\""),
        wrong("a port alone", "22", "\"22\" has no protocol", right_protocols),
        wrong("nothing before the slash", "/22", "has no protocol", right_protocols),
        wrong("the wrong order", "22/tcp", "begins with its port", "write \"tcp/22\""),
        wrong("capitals", "TCP/22", "uppercase letters", "begin it with \"tcp/\""),
        wrong("an unknown protocol", "quic/443", "\"quic\" is not a protocol", right_protocols),
        wrong("a protocol's number", "6/22", "\"6\" is not a protocol", right_protocols),
        wrong("ICMP", "icmp", "\"icmp\" has no ports", "only protocols with ports"),
        wrong("ICMP with a type", "icmp/8", "\"icmp\" has no ports", "only protocols with ports"),
        wrong("ICMPv6", "icmpv6", "\"icmpv6\" has no ports", "only protocols with ports"),
        wrong("GRE", "gre", "\"gre\" has no ports", "only protocols with ports"),
        wrong("the port 0", "tcp/0", "has the port 0", "from 1 to 65535"),
        wrong("a port of 65536", "tcp/65536", "more than 65535", "from 1 to 65535"),
        wrong("a port without end", &format!("tcp/{}", "9".repeat(99_999)), "more than", "65535"),
        wrong("a service's name", "tcp/ssh", "\"ssh\" is not a port", "as a number"),
        wrong("a negative port", "tcp/-1", "\"-1\" is not a port", "as a number"),
        wrong("a leading zero", "tcp/022", "\"022\" is not a port", "without zeros in front"),
        wrong("hexadecimal", "tcp/0x16", "\"0x16\" is not a port", "as a number"),
        wrong("a range", "udp/5000-5010", "has several ports", "[\"udp/22\", \"udp/80\"]"),
        wrong("a range with a colon", "tcp/1:9", "has several ports", "a rule for each"),
        wrong("two ports", "tcp/22,80", "has several ports", "a rule for each"),
        wrong("two slashes", "tcp/22/80", "\"22/80\" is not a port", "as a number"),
        wrong("a colon for the slash", "tcp:22", "\"tcp:22\" is not a protocol", right_protocols),
        wrong("an escape", "\\u001b[2J", "\\u{1b}[2J", right_protocols),
    ]
}

fn lists() -> Vec<Case> {
    let example = "bypass = [\"tcp/22\"]";
    vec![
        case(
            "a string",
            &of_member("\"tcp/22\""),
            &[Expected(11, "bypass is a string, not a list of strings", example)],
        ),
        case(
            "a string for the cluster",
            &of_cluster("\"tcp/22\""),
            &[Expected(1, "bypass is a string, not a list of strings", example)],
        ),
        case("a port", &of_member("22"), &[Expected(11, "bypass is an integer", example)]),
        case(
            "a table",
            &of_cluster("{ tcp = [22] }"),
            &[Expected(1, "bypass is a table, not a list of strings", example)],
        ),
        case(
            "ports without protocols",
            &of_member("[\n22,\n\"tcp/80\",\n[]]"),
            &[
                Expected(12, "bypass lists an integer, not a string", example),
                Expected(14, "bypass lists a list, not a string", example),
            ],
        ),
        case(
            "a wrong rule of the cluster",
            &of_cluster("[\n  \"tcp/22\",\n  \"tcp/99999\",\n]"),
            &[Expected(3, "\"tcp/99999\" has a port that is more than 65535", "from 1 to 65535")],
        ),
        case(
            "a rule twice",
            &of_member("[\n\"tcp/22\",\n\"udp/22\",\n\"tcp/22\"]"),
            &[Expected(14, "bypass lists tcp/22 twice (line 12)", "leave one of them out")],
        ),
        case(
            "a rule three times, for the cluster",
            &of_cluster("[\"tcp/22\",\n\"tcp/22\",\n\"tcp/22\"]"),
            &[
                Expected(2, "tcp/22 twice (line 1)", "leave one"),
                Expected(3, "tcp/22 twice (line 1)", "leave one"),
            ],
        ),
        case(
            "the key twice in a member",
            &(of_member("[\"tcp/22\"]") + "bypass = [\"tcp/80\"]\n"),
            &[Expected(12, "occurs twice", "remove one of them")],
        ),
    ]
}

#[test]
fn wrong_rules_are_refused() {
    assert_refused(&rules());
}

#[test]
fn wrong_lists_of_rules_are_refused() {
    assert_refused(&lists());
}
