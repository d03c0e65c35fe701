//! Reads the sysctls for forwarding, for the reverse-path filter, and for disabling IPv6. Gateways need forwarding.

use std::fs;

use crate::model::Family;
use crate::model::text::interface_sysctl;

/// True if the kernel forwards packets that arrive on `interface`. IPv6 has one sysctl for all interfaces. A sysctl
/// that can't be read counts as on.
#[must_use]
pub fn forwards(family: Family, interface: &str) -> bool {
    let (path, _) = switch(family, interface);
    fs::read_to_string(path).map_or(true, |text| text.trim() != "0")
}

/// The name of the sysctl that enables forwarding.
#[must_use]
pub fn sysctl(family: Family, interface: &str) -> String {
    switch(family, interface).1
}

/// The path and the name of the sysctl for forwarding. For IPv6, only the value of `all` counts (Linux,
/// Documentation/networking/ip-sysctl.rst).
fn switch(family: Family, interface: &str) -> (String, String) {
    let name = match family {
        Family::Ipv4 => interface_sysctl("ipv4", interface, "forwarding"),
        Family::Ipv6 => interface_sysctl("ipv6", "all", "forwarding"),
    };
    let path = match family {
        Family::Ipv4 => format!("/proc/sys/net/ipv4/conf/{interface}/forwarding"),
        Family::Ipv6 => "/proc/sys/net/ipv6/conf/all/forwarding".to_owned(),
    };
    (path, name)
}

/// True if the kernel drops an IPv4 packet on `interface` when the route to the packet's source leads through another
/// interface. The larger of the interface's and `all`'s values applies (Documentation/networking/ip-sysctl.rst,
/// rp_filter).
#[must_use]
pub fn strict_reverse_path(interface: &str) -> bool {
    let value = |name: &str| {
        fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"))
            .ok()
            .and_then(|text| text.trim().parse::<u8>().ok())
            .unwrap_or(0)
    };
    value("all").max(value(interface)) == 1
}

/// True if IPv6 is disabled on `interface`, or the sysctl can't be read.
#[must_use]
pub fn ipv6_disabled(interface: &str) -> bool {
    fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"))
        .map_or(true, |text| text.trim() == "1")
}
