//! The names of the pinned maps and programs: the same in the object, in the kernel and in bpffs.
//! The kernel keeps 15 characters of each (`BPF_OBJ_NAME_LEN`).

/// [`crate::peers::PeerKey`] to [`crate::peers::Peer`], a hash: single IPv4 addresses.
pub const PEERS_V4: &str = "peers_v4";
/// [`crate::peers::PeerKey`] to [`crate::peers::Peer`], a hash: single IPv6 addresses.
pub const PEERS_V6: &str = "peers_v6";
/// Prefix to [`crate::peers::Peer`], a longest-prefix-match trie of IPv4.
pub const PREFIXES_V4: &str = "prefixes_v4";
/// Prefix to [`crate::peers::Peer`], a longest-prefix-match trie of IPv6.
pub const PREFIXES_V6: &str = "prefixes_v6";
/// Words of a Bloom filter of single addresses, an array: see [`crate::peer_filter`].
pub const PEER_FILTER: &str = "peer_filter";
/// 0, 1 and so on to [`crate::local_members::LocalMember`], a hash.
pub const LOCAL_MEMBERS: &str = "local_members";
/// Prefix to [`crate::local_members::LocalRange`], a longest-prefix-match trie of IPv4.
pub const LOCAL_V4: &str = "local_v4";
/// Prefix to [`crate::local_members::LocalRange`], a longest-prefix-match trie of IPv6.
pub const LOCAL_V6: &str = "local_v6";
/// Slot to [`crate::members::Member`], a hash.
pub const MEMBERS: &str = "members";
/// [`crate::bypass::BypassKey`] to 1, a hash.
pub const BYPASS: &str = "bypass";
/// [`crate::attachment::Attachment`], an array of one.
pub const ATTACHMENT: &str = "attachment";
/// Slot to [`crate::counters::PeerCounters`], a per-CPU array.
pub const PEER_COUNTERS: &str = "peer_counters";
/// [`crate::outcome::Direction`] to [`crate::outcome::ReasonCounters`], a per-CPU array of two.
pub const REASON_COUNTERS: &str = "reason_counters";
/// [`crate::flows::Flow`] to [`crate::flows::FlowState`], a least-recently-used hash of IPv4.
pub const FLOWS_V4: &str = "flows_v4";
/// [`crate::flows::Flow`] to [`crate::flows::FlowState`], a least-recently-used hash of IPv6.
pub const FLOWS_V6: &str = "flows_v6";

/// The program on the way out.
pub const EGRESS_PROGRAM: &str = "rewrite_egress";
/// The program on the way in, at tc.
pub const INGRESS_PROGRAM: &str = "rewrite_ingress";
/// The program on the way in, at XDP.
pub const XDP_PROGRAM: &str = "rewrite_xdp";

/// Entries of `peers_v4`, `peers_v6`, `prefixes_v4` and `prefixes_v6` where the loader does not ask
/// for another size.
pub const PEERS_CAPACITY: usize = 1024;
/// Slots, for `members` and `peer_counters`, where the loader does not ask for another size.
pub const SLOTS_CAPACITY: usize = 512;
/// The most flows with public addresses that the programs remember, per family.
pub const FLOWS_CAPACITY: usize = 16_384;
/// The most members that one host can be.
pub const LOCAL_MEMBERS_CAPACITY: usize = 1024;
/// Bypass rules where the loader does not ask for another size.
pub const BYPASS_CAPACITY: usize = 1024;
