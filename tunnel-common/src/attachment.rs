//! Defines the value of the map `attachment`: a record of the attachment and of the changes that `attach` made to the
//! host. Later commands read the record to undo the changes.

use crate::members::NAME_LEN;
use crate::settings::Settings;

/// Bytes of the version string, padded with zeros.
pub const VERSION_LEN: usize = 32;

/// The programs are attached through tcx links, which are pinned beside the maps.
pub const HOOK_TCX: u8 = 1;
/// The programs are attached as direct-action filters of a clsact qdisc.
pub const HOOK_CLSACT: u8 = 2;

/// The ingress program runs at tc, attached through tcx or clsact like the egress program.
pub const INGRESS_TC: u8 = 0;
/// The ingress program runs at XDP in the interface's driver, through a link that is pinned beside the maps.
pub const INGRESS_XDP: u8 = 1;
/// The ingress program runs at XDP in the kernel's generic path, also through a pinned link.
pub const INGRESS_XDP_GENERIC: u8 = 2;

/// The value of `attachment`, an array map with one element.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The [`crate::ABI_VERSION`] of the loader that made the pins. Always the first field.
    pub abi_version: u32,
    /// The interface's index at attach time. A new interface of the same name has a different index.
    pub ifindex: u32,
    /// The time of the first attach: seconds since the Unix epoch.
    pub attached_at: u64,
    /// The time of the last change by `attach`: seconds since the Unix epoch.
    pub changed_at: u64,
    /// The settings of the programs.
    pub settings: Settings,
    /// The hook: [`HOOK_TCX`] or [`HOOK_CLSACT`]; 0 while an attach is under way.
    pub hook: u8,
    /// The place of the ingress program: [`INGRESS_TC`], [`INGRESS_XDP`] or [`INGRESS_XDP_GENERIC`].
    pub ingress: u8,
    /// 1 if `attach` added the clsact qdisc.
    pub clsact_added: u8,
    /// 1 if `rewrite` manages the routes to the peers' private addresses.
    pub routes_managed: u8,
    /// 1 if `attach` set the interface's sysctl arp_announce.
    pub arp_announce_set: u8,
    /// The previous value of arp_announce.
    pub arp_announce_before: u8,
    /// 1 if the loaded programs log the peers' packets that they do not rewrite.
    pub verbose: u8,
    /// 1 if `attach` set the interface's sysctl arp_ignore.
    pub arp_ignore_set: u8,
    /// The drain time in seconds: for this long, the programs accept packets from a peer's former address.
    pub drain: u32,
    /// The previous value of arp_ignore.
    pub arp_ignore_before: u8,
    /// Always 0.
    pub reserved: [u8; 3],
    /// The version of `rewrite` that last changed this record: ASCII, padded with zeros.
    pub version: [u8; VERSION_LEN],
    /// The name of the interface's network in the file: ASCII, padded with zeros; all zeros if the file has no
    /// networks.
    pub network: [u8; NAME_LEN],
    /// The digest of the cluster's members with IPv4 addresses; all zeros if it is unknown.
    pub digest_v4: [u8; 8],
    /// The digest of the cluster's members with IPv6 addresses; all zeros if it is unknown.
    pub digest_v6: [u8; 8],
    /// The revision of the file; 0 if the file has none.
    pub revision: u32,
    /// Always 0.
    pub reserved_end: [u8; 4],
}

crate::plain_old_data!(Attachment);

const _: () = assert!(size_of::<Attachment>() == 128 + NAME_LEN);
