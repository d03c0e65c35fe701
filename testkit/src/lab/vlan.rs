//! Joins the hosts by a VLAN on the interfaces that lead to the router. For the VLAN, the router acts as a switch.

use anyhow::{Context, Result};

use super::{A_PRIVATE, B_PRIVATE, Lab, PUBLIC_INTERFACE, ROUTER_A, ROUTER_B, add_address};

/// The hosts' VLAN interface.
pub const VLAN_INTERFACE: &str = "eth0.100";
/// The name of the switch's bridge, which carries untagged frames.
pub const VLAN_SWITCH: &str = "vlan-switch";
const ID: &str = "100";

impl Lab {
    /// Joins the hosts by a VLAN with their private addresses.
    ///
    /// # Errors
    /// When the kernel lacks the module 8021q, or the lab has a VLAN already.
    pub fn lay_vlan(&self) -> Result<()> {
        let Self { a, b, router, .. } = self;
        for (namespace, below) in
            [(a, PUBLIC_INTERFACE), (b, PUBLIC_INTERFACE), (router, ROUTER_A), (router, ROUTER_B)]
        {
            let vlan = format!("{below}.{ID}");
            namespace
                .run(&["ip", "link", "add", "link", below, "name", &vlan, "type", "vlan", "id", ID])
                .with_context(|| format!("add {vlan} in {}", namespace.name()))?;
            namespace.run(&["ip", "link", "set", &vlan, "addrgenmode", "none", "up"])?;
        }
        let add = ["ip", "link", "add", VLAN_SWITCH, "type", "bridge", "forward_delay", "0"];
        router.run(&add)?;
        router.run(&["ip", "link", "set", VLAN_SWITCH, "addrgenmode", "none", "up"])?;
        for filter in ["iptables", "ip6tables"].map(|of| format!("net.bridge.bridge-nf-call-{of}"))
        {
            if router.has_sysctl(&filter)? {
                router.sysctl(&filter, "0")?;
            }
        }
        for port in [ROUTER_A, ROUTER_B].map(|port| format!("{port}.{ID}")) {
            router.run(&["ip", "link", "set", &port, "master", VLAN_SWITCH])?;
        }
        for (host, address) in [(a, A_PRIVATE), (b, B_PRIVATE)] {
            // The interface's name contains a dot, so this sysctl's path needs slashes as separators.
            host.run(&["sysctl", "-w", &format!("net/ipv4/conf/{VLAN_INTERFACE}/rp_filter=0")])?;
            add_address(host, VLAN_INTERFACE, address.into())?;
        }
        Ok(())
    }
}
