//! Tests members that lack a name, an address or a peer, and invalid names.

use super::{Case, Expected, assert_refused, case, with};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = missing();
    cases.extend(names());
    cases
}

const SRVA: &str = r#"[[member]]
name = "srva"
private = "10.0.0.1"
public = "198.51.100.2"
"#;

fn and_srva(member: &str) -> String {
    format!("{SRVA}{member}")
}

fn missing() -> Vec<Case> {
    vec![
        case(
            "only one member",
            &format!("# the first\n{SRVA}"),
            &[Expected(2, "one member, which has no peer", "for each of the other hosts")],
        ),
        case(
            "no name",
            &and_srva("[[member]]\nprivate = \"10.0.0.2\"\npublic = \"203.0.113.2\"\n"),
            &[Expected(5, "the member has no name", "name = \"srva\"")],
        ),
        case(
            "no private address",
            &and_srva("\n[[member]]\nname = \"srvb\"\npublic = \"203.0.113.2\"\n"),
            &[Expected(6, "the member \"srvb\" has no private address", "add private =")],
        ),
        case(
            "no public address",
            &and_srva("[[member]]\nname = \"srvb\"\nprivate = \"10.0.0.2\"\n"),
            &[Expected(5, "the member \"srvb\" has no public address", "add public =")],
        ),
        case(
            "an underlay address in place of a public one",
            &and_srva(
                "[[member]]\nname = \"srvb\"\nprivate = \"10.0.0.2\"\nunderlay = \"172.31.0.5\"\n",
            ),
            &[Expected(5, "the member \"srvb\" has no public address", "add public =")],
        ),
        case(
            "a member without anything",
            &and_srva("[[member]]\n"),
            &[
                Expected(5, "the member has no name", "add it"),
                Expected(5, "the member has no private address", "software binds and dials"),
                Expected(5, "the member has no public address", "where the others reach"),
            ],
        ),
        case(
            "an inline member without an address",
            "member = [\n{ name = \"a\", private = \"10.0.0.1\", public = \"192.0.2.1\" },\n\
             { name = \"b\", public = \"192.0.2.2\" },\n]\n",
            &[Expected(3, "the member \"b\" has no private address", "add private =")],
        ),
    ]
}

fn names() -> Vec<Case> {
    let wrong = |scenario, name: &str, message, help| {
        let name = format!("\"{name}\"");
        case(scenario, &with("name", &name), &[Expected(7, message, help)])
    };
    vec![
        wrong("an empty name", "", "the name is empty", "give the member a name"),
        wrong("a name with a space", "srv b", "holds ' '", "letters A-Z"),
        wrong("a name of white space", " ", "holds ' '", "letters A-Z"),
        wrong("a name with a slash", "dc2/srvb", "holds '/'", "letters A-Z"),
        wrong("a name with a colon", "srvb:24007", "holds ':'", "letters A-Z"),
        wrong("a name with a newline", "srvb\\n", "holds '\\n'", "letters A-Z"),
        wrong("a name with a NUL", "srv\\u0000b", "holds '\\0'", "letters A-Z"),
        wrong("a name with an escape", "\\u001b[31mb", "holds '\\u{1b}'", "letters A-Z"),
        wrong("a name that is not ASCII", "sörver", "holds 'ö'", "letters A-Z"),
        wrong("a name that looks like an option", "--all", "does not begin with", "in front"),
        wrong("a name that is hidden", ".srvb", "does not begin with", "in front"),
        wrong("a name that is a directory", "..", "does not begin with", "in front"),
        wrong("a name of 64 bytes", &"b".repeat(64), "has 64 bytes, more than 63", "shorten"),
        wrong("a name without end", &"b".repeat(100_000), "has 100000 bytes", "shorten"),
    ]
}

#[test]
fn members_that_lack_something_are_refused() {
    assert_refused(&missing());
}

#[test]
fn wrong_names_are_refused() {
    assert_refused(&names());
}
