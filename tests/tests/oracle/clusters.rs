//! Defines the clusters in which the test compares the programs and the model.

use crate::cluster::{Cluster, Link, Own, Pair, Peer, Range};

const TCP: u8 = 6;
const UDP: u8 = 17;
const DCCP: u8 = 33;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;

/// All clusters.
pub fn all() -> Vec<Cluster> {
    vec![
        addresses(),
        prefixes(),
        gateway(),
        bypass(),
        moving(),
        moved(),
        moved_gateway(),
        nat(),
        infiniband(),
        all_at_once(),
    ]
}

fn own(private: &str, underlay: &str) -> Own {
    Own { private: Range::of(private), underlay: Range::of(underlay), former: None }
}

/// A member of this host with a former underlay address.
fn moved_own(private: &str, underlay: &str, former: &str) -> Own {
    Own { former: Some(Range::of(former)), ..own(private, underlay) }
}

/// A peer's former range, from which this host still accepts packets.
fn draining(former: &str) -> Option<(Range, u32)> {
    Some((Range::of(former), u32::MAX))
}

/// A peer's former range, from which this host accepts packets until the peer has shown its new address.
fn lasting(former: &str) -> Option<(Range, u32)> {
    Some((Range::of(former), 0))
}

/// A peer's former range, from which this host no longer accepts packets.
fn drained(former: &str) -> Option<(Range, u32)> {
    Some((Range::of(former), 1))
}

/// The source and destination of packets to an awaited peer, until a notice shows that the peer knows the current pair.
fn between(underlay: &str, public: &str) -> Option<Pair> {
    Some(Pair { underlay: Some(Range::of(underlay).first), public: Range::of(public).first })
}

fn one_host() -> Vec<Own> {
    vec![own("10.0.0.1", "198.51.100.2"), own("fd00::1", "2001:db8:a::2")]
}

fn cluster(name: &'static str, peers: Vec<Peer>) -> Cluster {
    let (link, local) = (Link::Ethernet, one_host());
    let (is_gateway, handles_tags, bypass) = (false, true, Vec::new());
    Cluster { name, link, local, is_gateway, handles_tags, peers, bypass }
}

fn three_hosts() -> Vec<Peer> {
    vec![
        Peer::new(1, "10.0.0.2", "203.0.113.2"),
        Peer::new(1, "fd00::2", "2001:db8:b::2"),
        Peer::new(2, "10.0.0.3", "203.0.113.3"),
        Peer::new(3, "fd00::4", "2001:db8:b::4"),
    ]
}

/// Peers with one address, in both families.
fn addresses() -> Cluster {
    Cluster { handles_tags: false, ..cluster("addresses", three_hosts()) }
}

/// Prefixes within prefixes, and peers with one address within these prefixes. For some hosts' private or public
/// addresses, the counterpart in the same prefix belongs to a different member.
fn nested() -> Vec<Peer> {
    vec![
        Peer::new(1, "10.1.0.0/16", "198.18.0.0/16"),
        Peer::new(2, "10.1.2.0/24", "192.0.2.0/24"),
        Peer::new(3, "10.1.2.7", "192.0.2.200"),
        Peer::new(4, "10.0.0.2", "203.0.113.2"),
        Peer::new(5, "10.64.0.0/11", "100.64.0.0/11"),
        Peer::new(1, "fd01::/45", "2001:db8:8000::/45"),
        Peer::new(2, "fd01:0:0:7::/64", "2001:db8:7::/64"),
        Peer::new(3, "fd01:0:0:7::99", "2001:db8:7::1"),
        Peer::new(4, "fd00::2", "2001:db8:b::2"),
        Peer::new(6, "fd02::8/125", "2001:db8:c::10/125"),
    ]
}

fn prefixes() -> Cluster {
    cluster("prefixes", nested())
}

/// A gateway for two hosts, a network, and a host whose private and underlay addresses are the same.
fn gateway() -> Cluster {
    let local = vec![
        own("10.0.0.1", "198.51.100.1"),
        own("10.0.0.9", "198.51.100.9"),
        own("10.0.8.0/22", "198.51.96.0/22"),
        own("198.51.100.77", "198.51.100.77"),
        own("fd00::1", "2001:db8:a::2"),
        own("fd00:0:0:8::/61", "2001:db8:a:8::/61"),
    ];
    let mut peers = nested();
    peers[0].bypass = vec![(TCP, 22), (SCTP, 24007)];
    peers[3].bypass = vec![(UDP, 50001)];
    peers[4].is_direct = true;
    peers[3].former = draining("203.0.113.99");
    peers[3].grace_until = u32::MAX;
    peers[9].bypass = vec![(UDP_LITE, 53)];
    Cluster { local, is_gateway: true, ..cluster("gateway", peers) }
}

/// Bypass rules for all peers, and rules for individual peers.
fn bypass() -> Cluster {
    let mut peers = three_hosts();
    peers[2].bypass = vec![(DCCP, 24007), (TCP, 50001)];
    peers[3].bypass = vec![(DCCP, 24007), (UDP_LITE, 22)];
    let bypass = vec![(TCP, 22), (UDP, 53), (SCTP, 50001)];
    Cluster { bypass, ..cluster("bypass", peers) }
}

/// Peers that are direct, that have moved, or that might not be attached yet.
fn moving() -> Cluster {
    let mut peers = three_hosts();
    peers.push(Peer::new(4, "10.0.0.5", "203.0.113.5"));
    peers.push(Peer::new(4, "fd00::5", "2001:db8:b::5"));
    peers[0].is_direct = true;
    peers[1].is_direct = true;
    peers[1].grace_until = u32::MAX;
    peers[2].former = lasting("203.0.113.33");
    peers[2].grace_until = u32::MAX;
    peers[2].awaited = between("198.51.100.2", "203.0.113.33");
    peers[3].grace_until = 1;
    peers[4].grace_until = 1;
    peers[4].is_direct = true;
    peers[4].former = drained("203.0.113.55");
    peers[5].former = lasting("2001:db8:b::55");
    peers[5].is_direct = true;
    peers[5].awaited = between("2001:db8:a::2", "2001:db8:b::55");
    cluster("moving", peers)
}

/// This host has moved, and some of its peers might not know this yet.
fn moved() -> Cluster {
    let local = vec![
        moved_own("10.0.0.1", "192.0.2.2", "198.51.100.2"),
        moved_own("fd00::1", "2001:db8:e::2", "2001:db8:a::2"),
    ];
    let mut peers = three_hosts();
    peers.push(Peer::new(4, "10.1.0.0/16", "198.18.0.0/16"));
    peers[0].awaited = between("198.51.100.2", "203.0.113.2");
    peers[1].awaited = between("2001:db8:a::2", "2001:db8:b::2");
    peers[1].is_direct = true;
    peers[2].awaited = between("198.51.100.2", "203.0.113.33");
    peers[2].former = lasting("203.0.113.33");
    peers[3].grace_until = u32::MAX;
    peers[4].is_unaware = true;
    Cluster { local, ..cluster("moved", peers) }
}

/// Some of the hosts behind this gateway have moved.
fn moved_gateway() -> Cluster {
    let local = vec![
        moved_own("10.0.0.1", "198.51.100.1", "192.0.2.1"),
        own("10.0.0.9", "198.51.100.9"),
        moved_own("10.0.8.0/22", "198.51.96.0/22", "198.51.104.0/22"),
        moved_own("fd00::1", "2001:db8:a::2", "2001:db8:e::2"),
        own("fd00:0:0:8::/61", "2001:db8:a:8::/61"),
    ];
    let mut peers = nested();
    for peer in [0, 2, 3, 6, 8] {
        peers[peer].is_unaware = true;
    }
    peers[3].former = lasting("203.0.113.99");
    peers[3].awaited = Some(Pair { underlay: None, public: Range::of("203.0.113.99").first });
    peers[3].bypass = vec![(TCP, 22)];
    Cluster { local, is_gateway: true, ..cluster("moved gateway", peers) }
}

/// A host behind a 1:1 NAT, with one family only.
fn nat() -> Cluster {
    let local = vec![own("10.0.0.1", "172.31.0.5")];
    let peers =
        vec![Peer::new(1, "10.0.0.2", "203.0.113.2"), Peer::new(2, "10.0.0.3", "203.0.113.3")];
    Cluster { local, ..cluster("nat", peers) }
}

/// A host on InfiniBand, whose link header is longer than Ethernet's.
fn infiniband() -> Cluster {
    let mut peers = three_hosts();
    peers.push(Peer::new(4, "10.1.0.0/16", "198.18.0.0/16"));
    Cluster { link: Link::InfiniBand, ..cluster("infiniband", peers) }
}

/// A host with many features at once.
fn all_at_once() -> Cluster {
    let mut peers = nested();
    peers[0].is_direct = true;
    peers[1].former = draining("203.0.115.0/24");
    peers[1].grace_until = u32::MAX;
    peers[2].bypass = vec![(TCP, 24007)];
    peers[4].grace_until = 1;
    peers[5].grace_until = u32::MAX;
    peers[6].is_direct = true;
    peers[7].former = drained("2001:db8:d::1");
    peers[8].bypass = vec![(UDP, 24007)];
    let bypass = vec![(TCP, 22), (UDP, 53)];
    Cluster { bypass, ..cluster("all at once", peers) }
}
