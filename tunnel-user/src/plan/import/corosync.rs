//! Reads the node list of corosync.conf(5). The addresses of the first ring are private addresses; corosync knows no
//! public addresses.

use std::net::IpAddr;

use super::{Finding, Found, FoundHost};

/// The path of the file.
pub const PATH: &str = "/etc/corosync/corosync.conf";

/// The nodes of the list. Names each address that the import leaves out.
#[must_use]
pub fn found(text: &str) -> Found {
    let mut found = Found::default();
    let mut sections: Vec<&str> = Vec::new();
    let mut node = Node::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_suffix('{') {
            sections.push(name.trim());
            node = Node::default();
        } else if line == "}" {
            if sections == ["nodelist", "node"] {
                std::mem::take(&mut node).add_to(&mut found);
            }
            sections.pop();
        } else if sections == ["nodelist", "node"] {
            let Some((key, value)) = line.split_once(':') else { continue };
            match (key.trim(), value.trim()) {
                ("ring0_addr", value) => node.address = Some((number, value.to_owned())),
                ("name", value) => node.name = Some(value.to_owned()),
                (key, value) if key.starts_with("ring") && key.ends_with("_addr") => {
                    found.findings.push(Finding::not_understood(
                        format!("corosync.conf line {number}"),
                        format!("{key}: {value}"),
                        "a member has one private address of a family, the one of ring0",
                    ));
                }
                _ => {}
            }
        }
    }
    found
}

#[derive(Default)]
struct Node {
    name: Option<String>,
    address: Option<(usize, String)>,
}

impl Node {
    fn add_to(self, found: &mut Found) {
        let Some((number, address)) = self.address else { return };
        match address.parse::<IpAddr>() {
            Ok(private) => found.hosts.push(FoundHost {
                name: self.name,
                is_self: false,
                private,
                public: None,
            }),
            Err(_) => found.findings.push(Finding::not_understood(
                format!("corosync.conf line {number}"),
                format!("ring0_addr: {address}"),
                "the node is known by a name, and rewrite needs its private address: write it into the file",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# a comment {
totem {
    version: 2
    interface {
        bindnetaddr: 10.0.0.0
    }
}
nodelist {
    node {
        ring0_addr: 10.0.0.1
        name: srva
        nodeid: 1
    }
    node {
        name: srvb
        ring0_addr: 10.0.0.2
        ring1_addr: 192.168.7.2
    }
    node {
        ring0_addr: srvc
    }
}
quorum {
    provider: corosync_votequorum
}
";

    #[test]
    fn the_nodes_have_the_address_of_their_first_ring() {
        let found = found(TEXT);
        let hosts: Vec<_> = found
            .hosts
            .iter()
            .map(|host| format!("{} {}", host.private, host.name.as_deref().unwrap_or_default()))
            .collect();
        assert_eq!(hosts, ["10.0.0.1 srva", "10.0.0.2 srvb"]);
        let places: Vec<_> =
            found.findings.iter().map(|f| format!("{}: {}", f.place, f.text)).collect();
        assert_eq!(
            places,
            [
                "corosync.conf line 17: ring1_addr: 192.168.7.2",
                "corosync.conf line 20: ring0_addr: srvc",
            ]
        );
    }

    #[test]
    fn a_file_without_a_node_list_has_no_hosts() {
        assert_eq!(found("totem {\n}\n}\n}\nring0_addr: 10.0.0.1\n"), Found::default());
    }
}
