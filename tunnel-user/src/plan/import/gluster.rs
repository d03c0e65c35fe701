//! Reads the peers of a GlusterFS cluster: the files of /var/lib/glusterd/peers, or the output of `gluster peer status
//! --xml`. GlusterFS knows no public addresses.

use std::net::IpAddr;

use roxmltree::{Document, Node};

use super::{Finding, Found, FoundHost};

/// The folder with a file for each peer.
pub const PEERS: &str = "/var/lib/glusterd/peers";

/// The peers in the files, each a name and a text with lines such as `hostname1=10.0.0.2`.
#[must_use]
pub fn found(files: &[(String, String)]) -> Found {
    let mut found = Found::default();
    for (file, text) in files {
        let lines = (1..).zip(text.lines());
        let hostnames: Vec<_> = lines
            .filter_map(|(number, line)| {
                let (key, value) = line.split_once('=')?;
                key.trim().starts_with("hostname").then(|| (number, value.trim()))
            })
            .collect();
        if hostnames.is_empty() {
            let why = "the file has no line hostname1=ADDRESS";
            found.findings.push(Finding::not_understood(file.as_str(), "", why));
        }
        for (number, hostname) in hostnames {
            add(&mut found, hostname, || format!("{file} line {number}"));
        }
    }
    found
}

/// The peers in the output of `gluster peer status --xml`.
///
/// # Errors
/// If the text is not that output.
pub fn found_in_status(xml: &str) -> Result<Found, String> {
    let document = Document::parse(xml).map_err(|error| format!("it is not XML: {error}"))?;
    let status = named(document.root_element(), "peerStatus").next();
    let status = status.ok_or("it has no element peerStatus")?;
    let mut found = Found::default();
    for peer in named(status, "peer") {
        // The list `hostnames` repeats the element `hostname`, and can have more names of the peer.
        let mut hostnames: Vec<Node<'_, '_>> = named(peer, "hostname").collect();
        hostnames.dedup_by_key(|node| node.text());
        for hostname in hostnames {
            let line = document.text_pos_at(hostname.range().start).row;
            let text = hostname.text().unwrap_or_default().trim();
            add(&mut found, text, || format!("peer status line {line}"));
        }
    }
    Ok(found)
}

fn named<'a, 'input>(
    node: Node<'a, 'input>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    node.descendants().filter(move |node| node.has_tag_name(name))
}

fn add(found: &mut Found, hostname: &str, place: impl FnOnce() -> String) {
    match hostname.parse::<IpAddr>() {
        Ok(private) if found.hosts.iter().any(|host| host.private == private) => {}
        Ok(private) => {
            found.hosts.push(FoundHost { name: None, is_self: false, private, public: None });
        }
        Err(_) => found.findings.push(Finding::not_understood(
            place(),
            hostname,
            "the peer is known by a name, and rewrite needs its private address: write it into the file",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(found: &Found) -> Vec<String> {
        found.hosts.iter().map(|host| host.private.to_string()).collect()
    }

    #[test]
    fn the_files_of_the_peers_have_their_private_addresses() {
        let file =
            |uuid: &str, rest: &str| (uuid.to_owned(), format!("uuid={uuid}\nstate=3\n{rest}"));
        let found = found(&[
            file("0f2c0d2e-6f0e-4a77-9a0b-6a3d8c1a9b01", "hostname1=10.0.0.2\n"),
            file("5d1e", "hostname1=srvc.example\nhostname2=10.0.0.3\n"),
            file("7777", ""),
        ]);
        assert_eq!(addresses(&found), ["10.0.0.2", "10.0.0.3"]);
        let places: Vec<_> =
            found.findings.iter().map(|f| (f.place.as_str(), f.text.as_str())).collect();
        assert_eq!(places, [("5d1e line 3", "srvc.example"), ("7777", "")]);
    }

    const STATUS: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<cliOutput>
  <opRet>0</opRet>
  <opErrno>0</opErrno>
  <opErrstr/>
  <peerStatus>
    <peer>
      <uuid>0f2c0d2e-6f0e-4a77-9a0b-6a3d8c1a9b01</uuid>
      <hostname>10.0.0.2</hostname>
      <hostnames>
        <hostname>10.0.0.2</hostname>
      </hostnames>
      <connected>1</connected>
      <state>3</state>
      <stateStr>Peer in Cluster</stateStr>
    </peer>
    <peer><hostname>srvc</hostname></peer>
  </peerStatus>
</cliOutput>
"#;

    #[test]
    fn the_status_has_each_peer_once() {
        let found = found_in_status(STATUS).unwrap();
        assert_eq!(addresses(&found), ["10.0.0.2"]);
        assert_eq!(found.findings[0].place, "peer status line 17");
    }

    #[test]
    fn another_text_is_no_status() {
        assert!(found_in_status("Number of Peers: 1").unwrap_err().contains("not XML"));
        assert!(found_in_status("<cliOutput/>").unwrap_err().contains("peerStatus"));
    }
}
