//! Defines ABI 2: the shapes of the previous version's maps.
//!
//! These shapes never change. A test compares them with the embedded object of ABI 2. Map values without a type in this
//! file have the types of this version.

use aya::Pod;
use aya::maps::MapType;
use tunnel_common::attachment::VERSION_LEN;
use tunnel_common::counters::Count;
use tunnel_common::maps;
use tunnel_common::members::NAME_LEN;
use tunnel_common::outcome::Reason;

/// The number of ABI 2.
pub const VERSION: u32 = 2;

/// The map that this version calls `local_members`.
pub const SELVES: &str = "selves";
/// The map that this version calls `local_v4`.
pub const SELVES_V4: &str = "selves_v4";
/// The map that this version calls `local_v6`.
pub const SELVES_V6: &str = "selves_v6";

/// Maps with the same shape in both versions: the name in ABI 2, and the name in ABI 3.
pub const SHARED: [(&str, &str); 7] = [
    (SELVES, maps::LOCAL_MEMBERS),
    (SELVES_V4, maps::LOCAL_V4),
    (SELVES_V6, maps::LOCAL_V6),
    (maps::MEMBERS, maps::MEMBERS),
    (maps::BYPASS, maps::BYPASS),
    (maps::FLOWS_V4, maps::FLOWS_V4),
    (maps::FLOWS_V6, maps::FLOWS_V6),
];

/// Maps with the same name in both versions, but with different shapes.
pub const CONVERTED: [&str; 7] = [
    maps::PEERS_V4,
    maps::PEERS_V6,
    maps::PREFIXES_V4,
    maps::PREFIXES_V6,
    maps::PEER_COUNTERS,
    maps::REASON_COUNTERS,
    maps::ATTACHMENT,
];

/// All maps of ABI 2: name, kind, and the sizes of the key and the value in bytes.
pub const SHAPES: [(&str, MapType, u32, u32); 14] = [
    (maps::PEERS_V4, MapType::Hash, 4, 32),
    (maps::PEERS_V6, MapType::Hash, 16, 80),
    (maps::PREFIXES_V4, MapType::LpmTrie, 8, 32),
    (maps::PREFIXES_V6, MapType::LpmTrie, 20, 80),
    (SELVES, MapType::Hash, 4, 132),
    (SELVES_V4, MapType::LpmTrie, 8, 16),
    (SELVES_V6, MapType::LpmTrie, 20, 52),
    (maps::MEMBERS, MapType::Hash, 4, 64),
    (maps::BYPASS, MapType::Hash, 8, 1),
    (maps::ATTACHMENT, MapType::Array, 4, 144),
    (maps::PEER_COUNTERS, MapType::PerCpuArray, 4, 32),
    (maps::REASON_COUNTERS, MapType::PerCpuArray, 4, 240),
    (maps::FLOWS_V4, MapType::LruHash, 16, 16),
    (maps::FLOWS_V6, MapType::LruHash, 40, 16),
];

/// The value of `peer_counters`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerCounters {
    /// The rewritten packets to the peer.
    pub egress: Count,
    /// The rewritten packets from the peer.
    pub ingress: Count,
}

/// The value of `peers_*` and `prefixes_*`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer<A> {
    /// The peer's private address.
    pub private: A,
    /// The peer's public address.
    pub public: A,
    /// This host's private address.
    pub self_private: A,
    /// This host's underlay address.
    pub self_underlay: A,
    /// The peer's slot.
    pub slot: u32,
    /// The role of the key among the peer's addresses.
    pub role: u8,
    /// The length of the key's prefix.
    pub length: u8,
    /// The field that this version calls `use_former_source`.
    pub unaware: u8,
    /// Always 0.
    pub reserved: u8,
    /// 1 if the ingress program accepts packets whose source is the peer's private address.
    pub direct: u8,
    /// The field that this version calls `replies_native`.
    pub plain: u8,
    /// 1 if the programs look up the peer's flows in `flows_*`.
    pub public_flows: u8,
    /// The rules of `bypass` to check: `BYPASS_CLUSTER`, `BYPASS_MEMBER`, their sum, or 0.
    pub bypass: u8,
    /// The field that this version calls `expires_at` for a former address, and `grace_until` for any other address.
    pub until: u32,
}

/// The settings of the programs.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes before the network header.
    pub link_header_len: u8,
    /// 1 if there are IPv4 peers.
    pub ipv4: u8,
    /// 1 if there are IPv6 peers.
    pub ipv6: u8,
    /// 1 if there are IPv4 prefixes.
    pub prefixes_v4: u8,
    /// 1 if there are IPv6 prefixes.
    pub prefixes_v6: u8,
    /// 1 if this host is a gateway.
    pub gateway: u8,
    /// 1 if there are bypass rules.
    pub bypass: u8,
    /// 1 if this host has moved.
    pub moved: u8,
}

/// The value of `attachment`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// [`VERSION`], or 0 after a killed attach.
    pub abi_version: u32,
    /// The interface's index.
    pub ifindex: u32,
    /// The time of the attach.
    pub attached_at: u64,
    /// The time of the last change.
    pub changed_at: u64,
    /// The settings of the programs.
    pub settings: Settings,
    /// The code of the tc hook.
    pub hook: u8,
    /// The code of the ingress program's hook.
    pub ingress: u8,
    /// 1 if attach added the clsact qdisc.
    pub clsact_added: u8,
    /// 1 if rewrite manages the routes.
    pub routes_managed: u8,
    /// 1 if attach set arp_announce.
    pub arp_announce_set: u8,
    /// The value of arp_announce before the attach.
    pub arp_announce_before: u8,
    /// 1 if the programs log.
    pub verbose: u8,
    /// Always 0.
    pub reserved: u8,
    /// The drain of peers, in seconds.
    pub drain: u32,
    /// Always 0.
    pub reserved_word: u32,
    /// The version of rewrite that attached.
    pub version: [u8; VERSION_LEN],
    /// The network's name.
    pub network: [u8; NAME_LEN],
}

/// The value of `reason_counters`: a count for each of [`REASONS`].
pub type ReasonCounters = [Count; REASONS.len()];

/// The reasons of ABI 2 in their order, by this version's names: unsettled-reset is now stray-reset.
pub const REASONS: [Reason; 15] = [
    Reason::ForeignSource,
    Reason::ForeignDestination,
    Reason::PublicFlow,
    Reason::Direct,
    Reason::Bypass,
    Reason::NeighborDiscovery,
    Reason::Shadowed,
    Reason::SourceRouted,
    Reason::TooManyHeaders,
    Reason::Spoofed,
    Reason::StrayReset,
    Reason::Truncated,
    Reason::Malformed,
    Reason::MalformedQuote,
    Reason::WriteFailed,
];

macro_rules! plain_old_data {
    ($($name:ty: $size:literal),+ $(,)?) => {$(
        // SAFETY: the type is repr(C) and consists of integers and integer arrays. Its size shows that it has no
        // padding, so each bit pattern is a value.
        unsafe impl Pod for $name {}
        const _: () = assert!(size_of::<$name>() == $size);
    )+};
}

plain_old_data!(Peer<[u8; 4]>: 32, Peer<[u8; 16]>: 80, Settings: 8, Attachment: 144, PeerCounters: 32);
const _: () = assert!(NAME_LEN == 64 && size_of::<ReasonCounters>() == 240);
