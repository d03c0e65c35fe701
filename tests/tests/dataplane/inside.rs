//! Adds a host inside a site. The host has only private addresses, and a gateway in front of it.

use std::net::IpAddr;

use anyhow::Result;
use testkit::lab::{Lab, PUBLIC_INTERFACE, join};
use testkit::netns::Namespace;

/// The gateway's addresses on the links to the hosts behind it. All links have the same addresses.
const GATEWAY: &str = "169.254.0.1";
const GATEWAY_V6: &str = "fe80::1";

/// Adds a host with these private addresses behind `gateway`. The gateway's interface has the name of the role, and the
/// gateway forwards packets.
pub fn host_behind(
    lab: &Lab,
    gateway: &Namespace,
    role: &str,
    addresses: &[IpAddr],
) -> Result<Namespace> {
    let host = lab.add_host(role)?;
    join(&host, PUBLIC_INTERFACE, gateway, role)?;
    let interface = ["dev", PUBLIC_INTERFACE];
    gateway.run(&["ip", "address", "add", &format!("{GATEWAY}/32"), "dev", role])?;
    for (namespace, address, interface) in
        [(gateway, GATEWAY_V6, role), (&host, "fe80::2", PUBLIC_INTERFACE)]
    {
        let address = format!("{address}/64");
        namespace.run(&["ip", "address", "add", &address, "dev", interface, "nodad"])?;
        namespace.sysctl(&format!("net.ipv4.conf.{interface}.rp_filter"), "0")?;
    }
    for address in addresses {
        let length = if address.is_ipv4() { 32 } else { 128 };
        let single = format!("{address}/{length}");
        let nodad: &[&str] = if address.is_ipv4() { &[] } else { &["nodad"] };
        host.run(&[&["ip", "address", "add", &single], &interface[..], nodad].concat())?;
        gateway.run(&["ip", "route", "add", &single, "dev", role])?;
    }
    let onlink = ["ip", "route", "add", "default", "via", GATEWAY, "onlink"];
    host.run(&[&onlink[..], &interface[..]].concat())?;
    let v6 = ["ip", "-6", "route", "add", "default", "via", GATEWAY_V6];
    host.run(&[&v6[..], &interface[..]].concat())?;
    for family in ["ipv4", "ipv6"] {
        gateway.sysctl(&format!("net.{family}.conf.all.forwarding"), "1")?;
    }
    Ok(host)
}
