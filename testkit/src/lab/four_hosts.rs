//! Builds a lab of four hosts on two networks with a switch each. The second network has a larger MTU, like InfiniBand.
//!
//! ```text
//!   A, B, C, D  eth0 192.0.2.1 to .4    MTU 1500 ---- switch
//!   A, B, C, D  ib0  172.16.0.1 to .4   MTU 4000 ---- switch
//! ```

use std::net::Ipv4Addr;
use std::process;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};

use super::{LABS, Lab, PUBLIC_INTERFACE, add_address, join};
use crate::netns::Namespace;

/// The hosts' interface on the second network.
pub const SECOND_INTERFACE: &str = "ib0";

/// Each host's last address byte, and the last part of its namespace's name.
const HOSTS: [(u8, &str); 4] = [(1, "a"), (2, "b"), (3, "c"), (4, "d")];
/// Each network's interface on the hosts, its MTU, and its switch's namespace.
const NETWORKS: [(&str, &str, &str); 2] =
    [(PUBLIC_INTERFACE, "1500", "switch"), (SECOND_INTERFACE, "4000", "switch-ib")];

/// Four hosts and two switches, each a network namespace. Dropping the value deletes the namespaces.
#[derive(Debug)]
pub struct FourHosts {
    /// The hosts srva, srvb, srvc and srvd.
    pub hosts: [Namespace; 4],
    switches: [Namespace; 2],
}

impl FourHosts {
    /// The addresses of the hosts on the first network.
    pub const FIRST: [Ipv4Addr; 4] = numbered([192, 0, 2]);
    /// The addresses of the hosts on the second network.
    pub const SECOND: [Ipv4Addr; 4] = numbered([172, 16, 0]);
    /// The private addresses of the hosts, outside both networks.
    pub const PRIVATE: [Ipv4Addr; 4] = numbered([10, 0, 0]);
    /// The names of the hosts.
    pub const NAMES: [&str; 4] = ["srva", "srvb", "srvc", "srvd"];

    /// Builds the lab, after deleting the leftovers of killed runs.
    ///
    /// # Errors
    /// When a command fails. A failed call leaves nothing behind.
    pub fn new(prefix: &str) -> Result<Self> {
        Lab::sweep(prefix)?;
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}{}-{number}", process::id());
        let create = |role: &str| Namespace::create(&format!("{name}-{role}"));
        let [a, b, c, d] = HOSTS.map(|(_, role)| create(role));
        let [first, second] = NETWORKS.map(|(_, _, role)| create(role));
        let lab = Self { hosts: [a?, b?, c?, d?], switches: [first?, second?] };
        lab.build().context("build the lab")?;
        Ok(lab)
    }

    /// Sets or clears the hosts' carrier on the first network.
    ///
    /// # Errors
    /// When a command fails.
    pub fn set_first_network(&self, up: bool) -> Result<()> {
        let [first, _] = &self.switches;
        for (_, role) in HOSTS {
            let state = if up { "up" } else { "down" };
            first.run(&["ip", "link", "set", &port(role), state])?;
        }
        Ok(())
    }

    fn build(&self) -> Result<()> {
        let addresses = [Self::FIRST, Self::SECOND];
        for (((interface, mtu, _), switch), addresses) in
            NETWORKS.iter().zip(&self.switches).zip(addresses)
        {
            switch.run(&["ip", "link", "add", "bridge", "type", "bridge", "forward_delay", "0"])?;
            switch.run(&["ip", "link", "set", "bridge", "addrgenmode", "none", "up"])?;
            let filter = "net.bridge.bridge-nf-call-iptables";
            if switch.has_sysctl(filter)? {
                switch.sysctl(filter, "0")?;
            }
            for ((host, address), (_, role)) in self.hosts.iter().zip(addresses).zip(HOSTS) {
                let port = port(role);
                join(host, interface, switch, &port)?;
                switch.run(&["ip", "link", "set", &port, "mtu", mtu, "master", "bridge"])?;
                host.run(&["ip", "link", "set", interface, "mtu", mtu])?;
                add_address(host, interface, address.into())?;
            }
        }
        for host in &self.hosts {
            // Set the loose reverse path filter (2): packets may arrive on one network while their answers leave on the
            // other.
            for scope in ["all", PUBLIC_INTERFACE, SECOND_INTERFACE] {
                host.sysctl(&format!("net.ipv4.conf.{scope}.rp_filter"), "2")?;
            }
        }
        Ok(())
    }
}

/// The name of a switch's interface to a host.
fn port(role: &str) -> String {
    format!("port-{role}")
}

const fn numbered([a, b, c]: [u8; 3]) -> [Ipv4Addr; 4] {
    let mut addresses = [Ipv4Addr::UNSPECIFIED; 4];
    let mut host = 0;
    while host < addresses.len() {
        addresses[host] = Ipv4Addr::new(a, b, c, HOSTS[host].0);
        host += 1;
    }
    addresses
}
