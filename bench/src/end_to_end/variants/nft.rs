//! Rewrites both addresses of a packet with stateless nft rules. This is the cheapest setup with nft, because it does
//! not use conntrack.

use std::net::Ipv4Addr;

use anyhow::Result;
use testkit::lab::Lab;

use super::{Endpoints, sides};

/// Adds one rule for each direction on each host.
pub fn set_up(lab: &Lab) -> Result<Endpoints> {
    for side in sides(lab) {
        side.add_private()?;
        let own = AddressPair { private: side.private, public: side.public };
        let peer = AddressPair { private: side.peer_private, public: side.peer_public };
        side.host.run(&["nft", &rules(&own, &peer)])?;
    }
    Ok(Endpoints::private())
}

/// A host's private and public address.
struct AddressPair {
    private: Ipv4Addr,
    public: Ipv4Addr,
}

fn rules(own: &AddressPair, peer: &AddressPair) -> String {
    let AddressPair { private, public } = own;
    let AddressPair { private: peer_private, public: peer_public } = peer;
    format!(
        "\
table ip stateless {{
  chain leaving {{
    type filter hook output priority raw; policy accept;
    ip saddr {private} ip daddr {peer_private} notrack ip saddr set {public} ip daddr set {peer_public}
  }}
  chain arriving {{
    type filter hook prerouting priority raw; policy accept;
    ip saddr {peer_public} ip daddr {public} notrack ip saddr set {peer_private} ip daddr set {private}
  }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_becomes_public_and_what_arrives_private() {
        let pair = |private, public| AddressPair {
            private: Ipv4Addr::from([10, 0, 0, private]),
            public: Ipv4Addr::from([192, 0, 2, public]),
        };
        let rules = rules(&pair(1, 11), &pair(2, 12));
        let has = |rule: &str| assert!(rules.contains(rule), "{rule} is missing in {rules}");
        has(
            "ip saddr 10.0.0.1 ip daddr 10.0.0.2 notrack ip saddr set 192.0.2.11 ip daddr set 192.0.2.12",
        );
        has(
            "ip saddr 192.0.2.12 ip daddr 192.0.2.11 notrack ip saddr set 10.0.0.2 ip daddr set 10.0.0.1",
        );
    }
}
