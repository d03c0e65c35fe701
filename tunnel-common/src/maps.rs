//! Names the pinned maps and programs. The object, the kernel and bpffs use the same names. The kernel keeps 15
//! characters of each name (`BPF_OBJ_NAME_LEN`).

/// A hash from [`crate::peers::PeerKey`] to [`crate::peers::Peer`]: IPv4 addresses of peers that are not prefixes.
pub const PEERS_V4: &str = "peers_v4";
/// A hash from [`crate::peers::PeerKey`] to [`crate::peers::Peer`]: IPv6 addresses of peers that are not prefixes.
pub const PEERS_V6: &str = "peers_v6";
/// A longest-prefix-match trie from IPv4 prefixes to [`crate::peers::Peer`].
pub const PREFIXES_V4: &str = "prefixes_v4";
/// A longest-prefix-match trie from IPv6 prefixes to [`crate::peers::Peer`].
pub const PREFIXES_V6: &str = "prefixes_v6";
/// An array with the words of a Bloom filter of all addresses in `peers_v4` and `peers_v6`: see [`crate::peer_filter`].
pub const PEER_FILTER: &str = "peer_filter";
/// A hash from 0, 1 and so on to [`crate::local_members::LocalMember`].
pub const LOCAL_MEMBERS: &str = "local_members";
/// A longest-prefix-match trie from IPv4 prefixes to [`crate::local_members::LocalRange`].
pub const LOCAL_V4: &str = "local_v4";
/// A longest-prefix-match trie from IPv6 prefixes to [`crate::local_members::LocalRange`].
pub const LOCAL_V6: &str = "local_v6";
/// A hash from a peer's slot to [`crate::members::Member`].
pub const MEMBERS: &str = "members";
/// A hash from [`crate::bypass::BypassKey`] to 1.
pub const BYPASS: &str = "bypass";
/// An array of one [`crate::attachment::Attachment`].
pub const ATTACHMENT: &str = "attachment";
/// A per-CPU array of [`crate::counters::PeerCounters`], indexed by a peer's slot.
pub const PEER_COUNTERS: &str = "peer_counters";
/// A per-CPU array of two [`crate::outcome::ReasonCounters`], indexed by [`crate::outcome::Direction`].
pub const REASON_COUNTERS: &str = "reason_counters";
/// A least-recently-used hash from an IPv4 [`crate::flows::Flow`] to [`crate::flows::FlowState`].
pub const FLOWS_V4: &str = "flows_v4";
/// A least-recently-used hash from an IPv6 [`crate::flows::Flow`] to [`crate::flows::FlowState`].
pub const FLOWS_V6: &str = "flows_v6";

/// The egress program, at tc.
pub const EGRESS_PROGRAM: &str = "rewrite_egress";
/// The ingress program at tc.
pub const INGRESS_PROGRAM: &str = "rewrite_ingress";
/// The ingress program at XDP.
pub const XDP_PROGRAM: &str = "rewrite_xdp";

/// The default size of `peers_v4`, `peers_v6`, `prefixes_v4` and `prefixes_v6`, in entries. The loader can set a
/// different size.
pub const PEERS_CAPACITY: usize = 1024;
/// The default number of slots in `members` and `peer_counters`. The loader can set a different number.
pub const SLOTS_CAPACITY: usize = 512;
/// The maximum number of flows with public addresses that the programs store per family.
pub const FLOWS_CAPACITY: usize = 16_384;
/// The maximum number of local members on one host.
pub const LOCAL_MEMBERS_CAPACITY: usize = 1024;
/// The size of `local_v4` and `local_v6`: room for the private range, the underlay range and six former underlay ranges
/// of each local member.
pub const LOCAL_RANGES_CAPACITY: usize = 8 * LOCAL_MEMBERS_CAPACITY;
/// The default size of `bypass`, in rules. The loader can set a different size.
pub const BYPASS_CAPACITY: usize = 1024;
