use std::collections::BTreeSet;

use super::*;
use crate::config::NetworkName;
use crate::model::{parse_private, parse_public};
use crate::plan::peers::PeerAddresses;

const FILE: &str = "\
# The cluster of the shop.
drain = \"10s\"   # long enough

# the old room
[[member]]
name    = \"srva\"   # this host
private = \"10.0.0.1\"
public  = \"198.51.100.2\"

# moves soon
[[member]]
name    = \"srvb\"
# the cable
private = [\"10.0.0.2\", \"fd00::2\"]
public  = [\"203.0.113.2\", \"2001:db8::2\"]   # the provider's
underlay = [\"172.31.0.5\", \"2001:db8::2\"]
# nothing below

[[member]]
public  = \"192.0.2.3\"
private = \"10.0.0.3\"
name    = \"srvc\"
";

const NETWORKS: &str = "\
[[network]]
name = \"internet\"
interface = \"eth0\"
[[network]]
name = \"i.b\"
interface = \"ib0\"
[[member]]
name = \"srva\"
private = \"10.0.0.1\"
public = { internet = \"198.51.100.2\", \"i.b\" = \"172.16.0.1\" }
[[member]]
name = \"srvb\"
private = \"10.0.0.2\"
[member.public]
internet = \"203.0.113.2\"   # by the provider
\"i.b\" = \"172.16.0.2\"
";

fn peer(name: &str, pairs: &[(&str, &str)]) -> NamedPeer {
    let addresses = pairs.iter().map(|(private, public)| PeerAddresses {
        private: parse_private(private).unwrap(),
        public: parse_public(public).unwrap(),
    });
    NamedPeer {
        name: name.parse().unwrap(),
        addresses: addresses.collect(),
        direct: false,
        bypass: BTreeSet::new(),
    }
}

fn saved_on(
    text: &str,
    interface: &str,
    name: &str,
    after: Option<&NamedPeer>,
) -> Result<FileEdit, Error> {
    let path = Path::new("cluster.toml");
    let clusters = config::parse(path, text).unwrap();
    let cluster = clusters.on(interface, None::<&NetworkName>).unwrap();
    let sources = Sources::of(path);
    let file = File { sources: &sources, text, clusters: &clusters, cluster };
    save(&file, &name.parse().unwrap(), after)
}

fn saved(text: &str, name: &str, after: Option<&NamedPeer>) -> FileEdit {
    saved_on(text, "eth0", name, after).unwrap()
}

#[test]
fn a_new_address_replaces_the_former_one_and_nothing_else() {
    let after = peer("srvb", &[("10.0.0.2", "203.0.113.9")]);
    let edit = saved(FILE, "srvb", Some(&after));
    assert_eq!(edit.text, FILE.replace("\"203.0.113.2\"", "\"203.0.113.9\""));
    assert_eq!((edit.removed.len(), edit.added.len()), (1, 1));
    assert!(edit.added[0].contains("203.0.113.9"), "{edit:?}");
    let again = saved(&edit.text, "srvb", Some(&after));
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn the_flag_and_the_rules_are_set_and_removed_in_line_with_the_other_keys() {
    let mut after = peer("srvc", &[("10.0.0.3", "192.0.2.3")]);
    after.direct = true;
    after.bypass = ["tcp/22".parse().unwrap(), "udp/53".parse().unwrap()].into();
    let set = saved(FILE, "srvc", Some(&after)).text;
    let keys = "direct  = true\nbypass  = [\"tcp/22\", \"udp/53\"]\n";
    assert_eq!(set, format!("{FILE}{keys}"));
    after.bypass.pop_first();
    let fewer = saved(&set, "srvc", Some(&after)).text;
    assert_eq!(fewer, format!("{FILE}direct  = true\nbypass  = [\"udp/53\"]\n"));
    (after.direct, after.bypass) = (false, BTreeSet::new());
    assert_eq!(saved(&fewer, "srvc", Some(&after)).text, format!("{FILE}direct  = false\n"));
}

#[test]
fn a_new_member_comes_last() {
    let after = peer("srvd", &[("10.0.0.4", "192.0.2.4"), ("fd00::4", "2001:db8::4")]);
    let member = "[[member]]\nname    = \"srvd\"\nprivate = [\"10.0.0.4\", \"fd00::4\"]\n\
                  public  = [\"192.0.2.4\", \"2001:db8::4\"]\n";
    assert_eq!(saved(FILE, "srvd", Some(&after)).text, format!("{FILE}\n{member}"));
    assert_eq!(saved(FILE.trim_end(), "srvd", Some(&after)).text, format!("{FILE}\n{member}"));
}

#[test]
fn a_removed_member_takes_its_own_comments_along() {
    let without = saved(FILE, "srvb", None).text;
    let start = FILE.find("# moves soon").unwrap();
    let end = FILE.find("[[member]]\npublic").unwrap();
    assert_eq!(without, format!("{}{}", &FILE[..start], &FILE[end..]));
    let last = saved(FILE, "srvc", None).text;
    assert_eq!(last, FILE[..end].trim_end().to_owned() + "\n");
    assert!(saved(FILE, "unknown", None).is_empty());
}

#[test]
fn a_comment_at_the_top_of_the_file_stays_without_its_member() {
    let text = FILE.split_once("room\n").unwrap().1;
    let text = format!("# all members\n{text}");
    let without = saved(&text, "srva", None).text;
    assert!(without.starts_with("# all members\n"), "{without}");
    assert!(!without.contains("srva"), "{without}");
}

#[test]
fn an_added_and_removed_member_leaves_the_text_as_it_was() {
    let after = peer("srvd", &[("10.0.0.4", "192.0.2.4")]);
    for text in [FILE.to_owned(), FILE.replace('\n', "\r\n")] {
        let with = saved(&text, "srvd", Some(&after)).text;
        assert_eq!(with.matches('\n').count() - text.matches('\n').count(), 5);
        assert_eq!(saved(&with, "srvd", None).text, text);
    }
}

#[test]
fn lines_that_end_with_crlf_go_on_to() {
    let text = FILE.replace('\n', "\r\n");
    let after = peer("srvb", &[("10.0.0.2", "203.0.113.9")]);
    let edit = saved(&text, "srvb", Some(&after));
    assert_eq!(edit.text, text.replace("\"203.0.113.2\"", "\"203.0.113.9\""));
}

#[test]
fn the_address_on_the_network_of_the_interface_changes() {
    let cases = [
        ("eth0", "203.0.113.2", "203.0.113.9", "internet = "),
        ("ib0", "172.16.0.2", "172.16.0.9", "\"i.b\" = "),
    ];
    for (interface, former, new, key) in cases {
        let after = peer("srvb", &[("10.0.0.2", new)]);
        let edit = saved_on(NETWORKS, interface, "srvb", Some(&after)).unwrap();
        assert_eq!(edit.text, NETWORKS.replace(former, new), "{interface}");
        assert!(edit.added[0].starts_with(key), "{edit:?}");
    }
}

#[test]
fn a_new_member_has_its_address_on_the_network_of_the_interface() {
    let after = peer("srvc", &[("10.0.0.3", "172.16.0.3")]);
    let edit = saved_on(NETWORKS, "ib0", "srvc", Some(&after)).unwrap();
    assert!(edit.text.ends_with("public  = { \"i.b\" = \"172.16.0.3\" }\n"), "{}", edit.text);
}

#[test]
fn members_in_one_list_are_edited_in_place() {
    let text = "member = [\n  { name = \"a\", private = \"10.0.0.1\", public = \"192.0.2.1\" }, # one\n  \
                { name = \"b\", private = \"10.0.0.2\", public = \"192.0.2.2\" },\n]\n";
    let after = peer("b", &[("10.0.0.2", "192.0.2.9")]);
    let edit = saved(text, "b", Some(&after));
    assert_eq!(edit.text, text.replace("192.0.2.2", "192.0.2.9"));
    let after = peer("c", &[("10.0.0.3", "192.0.2.3")]);
    let added = saved(text, "c", Some(&after)).text;
    let member = "  { name = \"c\", private = \"10.0.0.3\", public = \"192.0.2.3\" },\n]\n";
    assert_eq!(added, text.replace("]\n", member));
    assert_eq!(saved(&added, "c", None).text, text);
    let without = saved(&added, "b", None).text;
    assert_eq!(
        without,
        text.replace(
            "name = \"b\", private = \"10.0.0.2\", public = \"192.0.2.2\"",
            "name = \"c\", private = \"10.0.0.3\", public = \"192.0.2.3\""
        )
    );
}

#[test]
fn a_change_that_would_break_the_file_is_refused() {
    let two = FILE.split_once("\n[[member]]\npublic").unwrap().0;
    let error = saved_on(two, "eth0", "srvb", None).unwrap_err().to_string();
    assert!(error.contains("cluster.toml would be wrong with this change"), "{error}");
    let other = peer("srvc", &[("10.0.0.33", "192.0.2.3")]);
    let error = saved_on(FILE, "eth0", "srvc", Some(&other)).unwrap_err().to_string();
    assert!(error.contains("cluster.toml:19: the file has a member srvc"), "{error}");
}

#[test]
fn a_header_within_a_text_changes_nothing() {
    let odd = FILE.replace("# nothing below", "bypass = [\n'tcp/22',\n# [[\n]");
    let mut after = peer("srvb", &[("10.0.0.2", "203.0.113.9")]);
    after.bypass = ["tcp/22".parse().unwrap()].into();
    let edit = saved(&odd, "srvb", Some(&after));
    assert_eq!(edit.text, odd.replace("\"203.0.113.2\"", "\"203.0.113.9\""));
}
