//! Reads the settings that the loader wrote before it loaded the programs.

use crate::link::NO_VLAN;
use tunnel_common::settings::{ETHERNET_HEADER_LEN, Settings, VLAN_ANY, VLAN_NONE, VLAN_ONE};

/// The object's default settings, for a loader that writes none: Ethernet and both versions of IP.
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
    vlan: VLAN_NONE,
    reserved: 0,
    vlan_id: 0,
    guarded_v4: [0; 4],
    guarded_v6: [0; 16],
};

/// Reads a setting. The setting is a constant to the verifier, which removes all code that the setting switches off:
/// the settings are in a frozen map (Linux 5.5, kernel/bpf/verifier.c, bpf_map_direct_read, commit a23740ec43ba).
macro_rules! setting {
    ($field:ident) => {
        // SAFETY: the field is initialised, and no program writes to it. The read is volatile, since the loader has
        // replaced the value that the compiler sees.
        unsafe { core::ptr::read_volatile(&raw const SETTINGS.$field) }
    };
}

/// A word of a guarded address, as it stands in memory.
macro_rules! guarded {
    ($field:ident, $word:literal) => {
        // SAFETY: the field is initialised, the word `$word` is within the field, and the field is aligned for a u32.
        unsafe { (&raw const SETTINGS.$field).cast::<u32>().add($word).read_volatile() }
    };
}

/// Bytes before the network header, VLAN tags not counted.
#[inline(always)]
pub fn link_header_len() -> usize {
    usize::from(setting!(link_header_len))
}

/// True if the programs handle frames of this VLAN.
#[inline(always)]
pub fn handles(vlan: u32) -> bool {
    match setting!(vlan) {
        VLAN_ANY => true,
        VLAN_ONE => vlan == u32::from(setting!(vlan_id)),
        _ => vlan == NO_VLAN,
    }
}

/// True if the programs handle frames with tags.
#[inline(always)]
pub fn has_vlan() -> bool {
    setting!(link_header_len) == ETHERNET_HEADER_LEN && setting!(vlan) != VLAN_NONE
}

/// This host's guarded private IPv4 address, which no packet from outside may have; 0 if none is guarded.
#[inline(always)]
pub fn guarded_v4() -> [u32; 1] {
    [guarded!(guarded_v4, 0)]
}

/// This host's guarded private IPv6 address, which no packet from outside may have; 0 if none is guarded.
#[inline(always)]
pub fn guarded_v6() -> [u32; 4] {
    [
        guarded!(guarded_v6, 0),
        guarded!(guarded_v6, 1),
        guarded!(guarded_v6, 2),
        guarded!(guarded_v6, 3),
    ]
}

/// True if there are peers with IPv4 addresses.
#[inline(always)]
pub fn has_ipv4() -> bool {
    setting!(ipv4) == 1
}

/// True if there are peers with IPv6 addresses.
#[inline(always)]
pub fn has_ipv6() -> bool {
    setting!(ipv6) == 1
}

/// True if there are peers that are IPv4 prefixes.
#[inline(always)]
pub fn has_prefixes_v4() -> bool {
    setting!(prefixes_v4) == 1
}

/// True if there are peers that are IPv6 prefixes.
#[inline(always)]
pub fn has_prefixes_v6() -> bool {
    setting!(prefixes_v6) == 1
}

/// True if this host is a gateway: it is several members, or a prefix.
#[inline(always)]
pub fn is_gateway() -> bool {
    setting!(gateway) == 1
}

/// True if this host has an underlay address from before it moved.
#[inline(always)]
pub fn has_moved() -> bool {
    setting!(moved) == 1
}

/// True if there are bypass rules.
#[inline(always)]
pub fn has_bypass() -> bool {
    setting!(bypass) == 1
}
