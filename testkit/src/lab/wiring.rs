//! Wires a lab: creates pairs of interfaces, and sets addresses, offloads and the MTU of a route.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;

use super::{LabOptions, network};
use crate::netns::Namespace;
use crate::wait::wait_until;

/// Joins two namespaces by a veth pair: both interfaces up, and without automatic IPv6 addresses.
///
/// # Errors
/// When one of the interfaces exists already.
pub fn join(near: &Namespace, interface: &str, far: &Namespace, far_interface: &str) -> Result<()> {
    near.run(&[
        "ip",
        "link",
        "add",
        interface,
        "type",
        "veth",
        "peer",
        "name",
        far_interface,
        "netns",
        far.name(),
    ])?;
    for (namespace, interface) in [(near, interface), (far, far_interface)] {
        namespace.run(&["ip", "link", "set", interface, "addrgenmode", "none", "up"])?;
    }
    Ok(())
}

/// Gives an interface an address of the lab, with the rest of its [`network`] on-link. For IPv6, the interface
/// also gets a link-local address: a host sends neighbour solicitations from that address when a packet's
/// source is not an address of the interface.
///
/// # Errors
/// When the interface has the address already.
pub fn add_address(namespace: &Namespace, interface: &str, address: IpAddr) -> Result<()> {
    let add = |address: String, options: &[&str]| {
        let words = [&["ip", "address", "add", &address, "dev", interface], options].concat();
        namespace.run(&words)
    };
    match address {
        IpAddr::V4(address) => {
            add(format!("{address}/24"), &[])?;
        }
        IpAddr::V6(address) => {
            // The lab has no router advertisements. Its addresses are unique, and need no duplicate address detection.
            namespace.sysctl(&format!("net.ipv6.conf.{interface}.accept_ra"), "0")?;
            let [.., host] = address.segments();
            add(format!("fe80::{host:x}/64"), &["nodad"])?;
            add(format!("{address}/64"), &["nodad"])?;
            // Wait for the address's local route, which the kernel adds asynchronously (addrconf_dad_work).
            let show = ["ip", "-6", "route", "show", "table", "local", "dev", interface];
            let wanted = format!("local {address} ");
            wait_until(&format!("{address} is in use"), Duration::from_secs(20), || {
                Ok(namespace.run(&show)?.contains(&wanted).then_some(()))
            })?;
        }
    }
    Ok(())
}

/// The option of `ip` for the address's family.
pub(super) const fn option(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "-4" } else { "-6" }
}

pub(super) fn set_offloads(
    namespace: &Namespace,
    interface: &str,
    options: &LabOptions,
) -> Result<()> {
    let state = |on: bool| if on { "on" } else { "off" };
    let checksum = state(options.checksum_offload);
    let segmentation = state(options.segmentation_offload);
    // TSO needs checksum offload: without it, ethtool refuses to turn TSO on.
    let tso = state(options.checksum_offload && options.segmentation_offload);
    namespace.run(&[
        "ethtool",
        "-K",
        interface,
        "tx",
        checksum,
        "tso",
        tso,
        "gso",
        segmentation,
        "gro",
        segmentation,
    ])?;
    Ok(())
}

/// Limits the MTU of the route to an interface's own network. The router then answers larger packets with ICMP errors,
/// but fragments IPv4 packets without DF. The interface itself still receives full-sized packets, which a smaller
/// interface MTU would not allow.
pub fn limit_route(router: &Namespace, port: &str, address: IpAddr, mtu: u32) -> Result<()> {
    let (network, address_text, mtu) = (network(address), address.to_string(), mtu.to_string());
    let mut words = vec!["ip", option(address), "route", "replace", &network, "dev", port];
    words.extend(["proto", "kernel"]);
    if address.is_ipv4() {
        words.extend(["scope", "link", "src", &address_text, "mtu", &mtu]);
    } else {
        // The kernel's own route has metric 256, so this route must have the same metric to replace it. IPv6 forwarding
        // respects a route's MTU only if the MTU is locked.
        words.extend(["metric", "256", "mtu", "lock", &mtu]);
    }
    router.run(&words)?;
    Ok(())
}
