//! The names of the pinned maps and programs: the same in the object, in the kernel and in bpffs.
//! None is longer than the 15 characters that the kernel keeps (`BPF_OBJ_NAME_LEN`).

/// [`crate::peers::PeerKey`] to [`crate::peers::Peer`], a hash.
pub const PEERS_V4: &str = "peers_v4";
/// Slot to [`crate::members::Member`], a hash.
pub const MEMBERS: &str = "members";
/// [`crate::attachment::Attachment`], an array of one.
pub const ATTACHMENT: &str = "attachment";
/// Slot to [`crate::counters::PeerCounters`], a per-CPU array.
pub const PEER_COUNTERS: &str = "peer_counters";
/// [`crate::outcome::Direction`] to [`crate::outcome::ReasonCounters`], a per-CPU array of two.
pub const REASON_COUNTERS: &str = "reason_counters";
/// [`crate::flows::Flow`] to [`crate::flows::FlowState`], a least-recently-used hash.
pub const FLOWS_V4: &str = "flows_v4";

/// The program on the way out.
pub const EGRESS_PROGRAM: &str = "rewrite_egress";
/// The program on the way in.
pub const INGRESS_PROGRAM: &str = "rewrite_ingress";

/// Entries of `peers_v4` where the loader does not ask for another size.
pub const PEERS_CAPACITY: usize = 1024;
/// Slots, for `members` and `peer_counters`, where the loader does not ask for another size.
pub const SLOTS_CAPACITY: usize = 512;
/// Flows with public addresses that are remembered at most.
pub const FLOWS_CAPACITY: usize = 16_384;
