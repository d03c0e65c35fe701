//! Fills the maps with a cluster, and reads them back.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use aya::maps::lpm_trie::{Key as PrefixKey, LpmTrie};
use aya::maps::{Array, HashMap as BpfHashMap, Map, PerCpuArray};
use aya::{Ebpf, Pod};
use tunnel_common::attachment::{Attachment, VERSION_LEN};
use tunnel_common::bypass::{BypassKey, CLUSTER};
use tunnel_common::counters::{Count, PeerCounters};
use tunnel_common::flows::{BYPASSED, DATAGRAM, FROM_UNDERLAY, Flow, FlowState, LEFT_ALONE};
use tunnel_common::local_members::{
    LOCAL_FORMER, LOCAL_PRIVATE, LOCAL_UNDERLAY, LocalAddresses, LocalMember, LocalRange,
};
use tunnel_common::maps;
use tunnel_common::members::NAME_LEN;
use tunnel_common::outcome::{Direction, Reason, ReasonCounters};
use tunnel_common::peers::{
    self, BYPASS_CLUSTER, BYPASS_MEMBER, Peer as PeerValue, PeerKey, ROLE_FORMER, ROLE_PRIVATE,
    ROLE_PUBLIC,
};
use tunnel_common::settings::{
    ETHERNET_HEADER_LEN, INFINIBAND_HEADER_LEN, Settings, VLAN_ANY, VLAN_NONE,
};

use crate::cluster::{Cluster, Entry, Link, Pair, Range, Role};
use crate::counts::{Counter, Counts};
use crate::model::{FlowAction, Key, Marks, Memory};

/// The settings that the loader would write into the programs.
pub fn settings(cluster: &Cluster) -> Settings {
    let any =
        |test: fn(&Range) -> bool| u8::from(cluster.entries().any(|entry| test(&entry.range)));
    Settings {
        link_header_len: match cluster.link {
            Link::Ethernet => ETHERNET_HEADER_LEN,
            Link::InfiniBand => INFINIBAND_HEADER_LEN,
        },
        ipv4: any(|range| range.first.is_ipv4()),
        ipv6: any(|range| range.first.is_ipv6()),
        prefixes_v4: any(|range| range.first.is_ipv4() && !range.is_single()),
        prefixes_v6: any(|range| range.first.is_ipv6() && !range.is_single()),
        gateway: u8::from(cluster.is_gateway),
        bypass: u8::from(cluster.peers.iter().any(|peer| cluster.has_bypass(peer))),
        moved: u8::from(cluster.has_moved()),
        vlan: if cluster.handles_tags { VLAN_ANY } else { VLAN_NONE },
        reserved: 0,
        vlan_id: 0,
        guarded_v4: cluster.guarded().find_map(octets).unwrap_or_default(),
        guarded_v6: cluster.guarded().find_map(octets).unwrap_or_default(),
    }
}

/// The maps of one family.
#[derive(Clone, Copy)]
struct Names {
    peers: &'static str,
    prefixes: &'static str,
    local: &'static str,
    flows: &'static str,
}

const V4: Names = Names {
    peers: maps::PEERS_V4,
    prefixes: maps::PREFIXES_V4,
    local: maps::LOCAL_V4,
    flows: maps::FLOWS_V4,
};
const V6: Names = Names {
    peers: maps::PEERS_V6,
    prefixes: maps::PREFIXES_V6,
    local: maps::LOCAL_V6,
    flows: maps::FLOWS_V6,
};

/// Replaces the content of the maps with `cluster`. The programs' memory is empty afterwards.
pub fn fill(ebpf: &mut Ebpf, cluster: &Cluster) -> Result<()> {
    fill_family::<4>(ebpf, V4, cluster)?;
    fill_family::<16>(ebpf, V6, cluster)?;
    let mut attachment: Array<_, Attachment> = map_mut(ebpf, maps::ATTACHMENT)?.try_into()?;
    attachment.set(0, record(), 0)?;
    let mut members: BpfHashMap<_, u32, LocalMember> =
        map_mut(ebpf, maps::LOCAL_MEMBERS)?.try_into()?;
    members.insert(0, first_member(cluster), 0)?;
    let mut bypass: BpfHashMap<_, BypassKey, u8> = map_mut(ebpf, maps::BYPASS)?.try_into()?;
    for key in bypass.keys().collect::<Result<Vec<_>, _>>()? {
        bypass.remove(&key)?;
    }
    let of_peers =
        cluster.peers.iter().flat_map(|peer| peer.bypass.iter().map(|rule| (peer.slot, *rule)));
    let of_all = cluster.bypass.iter().map(|rule| (CLUSTER, *rule));
    for (slot, (protocol, port)) in of_peers.chain(of_all) {
        let key = BypassKey { slot, protocol, reserved: 0, port: port.to_be_bytes() };
        bypass.insert(key, 1, 0)?;
    }
    Ok(())
}

/// The record of the attachment, with a distinct value in each part that the programs read.
pub fn record() -> Attachment {
    let mut version = [0; VERSION_LEN];
    version[..20].copy_from_slice(b"98.76.54-the-version");
    Attachment {
        abi_version: 0x0102_0304,
        ifindex: 0,
        attached_at: 0,
        changed_at: 0,
        settings: Settings::default(),
        hook: 0,
        ingress: 0,
        clsact_added: 0,
        routes_managed: 0,
        arp_announce_set: 0,
        arp_announce_before: 0,
        verbose: 0,
        arp_ignore_set: 0,
        drain: 0,
        arp_ignore_before: 0,
        reserved: [0; 3],
        version,
        network: [0; NAME_LEN],
        digest_v4: [0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47],
        digest_v6: [0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67],
        revision: 0x0a0b_0c0d,
        reserved_end: [0; 4],
    }
}

/// The record of the host's only member. The record matters only on a host that is not a gateway.
fn first_member(cluster: &Cluster) -> LocalMember {
    let mut member = LocalMember {
        name: [0; NAME_LEN],
        v4: LocalAddresses::default(),
        v6: LocalAddresses::default(),
    };
    for own in &cluster.local {
        if let Some(underlay) = octets(own.underlay.first) {
            member.v4.underlay = underlay;
        }
        if let Some(underlay) = octets(own.underlay.first) {
            member.v6.underlay = underlay;
        }
    }
    member
}

fn fill_family<const N: usize>(ebpf: &mut Ebpf, names: Names, cluster: &Cluster) -> Result<()>
where
    [u8; N]: Pod,
    PeerKey<[u8; N]>: Pod,
    PeerValue<[u8; N]>: Pod,
    LocalRange<[u8; N]>: Pod,
    Flow<[u8; N]>: Pod,
{
    let of_family = |range: &Range| octets::<N>(range.first).is_some();
    let mut peers: BpfHashMap<_, PeerKey<[u8; N]>, PeerValue<[u8; N]>> =
        map_mut(ebpf, names.peers)?.try_into()?;
    for key in peers.keys().collect::<Result<Vec<_>, _>>()? {
        peers.remove(&key)?;
    }
    let entries = || cluster.entries().filter(|entry| of_family(&entry.range));
    for entry in entries().filter(|entry| entry.range.is_single()) {
        peers.insert(
            PeerKey { address: required(entry.range.first)? },
            value(cluster, &entry)?,
            0,
        )?;
    }
    let mut prefixes: LpmTrie<_, [u8; N], PeerValue<[u8; N]>> =
        map_mut(ebpf, names.prefixes)?.try_into()?;
    for key in prefixes.keys().collect::<Result<Vec<_>, _>>()? {
        prefixes.remove(&key)?;
    }
    for entry in entries().filter(|entry| !entry.range.is_single()) {
        prefixes.insert(&prefix_key(entry.range)?, value(cluster, &entry)?, 0)?;
    }
    let mut local: LpmTrie<_, [u8; N], LocalRange<[u8; N]>> =
        map_mut(ebpf, names.local)?.try_into()?;
    for key in local.keys().collect::<Result<Vec<_>, _>>()? {
        local.remove(&key)?;
    }
    let is_asked = cluster.is_gateway || cluster.has_moved();
    let asked = cluster.local.iter().filter(|_| is_asked);
    for own in asked.filter(|own| of_family(&own.private)) {
        let both = own.private == own.underlay;
        let former = own.former.map(|range| (range, LOCAL_FORMER));
        let now = [(own.private, LOCAL_PRIVATE), (own.underlay, LOCAL_UNDERLAY)];
        for (range, role) in now.into_iter().chain(former) {
            let value = LocalRange {
                private: required(own.private.first)?,
                underlay: required(own.underlay.first)?,
                previous_underlay: own.former.map_or(Ok([0; N]), |range| required(range.first))?,
                length: range.length,
                role: if both { LOCAL_PRIVATE + LOCAL_UNDERLAY } else { role },
                reserved: [0; 2],
            };
            local.insert(&prefix_key(range)?, value, 0)?;
        }
    }
    let mut flows: BpfHashMap<_, Flow<[u8; N]>, FlowState> =
        map_mut(ebpf, names.flows)?.try_into()?;
    for key in flows.keys().collect::<Result<Vec<_>, _>>()? {
        flows.remove(&key)?;
    }
    Ok(())
}

fn value<const N: usize>(cluster: &Cluster, entry: &Entry) -> Result<PeerValue<[u8; N]>> {
    let peer = entry.peer;
    let own = cluster.local.iter().find(|own| octets::<N>(own.private.first).is_some());
    let own = own.filter(|_| !cluster.is_gateway);
    let of_self = |address: Option<IpAddr>| address.map_or(Ok([0; N]), required);
    let is_sent_to = entry.role == Role::Private && entry.range.is_single();
    let pair = is_sent_to.then(|| cluster.pair(peer));
    let current = own.map(|own| own.underlay.first);
    let bypass_of_all = if cluster.bypass.is_empty() { 0 } else { BYPASS_CLUSTER };
    let bypass_of_peer = if peer.bypass.is_empty() { 0 } else { BYPASS_MEMBER };
    let private = required(peer.private.first)?;
    let public = match (entry.role, pair) {
        (Role::Private, Some(pair)) => required(pair.public)?,
        (Role::Private, None) => required(peer.public.first)?,
        (Role::Public | Role::Former, _) => required(entry.range.first)?,
    };
    Ok(PeerValue {
        private,
        public,
        tie: if entry.range.is_single() { tie(private, public) } else { [0; N] },
        local_private: of_self(own.map(|own| own.private.first))?,
        local_underlay: of_self(pair.map_or(current, |pair| pair.underlay))?,
        slot: peer.slot,
        role: match entry.role {
            Role::Private => ROLE_PRIVATE,
            Role::Public => ROLE_PUBLIC,
            Role::Former => ROLE_FORMER,
        },
        direct: u8::from(peer.is_direct),
        public_flows: 0,
        length: entry.range.length,
        bypass: bypass_of_all + bypass_of_peer,
        replies_native: 0,
        use_former_source: u8::from(peer.is_unaware),
        awaited: u8::from(entry.role == Role::Public && peer.awaited.is_some()),
        grace_until: if entry.role == Role::Public { peer.grace_until } else { 0 },
        expires_at: match (entry.role, peer.former) {
            (Role::Former, Some((_, until))) => until,
            _ => 0,
        },
    })
}

/// The value of the field `tie`: see [`peers::tie`] for IPv6; always 0 for IPv4.
fn tie<const N: usize>(private: [u8; N], public: [u8; N]) -> [u8; N] {
    match (private.as_slice().try_into(), public.as_slice().try_into()) {
        (Ok(private), Ok(public)) => peers::tie(private, public)[..].try_into().expect("16 bytes"),
        _ => [0; N],
    }
}

/// The memory of the programs.
pub fn memory(ebpf: &Ebpf, cluster: &Cluster) -> Result<Memory> {
    let mut memory = Memory::default();
    read_family::<4>(ebpf, V4, cluster, &mut memory)?;
    read_family::<16>(ebpf, V6, cluster, &mut memory)?;
    Ok(memory)
}

fn read_family<const N: usize>(
    ebpf: &Ebpf,
    names: Names,
    cluster: &Cluster,
    memory: &mut Memory,
) -> Result<()>
where
    [u8; N]: Pod,
    IpAddr: From<[u8; N]>,
    PeerKey<[u8; N]>: Pod,
    PeerValue<[u8; N]>: Pod,
    Flow<[u8; N]>: Pod,
{
    let peers: BpfHashMap<_, PeerKey<[u8; N]>, PeerValue<[u8; N]>> =
        map(ebpf, names.peers)?.try_into()?;
    let prefixes: LpmTrie<_, [u8; N], PeerValue<[u8; N]>> =
        map(ebpf, names.prefixes)?.try_into()?;
    for entry in cluster.entries() {
        let Some(address) = octets::<N>(entry.range.first) else { continue };
        let peer = match entry.range.is_single() {
            true => peers.get(&PeerKey { address }, 0)?,
            // The longest match for this key is the entry itself: a lookup finds no prefix that is longer than the
            // key's own.
            false => prefixes.get(&prefix_key(entry.range)?, 0)?,
        };
        let marks = Marks {
            public_flows: peer.public_flows == 1,
            replies_native: peer.replies_native == 1,
            until: peer.grace_until.max(peer.expires_at),
            use_former_source: peer.use_former_source == 1,
            awaited: peer.awaited == 1,
        };
        if entry.role == Role::Private && entry.range.is_single() {
            let underlay = (!cluster.is_gateway).then(|| peer.local_underlay.into());
            memory.pairs.insert(entry.range, Pair { underlay, public: peer.public.into() });
        }
        memory.marks.insert(entry.range, marks);
    }
    let flows: BpfHashMap<_, Flow<[u8; N]>, FlowState> = map(ebpf, names.flows)?.try_into()?;
    for flow in flows.iter() {
        let (flow, state) = flow?;
        let key = Key {
            local: flow.local.into(),
            peer: flow.peer.into(),
            local_port: flow.local_port,
            peer_port: flow.peer_port,
            protocol: flow.protocol,
            is_datagram: flow.kind == DATAGRAM,
        };
        let action = match state.action {
            LEFT_ALONE => FlowAction::LeftAlone,
            FROM_UNDERLAY => FlowAction::FromUnderlay,
            BYPASSED => FlowAction::Bypassed,
            other => anyhow::bail!("{key:?} is treated as {other}"),
        };
        memory.flows.insert(key, action);
    }
    Ok(())
}

/// The counts of the programs, over all CPUs.
pub fn counts(ebpf: &Ebpf) -> Result<Counts> {
    let mut counts = Counts::default();
    let per_peer: PerCpuArray<_, PeerCounters> = map(ebpf, maps::PEER_COUNTERS)?.try_into()?;
    for slot in 0..per_peer.len() {
        for one in per_peer.get(&slot, 0)?.iter() {
            counts.add(Counter::Peer(Direction::Egress, slot), one.egress);
            counts.add(Counter::Peer(Direction::Ingress, slot), one.ingress);
            let errors = Count { packets: one.router_errors, bytes: 0 };
            counts.add(Counter::RouterErrors(slot), errors);
            check_times(one, slot)?;
        }
    }
    let per_reason: PerCpuArray<_, ReasonCounters> =
        map(ebpf, maps::REASON_COUNTERS)?.try_into()?;
    for direction in [Direction::Egress, Direction::Ingress] {
        for one in per_reason.get(&(direction as u32), 0)?.iter() {
            for reason in Reason::ALL {
                counts.add(Counter::Reason(direction, *reason), one.get(*reason));
            }
        }
    }
    counts.0.retain(|_, count| *count != Count::default());
    Ok(counts)
}

/// Checks that the programs have set a time exactly if they have counted a packet in the same direction.
fn check_times(one: &PeerCounters, slot: u32) -> Result<()> {
    for (count, last) in [(one.egress, one.last_sent), (one.ingress, one.last_heard)] {
        ensure!((count.packets > 0) == (last > 0), "slot {slot}: {one:?}");
    }
    Ok(())
}

fn map_mut<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Map> {
    ebpf.map_mut(name).with_context(|| format!("no map {name}"))
}

fn map<'a>(ebpf: &'a Ebpf, name: &str) -> Result<&'a Map> {
    ebpf.map(name).with_context(|| format!("no map {name}"))
}

fn prefix_key<const N: usize>(range: Range) -> Result<PrefixKey<[u8; N]>>
where
    [u8; N]: Pod,
{
    Ok(PrefixKey::new(u32::from(range.length), required(range.first)?))
}

fn required<const N: usize>(address: IpAddr) -> Result<[u8; N]> {
    octets(address).context("an address of the other family")
}

/// The address as the maps hold it, if it has `N` bytes.
fn octets<const N: usize>(address: IpAddr) -> Option<[u8; N]> {
    match address {
        IpAddr::V4(address) => address.octets().as_slice().try_into().ok(),
        IpAddr::V6(address) => address.octets().as_slice().try_into().ok(),
    }
}
