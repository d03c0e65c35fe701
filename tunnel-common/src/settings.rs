//! What the loader sets in the programs before it loads them, so that the verifier removes all
//! that an interface or a cluster has no use for.

/// The name of the programs' constant.
pub const SETTINGS: &str = "SETTINGS";

/// Bytes before the network header on Ethernet; VLAN tags may follow.
pub const ETHERNET_HEADER_LEN: u8 = 14;
/// The same with IP over InfiniBand (Linux, include/linux/if_infiniband.h and
/// drivers/infiniband/ulp/ipoib/ipoib.h, IPOIB_HARD_LEN).
pub const INFINIBAND_HEADER_LEN: u8 = 24;

/// A constant of the programs, and part of the pinned record. Each of the switches is 0 or 1.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Bytes before the network header: [`ETHERNET_HEADER_LEN`], [`INFINIBAND_HEADER_LEN`], or 0 on
    /// interfaces without a link header.
    pub link_header_len: u8,
    /// There are peers with IPv4 addresses.
    pub ipv4: u8,
    /// There are peers with IPv6 addresses.
    pub ipv6: u8,
    /// There are peers that are IPv4 prefixes: `prefixes_v4` is looked into.
    pub prefixes_v4: u8,
    /// There are peers that are IPv6 prefixes: `prefixes_v6` is looked into.
    pub prefixes_v6: u8,
    /// This host is several members, or a prefix: `selves_v4` and `selves_v6` are looked into.
    pub gateway: u8,
    /// There are bypass rules.
    pub bypass: u8,
    /// This host has an underlay address from before it moved: `selves_v4` and `selves_v6` are looked
    /// into for packets to it.
    pub moved: u8,
}

crate::plain_old_data!(Settings);

const _: () = assert!(size_of::<Settings>() == 8);
