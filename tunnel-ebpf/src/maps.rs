//! Declares the pinned maps, under the names of `tunnel_common::maps`. The counters are in [`count`](crate::count), and
//! the filter is in [`pinned_maps`](crate::pinned_maps).

use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, LruHashMap};
use aya_ebpf::macros::btf_map;
use tunnel_common::attachment::Attachment;
use tunnel_common::bypass::{BypassKey, BypassValue};
use tunnel_common::flows::{Flow, FlowState};
use tunnel_common::local_members::{LocalMember, LocalRange};
use tunnel_common::maps::{
    BYPASS_CAPACITY, FLOWS_CAPACITY, LOCAL_MEMBERS_CAPACITY, LOCAL_RANGES_CAPACITY, PEERS_CAPACITY,
    SLOTS_CAPACITY,
};
use tunnel_common::members::Member;
use tunnel_common::peers::{Peer, PeerKey};
use tunnel_ebpf::address::{Address as _, Words};
use tunnel_ebpf::family::{Family, Octets, V4, V6};

use crate::pinned_maps::{is_missed_v4, is_missed_v6};
use crate::settings::{
    guarded_v4, guarded_v6, has_ipv4, has_ipv6, has_prefixes_v4, has_prefixes_v6,
};

type A4 = [u8; 4];
type A6 = [u8; 16];

#[btf_map(name = "peers_v4")]
static PEERS_V4: HashMap<PeerKey<A4>, Peer<A4>, PEERS_CAPACITY> = HashMap::new();

#[btf_map(name = "peers_v6")]
static PEERS_V6: HashMap<PeerKey<A6>, Peer<A6>, PEERS_CAPACITY> = HashMap::new();

#[btf_map(name = "prefixes_v4")]
static PREFIXES_V4: LpmTrie<A4, Peer<A4>, PEERS_CAPACITY> = LpmTrie::new();

#[btf_map(name = "prefixes_v6")]
static PREFIXES_V6: LpmTrie<A6, Peer<A6>, PEERS_CAPACITY> = LpmTrie::new();

#[btf_map(name = "local_v4")]
static LOCAL_V4: LpmTrie<A4, LocalRange<A4>, LOCAL_RANGES_CAPACITY> = LpmTrie::new();

#[btf_map(name = "local_v6")]
static LOCAL_V6: LpmTrie<A6, LocalRange<A6>, LOCAL_RANGES_CAPACITY> = LpmTrie::new();

#[btf_map(name = "bypass")]
pub static BYPASS: HashMap<BypassKey, BypassValue, BYPASS_CAPACITY> = HashMap::new();

#[btf_map(name = "flows_v4")]
static FLOWS_V4: LruHashMap<Flow<A4>, FlowState, FLOWS_CAPACITY> = LruHashMap::new();

#[btf_map(name = "flows_v6")]
static FLOWS_V6: LruHashMap<Flow<A6>, FlowState, FLOWS_CAPACITY> = LruHashMap::new();

/// For the loader and for people: no program reads this map.
#[btf_map(name = "members")]
static MEMBERS: HashMap<u32, Member, SLOTS_CAPACITY> = HashMap::new();

/// The programs read only the first entry, for pings from strangers.
#[btf_map(name = "local_members")]
pub static LOCAL_MEMBERS: HashMap<u32, LocalMember, LOCAL_MEMBERS_CAPACITY> = HashMap::new();

/// The programs read this map only for stamps.
#[btf_map(name = "attachment")]
pub static ATTACHMENT: Array<Attachment, 1> = Array::new();

type Peers<A> = HashMap<PeerKey<A>, Peer<A>, PEERS_CAPACITY>;
type Prefixes<A> = LpmTrie<A, Peer<A>, PEERS_CAPACITY>;
type Local<A> = LpmTrie<A, LocalRange<A>, LOCAL_RANGES_CAPACITY>;
type Flows<A> = LruHashMap<Flow<A>, FlowState, FLOWS_CAPACITY>;

/// The maps of one version of IP.
pub trait FamilyMaps: Family {
    /// Peers that are not prefixes.
    const PEERS: &'static Peers<Octets<Self>>;
    /// Peers that are prefixes.
    const PREFIXES: &'static Prefixes<Octets<Self>>;
    /// This host's own ranges, on a gateway or on a host that has moved.
    const LOCAL: &'static Local<Octets<Self>>;
    /// Flows, with the action for their packets.
    const FLOWS: &'static Flows<Octets<Self>>;

    /// The result for an `address` that a lookup did not find, as 64-bit words: 1 if a new lookup in `PEERS` finds the
    /// address, and 0 otherwise. For most addresses without a peer, the filter alone gives the answer.
    fn is_missed(address: [u64; 2]) -> u64;

    /// True if there are peers with addresses of this version.
    fn is_used() -> bool;

    /// True if there are peers that are prefixes.
    fn has_prefixes() -> bool;

    /// This host's guarded private address; all zeros if none is guarded.
    fn guarded() -> Self::Address;

    /// The underlay address of a local member; all zeros if the member has none of this version.
    fn underlay(own: &LocalMember) -> Self::Address;

    /// The digest of the members with addresses of this version.
    fn digest(attachment: &Attachment) -> &[u8; 8];
}

impl FamilyMaps for V4 {
    const PEERS: &'static Peers<A4> = &PEERS_V4;
    const PREFIXES: &'static Prefixes<A4> = &PREFIXES_V4;
    const LOCAL: &'static Local<A4> = &LOCAL_V4;
    const FLOWS: &'static Flows<A4> = &FLOWS_V4;

    #[inline(always)]
    fn is_missed([first, _]: [u64; 2]) -> u64 {
        is_missed_v4(first)
    }

    #[inline(always)]
    fn is_used() -> bool {
        has_ipv4()
    }

    #[inline(always)]
    fn has_prefixes() -> bool {
        has_prefixes_v4()
    }

    #[inline(always)]
    fn guarded() -> Self::Address {
        Words(guarded_v4())
    }

    #[inline(always)]
    fn underlay(own: &LocalMember) -> Self::Address {
        Self::Address::from_octets(own.v4.underlay)
    }

    #[inline(always)]
    fn digest(attachment: &Attachment) -> &[u8; 8] {
        &attachment.digest_v4
    }
}

impl FamilyMaps for V6 {
    const PEERS: &'static Peers<A6> = &PEERS_V6;
    const PREFIXES: &'static Prefixes<A6> = &PREFIXES_V6;
    const LOCAL: &'static Local<A6> = &LOCAL_V6;
    const FLOWS: &'static Flows<A6> = &FLOWS_V6;

    #[inline(always)]
    fn is_missed([first, second]: [u64; 2]) -> u64 {
        is_missed_v6(first, second)
    }

    #[inline(always)]
    fn is_used() -> bool {
        has_ipv6()
    }

    #[inline(always)]
    fn has_prefixes() -> bool {
        has_prefixes_v6()
    }

    #[inline(always)]
    fn guarded() -> Self::Address {
        Words(guarded_v6())
    }

    #[inline(always)]
    fn underlay(own: &LocalMember) -> Self::Address {
        Self::Address::from_octets(own.v6.underlay)
    }

    #[inline(always)]
    fn digest(attachment: &Attachment) -> &[u8; 8] {
        &attachment.digest_v6
    }
}
