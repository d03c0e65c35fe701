//! The kernel's forwarding, which a gateway needs, and its filter by reverse path.

use std::fs;

use crate::model::Family;
use crate::model::text::interface_sysctl;

/// True if the kernel forwards packets that come in on `interface`. IPv6 has one switch for all interfaces; a
/// sysctl that can't be read counts as on.
#[must_use]
pub fn forwards(family: Family, interface: &str) -> bool {
    let (path, _) = switch(family, interface);
    fs::read_to_string(path).map_or(true, |text| text.trim() != "0")
}

/// The sysctl that switches forwarding on.
#[must_use]
pub fn sysctl(family: Family, interface: &str) -> String {
    switch(family, interface).1
}

/// Linux, Documentation/networking/ip-sysctl.rst: for IPv6, `all` alone decides.
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

/// True if the kernel drops packets on `interface` if the way back to their source leads elsewhere (IPv4 alone;
/// Documentation/networking/ip-sysctl.rst, rp_filter: the larger of the interface's and `all`'s counts).
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

/// True if IPv6 is switched off on `interface`.
#[must_use]
pub fn ipv6_disabled(interface: &str) -> bool {
    fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"))
        .map_or(true, |text| text.trim() == "1")
}
