//! Writes the text of a cluster file. With iptables, nft, vxlan and ipip, every host makes the same text, if the names
//! are the same and no host is behind a NAT. The other sources leave blanks, and each host fills in its own address.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use toml_edit::{Array, Value};

use super::draft::{Draft, DraftAddresses, DraftMember};
use super::{Source, Tunnel};

/// The mark of a value that the operator has to fill in.
pub const BLANK: &str = "FILL IN";

/// The text of the file for the members of `draft`. `origin` is the beginning of the first comment, a sentence. While
/// the tunnels stand, their packets are bypassed.
#[must_use]
pub fn text(draft: &Draft, source: Option<Source>, tunnels: &[Tunnel], origin: &str) -> String {
    let mut text = format!(
        "# {origin}\n\
         # Every host of the cluster has the same file.\n"
    );
    if source == Some(Source::Wireguard) {
        text.push_str("# rewrite does not encrypt: its packets travel in clear text.\n");
    }
    let ports: BTreeSet<u16> = tunnels.iter().flat_map(|tunnel| tunnel.ports.clone()).collect();
    if !ports.is_empty() {
        let rules: Array = ports.iter().map(|port| format!("udp/{port}")).collect();
        let _ = write!(
            text,
            "\n# The tunnel's own packets. Remove this line once the tunnel is gone.\nbypass = {rules}\n"
        );
    }
    for member in &draft.members {
        let _ = write!(text, "\n[[member]]\nname    = {}\n", quoted(member.name.as_str()));
        addresses(&mut text, member);
    }
    text
}

fn addresses(text: &mut String, member: &DraftMember) {
    let name = &member.name;
    let private = values(member, |addresses| addresses.private);
    line(text, "private", &private, &format!("the address that the software on {name} binds"));
    let public = values(member, |addresses| addresses.public);
    line(text, "public ", &public, &format!("the address at which the other members reach {name}"));
    if member.addresses.iter().any(|addresses| addresses.underlay.is_some()) {
        let underlay = values(member, |addresses| addresses.underlay.or(addresses.public));
        let why = format!("the address of the interface of {name}");
        let _ = writeln!(
            text,
            "# {name} seems to be behind a 1:1 NAT; otherwise this is its public address:"
        );
        line(text, "underlay", &underlay, &why);
    }
}

/// The addresses of one role; an unknown one is empty.
fn values(member: &DraftMember, of: impl Fn(&DraftAddresses) -> Option<IpAddr>) -> Vec<String> {
    let address = |addresses| of(addresses).map(|address| address.to_string()).unwrap_or_default();
    member.addresses.iter().map(address).collect()
}

fn line(text: &mut String, key: &str, values: &[String], meaning: &str) {
    let value = match values {
        [one] => quoted(one),
        several => several.iter().map(String::as_str).collect::<Array>().to_string(),
    };
    let is_blank = values.iter().any(String::is_empty);
    let comment = if is_blank { format!("   # {BLANK}: {meaning}") } else { String::new() };
    let _ = writeln!(text, "{key} = {value}{comment}");
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    fn member(name: &str, addresses: &[(&str, &str, &str)]) -> DraftMember {
        let address = |text: &str| text.parse().ok();
        let entry = |&(private, public, underlay): &(&str, &str, &str)| DraftAddresses {
            private: address(private),
            public: address(public),
            underlay: address(underlay),
        };
        DraftMember {
            name: name.parse().unwrap(),
            is_self: name == "srva",
            addresses: addresses.iter().map(entry).collect(),
        }
    }

    fn draft(members: Vec<DraftMember>) -> Draft {
        Draft { members, findings: Vec::new() }
    }

    #[test]
    fn the_loader_reads_the_text_back() {
        let both = [("10.0.0.1", "198.51.100.2", ""), ("fd00::1", "2001:db8:a::2", "")];
        let members = vec![
            member("srva", &both),
            member("srvb", &[("10.0.0.2", "203.0.113.2", "172.31.0.5")]),
        ];
        let tunnel = Tunnel { interface: "vx0".into(), ports: vec![4789], is_whole: true };
        let text = text(&draft(members), Some(Source::Vxlan), &[tunnel], "Imported.");
        assert_eq!(
            text,
            "\
# Imported.
# Every host of the cluster has the same file.

# The tunnel's own packets. Remove this line once the tunnel is gone.
bypass = [\"udp/4789\"]

[[member]]
name    = \"srva\"
private = [\"10.0.0.1\", \"fd00::1\"]
public  = [\"198.51.100.2\", \"2001:db8:a::2\"]

[[member]]
name    = \"srvb\"
private = \"10.0.0.2\"
public  = \"203.0.113.2\"
# srvb seems to be behind a 1:1 NAT; otherwise this is its public address:
underlay = \"172.31.0.5\"
"
        );
        config::parse(Path::new("cluster.toml"), &text).unwrap();
    }

    #[test]
    fn a_file_from_wireguard_says_that_rewrite_does_not_encrypt() {
        for (source, is_said) in [(Source::Wireguard, true), (Source::Vxlan, false)] {
            let text = text(&draft(Vec::new()), Some(source), &[], "Imported.");
            assert_eq!(text.contains("# rewrite does not encrypt"), is_said, "{text}");
        }
    }

    #[test]
    fn a_blank_is_refused_with_its_line() {
        let members = vec![
            member("srva", &[("10.0.0.1", "198.51.100.2", "")]),
            member("srvb", &[("10.0.0.2", "", "")]),
        ];
        let text = text(&draft(members), None, &[], "Imported.");
        let blank =
            "public  = \"\"   # FILL IN: the address at which the other members reach srvb\n";
        assert!(text.contains(blank), "{text}");
        let refused = config::parse(Path::new("cluster.toml"), &text).unwrap_err();
        let refused = format!("{refused:#}");
        assert!(refused.contains("cluster.toml:12: ") && refused.contains(BLANK), "{refused}");
    }
}
