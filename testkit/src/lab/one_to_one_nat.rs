//! Puts host B behind a cloud's 1:1 NAT, on the router.

use anyhow::Result;

use super::{Lab, PUBLIC_INTERFACE, ROUTER_B};

/// A stateless NAT, in both directions.
const NAT: &str = "
    table ip nat11 {
        chain in {
            type filter hook prerouting priority raw;
            ip daddr 203.0.113.2 ip daddr set 172.31.0.5
        }
        chain out {
            type filter hook postrouting priority srcnat;
            ip saddr 172.31.0.5 ip saddr set 203.0.113.2
        }
    }";

/// The address of B's interface that the NAT translates to and from B's public address.
pub const TRANSLATED: &str = "172.31.0.5";
/// The router's address in B's network.
const ROUTER: &str = "172.31.0.1";

impl Lab {
    /// Takes B's IPv4 addresses away, gives B the addresses [`TRANSLATED`] and `others` in 172.31.0.0/24, and starts the
    /// NAT.
    ///
    /// # Errors
    /// When a command fails.
    pub fn put_b_behind_nat(&self, others: &[&str]) -> Result<()> {
        for (host, interface, addresses) in [
            (&self.router, ROUTER_B, &[ROUTER][..]),
            (&self.b, PUBLIC_INTERFACE, &[&[TRANSLATED], others].concat()),
        ] {
            host.run(&["ip", "-4", "address", "flush", "dev", interface])?;
            for address in addresses {
                let address = format!("{address}/24");
                host.run(&["ip", "address", "add", &address, "dev", interface])?;
            }
        }
        self.b.run(&["ip", "route", "add", "default", "via", ROUTER])?;
        self.router.run(&["nft", NAT]).map(drop)
    }
}
