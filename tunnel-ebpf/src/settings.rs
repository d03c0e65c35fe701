//! What the loader has set before it loaded the programs.

use tunnel_common::settings::{ETHERNET_HEADER_LEN, Settings};

/// The values that stand in the object, for who loads it without setting them: Ethernet and both
/// versions of IP.
#[unsafe(no_mangle)]
static SETTINGS: Settings = Settings {
    link_header_len: ETHERNET_HEADER_LEN,
    ipv4: 1,
    ipv6: 1,
    prefixes_v4: 1,
    prefixes_v6: 1,
    gateway: 0,
    bypass: 1,
    moved: 0,
};

/// A constant to the verifier, which removes what depends on a switch that is off: it is in a frozen
/// map (Linux 5.5, kernel/bpf/verifier.c, bpf_map_direct_read, commit a23740ec43ba).
macro_rules! setting {
    ($field:ident) => {
        // SAFETY: it is initialised and never written to by a program. Volatile, since the loader
        // has replaced the value that the compiler sees.
        unsafe { core::ptr::read_volatile(&raw const SETTINGS.$field) }
    };
}

/// Bytes before the network header, VLAN tags not counted.
#[inline(always)]
pub fn link_header_len() -> usize {
    usize::from(setting!(link_header_len))
}

/// Whether frames may have VLAN tags.
#[inline(always)]
pub fn is_ethernet() -> bool {
    setting!(link_header_len) == ETHERNET_HEADER_LEN
}

/// Whether there are peers with IPv4 addresses.
#[inline(always)]
pub fn has_ipv4() -> bool {
    setting!(ipv4) == 1
}

/// Whether there are peers with IPv6 addresses.
#[inline(always)]
pub fn has_ipv6() -> bool {
    setting!(ipv6) == 1
}

/// Whether there are peers that are IPv4 prefixes.
#[inline(always)]
pub fn has_prefixes_v4() -> bool {
    setting!(prefixes_v4) == 1
}

/// Whether there are peers that are IPv6 prefixes.
#[inline(always)]
pub fn has_prefixes_v6() -> bool {
    setting!(prefixes_v6) == 1
}

/// Whether this host is several members, or a prefix.
#[inline(always)]
pub fn is_gateway() -> bool {
    setting!(gateway) == 1
}

/// Whether this host has an underlay address from before it moved.
#[inline(always)]
pub fn has_moved() -> bool {
    setting!(moved) == 1
}

/// Whether there are bypass rules.
#[inline(always)]
pub fn has_bypass() -> bool {
    setting!(bypass) == 1
}
