//! Finds the open TCP connections between public addresses that must live on when their peers become members.
//!
//! The programs treat a packet from a peer's public address as a packet from the peer's private address, unless the
//! packet's flow is in the table of public flows. The egress program inserts a flow at the first packet that leaves. On
//! a connection that is already open, a packet may arrive first, so the loader inserts the connection's flow.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use tunnel_common::flows::{FLOW, Flow};
use tunnel_common::peers::{Peer, ROLE_PRIVATE};

use super::peer_tables::{PeerTable, PeerTables};
use super::range::{Address, Range};

/// The IP protocol number of TCP.
const TCP: u8 = 6;

/// An open TCP connection of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    /// This host's address and port.
    pub local: SocketAddr,
    /// The other end's address and port.
    pub remote: SocketAddr,
}

/// The flows of the connections, by family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptFlows {
    /// The flows of IPv4.
    pub v4: Vec<Flow<[u8; 4]>>,
    /// The flows of IPv6.
    pub v6: Vec<Flow<[u8; 16]>>,
}

impl KeptFlows {
    /// The number of connections.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.v4.len().saturating_add(self.v6.len())
    }
}

/// True if `next` has an entry that is new.
#[must_use]
pub fn has_new(current: &PeerTables, next: &PeerTables) -> bool {
    next.v4.iter().any(|(range, entry)| is_new(&current.v4, range, entry))
        || next.v6.iter().any(|(range, entry)| is_new(&current.v6, range, entry))
}

/// True if the programs have not seen packets between the entry's address and this host's underlay address: the entry
/// is new, or this host's underlay address in the entry is new.
fn is_new<A: Address>(current: &PeerTable<A>, range: &Range<A>, entry: &Peer<A>) -> bool {
    current.get(range).is_none_or(|old| old.local_underlay != entry.local_underlay)
}

/// The flows of the `connections` between this host's underlay address and a public address of a new entry. Sets
/// `public_flows` in the entries of `next` whose flows the programs must look up.
#[must_use]
pub fn keep(connections: &[Connection], current: &PeerTables, next: &mut PeerTables) -> KeptFlows {
    KeptFlows {
        v4: of_family(connections, &current.v4, &mut next.v4),
        v6: of_family(connections, &current.v6, &mut next.v6),
    }
}

fn of_family<A: Address>(
    connections: &[Connection],
    current: &PeerTable<A>,
    next: &mut PeerTable<A>,
) -> Vec<Flow<A>> {
    let lengths: BTreeSet<u8> = next.keys().map(|range| range.length).collect();
    let mut flows = Vec::new();
    for connection in connections {
        let ends = (A::of(connection.local.ip()), A::of(connection.remote.ip()));
        let (Some(local), Some(remote)) = ends else { continue };
        let ranges = lengths.iter().rev();
        let mut ranges =
            ranges.map(|length| Range { address: remote.masked(*length), length: *length });
        let Some(range) = ranges.find(|range| next.contains_key(range)) else { continue };
        let Some(entry) = next.get_mut(&range) else { continue };
        if !is_new(current, &range, entry)
            || entry.role == ROLE_PRIVATE
            || entry.local_underlay != local
        {
            continue;
        }
        // Skip a connection whose ports a private connection also has: the replies belong to the private connection.
        // The programs refuse such a public flow, too.
        let twin = Connection {
            local: SocketAddr::new(entry.local_private.ip(), connection.local.port()),
            remote: SocketAddr::new(entry.private.ip(), connection.remote.port()),
        };
        if range.is_single() && connections.contains(&twin) {
            continue;
        }
        entry.public_flows = 1;
        let private = Range { address: entry.private, length: range.length };
        if let Some(entry) = next.get_mut(&private) {
            *entry = Peer { public_flows: 1, ..*entry };
        }
        flows.push(Flow {
            local,
            peer: remote,
            local_port: connection.local.port().to_be_bytes(),
            peer_port: connection.remote.port().to_be_bytes(),
            protocol: TCP,
            kind: FLOW,
            reserved: [0; 2],
        });
    }
    flows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::membership::Membership;
    use crate::plan::peer_tables::tables;
    use crate::plan::slots;

    const CLUSTER: &str = "\
[[member]]\nname = \"a\"\nprivate = [\"10.0.0.1\", \"fd00::1\"]\npublic = [\"198.51.100.2\", \"2001:db8:a::2\"]
[[member]]\nname = \"b\"\nprivate = [\"10.0.0.2\", \"fd00::2\"]\npublic = [\"203.0.113.2\", \"2001:db8:b::2\"]
[[member]]\nname = \"c\"\nprivate = \"10.3.0.0/24\"\npublic = \"192.0.2.0/24\"\n";

    fn next() -> PeerTables {
        let membership = Membership::of_text(CLUSTER, &["a"]);
        let slots =
            slots::assign(&Default::default(), membership.peers.iter().map(|peer| &peer.name));
        tables(&membership, &slots.by_name, 0)
    }

    fn connection(local: &str, remote: &str) -> Connection {
        Connection { local: local.parse().unwrap(), remote: remote.parse().unwrap() }
    }

    fn noted(tables: &PeerTables) -> Vec<String> {
        let v4 = tables.v4.iter().map(|(range, peer)| (range.prefix(), peer.public_flows));
        let v6 = tables.v6.iter().map(|(range, peer)| (range.prefix(), peer.public_flows));
        v4.chain(v6)
            .filter(|(_, noted)| *noted == 1)
            .map(|(prefix, _)| prefix.to_string())
            .collect()
    }

    #[test]
    fn connections_with_new_peers_are_kept_in_both_families() {
        let mut next = next();
        let open = [
            connection("198.51.100.2:22", "203.0.113.2:40000"),
            connection("[2001:db8:a::2]:40001", "[2001:db8:b::2]:22"),
        ];
        let kept = keep(&open, &PeerTables::default(), &mut next);
        let [flow] = kept.v4[..] else { panic!("{kept:?}") };
        assert_eq!((flow.local, flow.peer), ([198, 51, 100, 2], [203, 0, 113, 2]));
        assert_eq!((flow.local_port, flow.peer_port), ([0, 22], 40000_u16.to_be_bytes()));
        assert_eq!((flow.protocol, flow.kind, kept.count()), (6, FLOW, 2));
        assert_eq!(noted(&next), ["10.0.0.2", "203.0.113.2", "2001:db8:b::2", "fd00::2"]);
    }

    #[test]
    fn a_connection_with_a_host_of_a_network_is_kept() {
        let mut next = next();
        let open = [connection("198.51.100.2:22", "192.0.2.77:40000")];
        assert_eq!(keep(&open, &PeerTables::default(), &mut next).count(), 1);
        assert_eq!(noted(&next), ["10.3.0.0/24", "192.0.2.0/24"]);
    }

    #[test]
    fn other_connections_are_not_kept() {
        let open = [
            connection("10.0.0.1:49151", "10.0.0.2:24007"),
            connection("198.51.100.2:49151", "10.0.0.2:24007"),
            connection("198.51.100.2:22", "203.0.113.9:40000"),
            connection("198.51.100.77:22", "203.0.113.2:40000"),
        ];
        let mut tables = next();
        assert_eq!(keep(&open, &PeerTables::default(), &mut tables), KeptFlows::default());
        assert_eq!(tables, next());
    }

    #[test]
    fn a_connection_at_this_hosts_new_address_is_kept() {
        let before = next();
        let moved = CLUSTER.replace("198.51.100.2", "198.51.100.7");
        let membership = Membership::of_text(&moved, &["a"]);
        let slots =
            slots::assign(&Default::default(), membership.peers.iter().map(|peer| &peer.name));
        let mut after = tables(&membership, &slots.by_name, 0);
        assert!(has_new(&before, &after));
        let open = [connection("198.51.100.7:22", "203.0.113.2:40000")];
        assert_eq!(keep(&open, &before, &mut after).count(), 1);
    }

    #[test]
    fn a_connection_with_the_ports_of_a_private_one_is_not_kept() {
        let open = [
            connection("198.51.100.2:22", "203.0.113.2:40000"),
            connection("10.0.0.1:22", "10.0.0.2:40000"),
        ];
        assert_eq!(keep(&open, &PeerTables::default(), &mut next()).count(), 0);
    }

    #[test]
    fn peers_that_run_already_keep_their_entries() {
        let open = [connection("198.51.100.2:22", "203.0.113.2:40000")];
        let mut tables = next();
        assert!(!has_new(&next(), &tables) && has_new(&PeerTables::default(), &tables));
        assert_eq!(keep(&open, &next(), &mut tables).count(), 0);
        assert_eq!(tables, next());
    }
}
