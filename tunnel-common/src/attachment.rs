//! `attachment`: one record that says what is attached and what `attach` brought to the host, so
//! that any later command can tell and can take it away again.

use crate::members::NAME_LEN;
use crate::settings::Settings;

/// Bytes of the version string, padded with zeros.
pub const VERSION_LEN: usize = 32;

/// Attached through tcx links, pinned beside the maps.
pub const HOOK_TCX: u8 = 1;
/// Attached as direct-action filters of a clsact qdisc.
pub const HOOK_CLSACT: u8 = 2;

/// Ingress by tc, at the same hook as egress.
pub const INGRESS_TC: u8 = 0;
/// Ingress by XDP in the interface's driver, through a link that is pinned beside the maps.
pub const INGRESS_XDP: u8 = 1;
/// Ingress by XDP in the kernel's generic path, through a pinned link as well.
pub const INGRESS_XDP_GENERIC: u8 = 2;

/// The value of `attachment`, an array of one.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// [`crate::ABI_VERSION`] of the loader that made the pins. Stays the first field for ever.
    pub abi_version: u32,
    /// The interface's index when it was attached: a new interface of the same name has another.
    pub ifindex: u32,
    /// When it was first attached: seconds since the Unix epoch.
    pub attached_at: u64,
    /// When `attach` last changed it: seconds since the Unix epoch.
    pub changed_at: u64,
    /// The settings of the programs.
    pub settings: Settings,
    /// [`HOOK_TCX`] or [`HOOK_CLSACT`]; 0 while an attach is under way.
    pub hook: u8,
    /// [`INGRESS_TC`], [`INGRESS_XDP`] or [`INGRESS_XDP_GENERIC`].
    pub ingress: u8,
    /// 1 if `attach` added the clsact qdisc.
    pub clsact_added: u8,
    /// 1 if routes to the peers' private addresses are ours to keep.
    pub routes_managed: u8,
    /// 1 if `attach` set the interface's sysctl arp_announce.
    pub arp_announce_set: u8,
    /// Its value before.
    pub arp_announce_before: u8,
    /// 1 if the programs were loaded such that they log what they do not rewrite.
    pub verbose: u8,
    /// 1 if `attach` set the interface's sysctl arp_ignore.
    pub arp_ignore_set: u8,
    /// The seconds for which packets from a peer's former address are accepted.
    pub drain: u32,
    /// The value of arp_ignore before.
    pub arp_ignore_before: u8,
    /// Always 0.
    pub reserved: [u8; 3],
    /// The version of `rewrite` that last changed it: ASCII, padded with zeros.
    pub version: [u8; VERSION_LEN],
    /// The network of the file that the interface is on: ASCII, padded with zeros; all zeros where the
    /// file has none.
    pub network: [u8; NAME_LEN],
}

crate::plain_old_data!(Attachment);

const _: () = assert!(size_of::<Attachment>() == 104 + NAME_LEN);
