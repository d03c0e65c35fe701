//! Sets up the iptables trick with more peers: four rules and a route for each peer.

use std::net::IpAddr;

use anyhow::Result;
use testkit::iptables_trick::{self, Host};
use testkit::lab::{Lab, PUBLIC_INTERFACE};

use crate::end_to_end::iptables;
use crate::idle_peers::{IdlePeer, idle_peers};
use crate::text_file::TextFile;

/// Sets up the trick on both hosts. The rules for the lab's other host follow the rules for all idle peers.
pub fn set_up(lab: &Lab, peers: u32) -> Result<()> {
    for (host, own) in iptables::hosts(lab) {
        let file = TextFile::with(&rules(&own, peers))?;
        host.run(&["iptables-legacy-restore", "--noflush", "--wait", "10", file.word()?])?;
    }
    iptables::set_up(lab)?;
    for (host, own) in iptables::hosts(lab) {
        let file = TextFile::with(&routes(&own, peers))?;
        host.run(&["ip", "-batch", file.word()?])?;
    }
    Ok(())
}

/// The input of iptables-restore.
fn rules(own: &Host, peers: u32) -> String {
    let rules = idle_peers(peers).flat_map(|IdlePeer { private, public }| {
        let [private, public] = [private, public].map(IpAddr::V4);
        // The gateway is a placeholder: the rules do not contain it.
        iptables_trick::rules(own, &Host { private, public, gateway: public })
    });
    let lines: String = rules.map(|rule| format!("-A {rule}\n")).collect();
    format!("*nat\n{lines}COMMIT\n")
}

/// The input of `ip -batch`.
fn routes(own: &Host, peers: u32) -> String {
    let Host { private: src, gateway, .. } = own;
    let route = |IdlePeer { private, .. }| {
        format!("route add {private} via {gateway} dev {PUBLIC_INTERFACE} src {src}\n")
    };
    idle_peers(peers).map(route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Host {
        let address = |last| IpAddr::from([192, 0, 2, last]);
        Host { private: address(1), public: address(2), gateway: address(3) }
    }

    #[test]
    fn four_rules_for_each_other_peer() {
        let wanted = "\
*nat
-A OUTPUT -d 10.64.0.1 -j DNAT --to-destination 198.18.0.1
-A PREROUTING -s 198.18.0.1 -j DNAT --to-destination 192.0.2.1
-A INPUT -s 198.18.0.1 -j SNAT --to-source 10.64.0.1
-A POSTROUTING -s 192.0.2.1 -d 198.18.0.1 -j SNAT --to-source 192.0.2.2
COMMIT
";
        assert_eq!(rules(&own(), 2), wanted);
        assert_eq!(rules(&own(), 1), "*nat\nCOMMIT\n");
    }

    #[test]
    fn a_route_for_each_other_peer() {
        let wanted = "route add 10.64.0.1 via 192.0.2.3 dev eth0 src 192.0.2.1\n";
        assert_eq!(routes(&own(), 2), wanted);
    }
}
