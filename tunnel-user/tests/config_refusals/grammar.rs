//! Tests files that are not TOML, or that have keys or types that a cluster file can't have.

use super::{Case, Expected, assert_refused, case, with};

const RIGHT: &str = r#"
[[member]]
name = "srva"
private = "10.0.0.1"
public = "198.51.100.2"
[[member]]
name = "srvb"
private = "10.0.0.2"
public = "203.0.113.2"
"#;

/// The valid file, which ends on line 9, followed by `more`, which begins on line 10.
fn followed_by(more: &str) -> String {
    format!("{RIGHT}{more}")
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = not_toml();
    cases.extend(keys());
    cases.extend(types());
    cases
}

fn not_toml() -> Vec<Case> {
    let not_toml = |line| Expected(line, "this is not TOML", "in quotes");
    let twice = |line| Expected(line, "occurs twice", "remove one of them");
    vec![
        case("a string without its end", &with("private", "\"10.0.0.2"), &[not_toml(8)]),
        case("an address without quotes", &with("private", "10.0.0.2"), &[not_toml(8)]),
        case("a host name without quotes", &with("public", "srvb"), &[not_toml(9)]),
        case("a key without a value", &with("private", ""), &[not_toml(8)]),
        case("a header without its end", &followed_by("[[member]\n"), &[not_toml(10)]),
        case("a line that is no key", &followed_by("srvb 10.0.0.2\n"), &[not_toml(10)]),
        case("a list without its end", &with("underlay", "[\"172.31.0.5\""), &[not_toml(10)]),
        case("a YAML file", "member:\n  - name: srva\n", &[not_toml(1)]),
        case("a JSON file", "{\n \"member\": []\n}\n", &[not_toml(1)]),
        case("a NUL character", "\0", &[not_toml(1)]),
        case("a control character in a comment", "# a\n# \x1b[2J\n", &[not_toml(2)]),
        case("a key twice", &followed_by("public = \"192.0.2.1\"\n"), &[twice(10)]),
        case("a key twice, dotted", &followed_by("public.x = 1\n"), &[not_toml(10)]),
        case(
            "lists within lists without end",
            &with("private", &"[".repeat(100_000)),
            &[not_toml(8)],
        ),
    ]
}

fn keys() -> Vec<Case> {
    let unknown = |line, message, help| [Expected(line, message, help)];
    vec![
        case(
            "an unknown key at the top",
            "version = 1\n[[member]]\nname = \"a\"\nprivate = \"10.0.0.1\"\npublic = \"192.0.2.1\"\n\
             [[member]]\nname = \"b\"\nprivate = \"10.0.0.2\"\npublic = \"192.0.2.2\"\n",
            &unknown(
                1,
                "unknown key \"version\"",
                "bypass, drain, [[network]] and [[member]] tables only",
            ),
        ),
        case(
            "an unknown table",
            &followed_by("[health]\ninterval = 1\n"),
            &unknown(10, "unknown key \"health\"", "[[member]] tables only"),
        ),
        case(
            "members for member",
            "\n[[members]]\nname = \"a\"\n",
            &unknown(2, "unknown key \"members\"", "did you mean [[member]]?"),
        ),
        case(
            "Member for member",
            "[[Member]]\nname = \"a\"\n",
            &unknown(1, "unknown key \"Member\"", "did you mean [[member]]?"),
        ),
        case(
            "bypas for bypass",
            &format!("bypas = [\"tcp/22\"]{RIGHT}"),
            &unknown(1, "unknown key \"bypas\"", "did you mean bypass?"),
        ),
        case(
            "a member's key at the top",
            "name = \"srva\"\n",
            &unknown(1, "unknown key \"name\"", "write [[member]] on a line before it"),
        ),
        case(
            "a slip of the pen in an optional key",
            &followed_by("undelay = \"172.31.0.5\"\n"),
            &unknown(10, "unknown key \"undelay\" in a member", "did you mean underlay?"),
        ),
        case(
            "a slip of the pen in a key that is needed",
            &RIGHT.replace("private = \"10.0.0.2\"", "privat = \"10.0.0.2\""),
            &unknown(8, "unknown key \"privat\" in a member", "did you mean private?"),
        ),
        case(
            "a slip of the pen in the last key that is needed",
            &RIGHT.replace("public = \"203.0.113.2\"", "pubilc = \"203.0.113.2\""),
            &unknown(9, "unknown key \"pubilc\" in a member", "did you mean public?"),
        ),
        case(
            "a key of another case",
            &RIGHT.replace("name = \"srvb\"", "Name = \"srvb\""),
            &unknown(7, "unknown key \"Name\" in a member", "did you mean name?"),
        ),
        case(
            "an unknown key in a member",
            &followed_by("mtu = 1400\n"),
            &unknown(10, "\"mtu\"", "name, private, public, underlay, direct, bypass"),
        ),
        case(
            "a table in a member",
            &followed_by("[member.health]\ninterval = 1\n"),
            &unknown(10, "\"health\"", "name, private, public, underlay, direct, bypass"),
        ),
        case(
            "a key that would clear the terminal",
            &followed_by("\"\\u001b[2J\\n\" = 1\n"),
            &unknown(10, r#""\u{1b}[2J\n""#, "the keys of a member are"),
        ),
    ]
}

fn types() -> Vec<Case> {
    let wrong = |line, message, help| [Expected(line, message, help)];
    let no_members = wrong(1, "no members", "write a [[member]]");
    vec![
        case("an empty file", "", &no_members),
        case("only comments", "# nothing yet\n\n# here\n", &no_members),
        case("an empty list of members", "member = []\n", &no_members),
        case(
            "[member] for [[member]]",
            "\n[member]\nname = \"a\"\n",
            &wrong(2, "member is a table, not a list", "two brackets"),
        ),
        case(
            "member is a string",
            "member = \"srva\"\n",
            &wrong(1, "member is a string", "two brackets"),
        ),
        case(
            "members are strings",
            "member = [\n\"srva\",\n\"srvb\"]\n",
            &[
                Expected(2, "a member is a string, not a table", "two brackets"),
                Expected(3, "a member is a string, not a table", "two brackets"),
            ],
        ),
        case(
            "a name that is an integer",
            &with("name", "2"),
            &wrong(7, "name is an integer, not a string", "name = \"srva\""),
        ),
        case(
            "a name that is a list",
            &with("name", "[\"b\"]"),
            &wrong(7, "name is a list, not a string", "name = \"srva\""),
        ),
        case(
            "an address that is an integer",
            &with("private", "167772162"),
            &wrong(8, "private is an integer, not a string or a list", "private = \"10.0.0.1\""),
        ),
        case(
            "an address that is a float",
            &with("public", "10.0"),
            &wrong(9, "public is a float", "public = \"10.0.0.1\""),
        ),
        case(
            "an address that is a date",
            &with("public", "2026-01-01"),
            &wrong(9, "public is a date or time", "public ="),
        ),
        case(
            "an address that is a boolean",
            &with("underlay", "false"),
            &wrong(10, "underlay is a boolean", "underlay ="),
        ),
        case(
            "an address that is a table",
            &with("public", "{ ipv4 = \"192.0.2.1\" }"),
            &wrong(9, "there is no network \"ipv4\"", "write a [[network]]"),
        ),
        case(
            "a list that holds an integer",
            &with("private", "[\n\"10.0.0.2\",\n2]"),
            &wrong(10, "private lists an integer, not a string", "private = [\"10.0.0.1\"]"),
        ),
        case(
            "a list of lists",
            &with("private", "[[\"10.0.0.2\"]]"),
            &wrong(8, "private lists a list", "in quotes"),
        ),
        case(
            "drain is a number",
            &format!("drain = 30\n{RIGHT}"),
            &wrong(1, "drain is an integer, not a string", "drain = \"30s\""),
        ),
        case(
            "drain is no time",
            &format!("drain = \"soon\"\n{RIGHT}"),
            &wrong(1, "\"soon\" is not a time", "\"0s\" for none"),
        ),
        case(
            "drain is longer than a day",
            &format!("drain = \"2days\"\n{RIGHT}"),
            &wrong(1, "longer than a day", "up to a day"),
        ),
        case(
            "a revision of zero",
            &format!("revision = 0\n{RIGHT}"),
            &wrong(1, "revision is 0, which is out of range", "from 1 to 4294967295"),
        ),
        case(
            "a revision of more than 32 bits",
            &format!("revision = 4294967296\n{RIGHT}"),
            &wrong(1, "revision is 4294967296, which is out of range", "from 1 to 4294967295"),
        ),
        case(
            "a revision in quotes",
            &format!("revision = \"7\"\n{RIGHT}"),
            &wrong(1, "revision is a string, not a whole number", "revision = 7"),
        ),
        case(
            "direct is a string",
            &followed_by("direct = \"yes\"\n"),
            &wrong(10, "direct is a string, not a boolean", "direct = true or direct = false"),
        ),
        case(
            "direct is a number",
            &followed_by("direct = 1\n"),
            &wrong(10, "direct is an integer", "direct = true or"),
        ),
    ]
}

/// Two members on two networks, with the first `from` in the text replaced by `to`.
fn networks(from: &str, to: &str) -> String {
    let text = "[[network]]\nname = \"lan\"\ninterface = \"eth0\"\n\
                [[network]]\nname = \"ib\"\ninterface = \"ib0\"\n\
                [[member]]\nname = \"a\"\nprivate = \"10.0.0.1\"\n\
                public.lan = \"198.51.100.1\"\npublic.ib = \"172.16.0.1\"\n\
                [[member]]\nname = \"b\"\nprivate = \"10.0.0.2\"\n\
                public.lan = \"198.51.100.2\"\npublic.ib = \"172.16.0.2\"\n";
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

fn wrong_networks() -> Vec<Case> {
    let wrong = |line, message, help| [Expected(line, message, help)];
    let change = |from: &str, to: &str| networks(from, to);
    vec![
        case(
            "two networks of one name",
            &change("[[member]]", "[[network]]\nname = \"ib\"\ninterface = \"ib1\"\n[[member]]"),
            &wrong(7, "two networks have the name ib", "a name of its own"),
        ),
        case(
            "an interface on two networks",
            &change("interface = \"ib0\"", "interface = [\"ib0\", \"eth0\"]"),
            &wrong(4, "two networks list the interface \"eth0\"", "in one network only"),
        ),
        case(
            "a network without an interface",
            &change("interface = \"ib0\"\n", ""),
            &wrong(4, "the network ib has no interface", "interface = \"eth0\""),
        ),
        case(
            "an address on a network that there is not",
            &change("public.ib = \"172.16.0.2\"", "public.ibb = \"172.16.0.2\""),
            &wrong(16, "there is no network \"ibb\"", "are lan, ib"),
        ),
        case(
            "an underlay address alone",
            &change("public.ib = \"172.16.0.2\"", "underlay.ib = \"172.16.0.2\""),
            &wrong(16, "an underlay address on ib, but no public one", "public.ib ="),
        ),
        case(
            "an underlay address alone on the first network",
            &change("public.lan = \"198.51.100.2\"", "underlay.lan = \"198.51.100.2\""),
            &wrong(15, "an underlay address on lan, but no public one", "public.lan ="),
        ),
        case(
            "one member alone on a network",
            &change("public.ib = \"172.16.0.2\"\n", ""),
            &wrong(7, "only one member has an address on the network ib", "public.ib"),
        ),
        case(
            "a private address that is public on the other network",
            &change("172.16.0.2", "10.0.0.1"),
            &wrong(16, "10.0.0.1, is also the private address of a (line 9)", ""),
        ),
        case(
            "a slip of the pen in a network's name",
            &change("name = \"ib\"", "nme = \"ib\""),
            &[
                Expected(5, "unknown key \"nme\" in a network", "did you mean name?"),
                Expected(11, "there is no network \"ib\"", "the networks of the file are lan"),
                Expected(16, "there is no network \"ib\"", "the networks of the file are lan"),
            ],
        ),
        case(
            "interfaces for interface",
            &change("interface = \"ib0\"", "interfaces = [\"ib0\"]"),
            &wrong(6, "unknown key \"interfaces\" in a network", "did you mean interface?"),
        ),
        case(
            "an interface that is a number",
            &change("interface = \"ib0\"", "interface = 0"),
            &wrong(6, "interface is an integer", "interface = \"eth0\""),
        ),
        case(
            "a member on no network",
            &change("public.lan = \"198.51.100.2\"\npublic.ib = \"172.16.0.2\"\n", ""),
            &wrong(12, "the member \"b\" has no public address", "add public"),
        ),
    ]
}

#[test]
fn networks_that_do_not_fit_are_refused() {
    for case in wrong_networks() {
        let error = tunnel_user::config::parse(std::path::Path::new("cluster.toml"), &case.text);
        assert!(error.is_err(), "{}", case.text);
    }
    assert_refused(&wrong_networks());
    let right = networks("ib0", "ib1");
    assert!(tunnel_user::config::parse(std::path::Path::new("cluster.toml"), &right).is_ok());
}

#[test]
fn what_is_not_toml_is_refused() {
    assert_refused(&not_toml());
}

#[test]
fn unknown_keys_are_refused() {
    assert_refused(&keys());
}

#[test]
fn wrong_types_are_refused() {
    assert_refused(&types());
}
