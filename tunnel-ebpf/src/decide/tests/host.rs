//! Hosts of a cluster: their tables, and a watch over what they do to a packet.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use tunnel_common::flows::Flow;
use tunnel_common::outcome::{Direction, Outcome, Reason};
use tunnel_common::peers::{Peer, ROLE_PRIVATE, ROLE_PUBLIC};

use super::datagram::{Address, Route};
use super::slice::Slice;
use crate::decide::{egress, ingress};
use crate::tables::{Tables, flow_lifetime};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    pub private: Address,
    pub public: Address,
    pub underlay: Address,
}

impl Member {
    const fn new(private: Address, public: Address) -> Self {
        Self { private, public, underlay: public }
    }
}

pub const SRVA: Member = Member::new([10, 0, 0, 1], [198, 51, 100, 2]);
pub const SRVB: Member = Member::new([10, 0, 0, 2], [203, 0, 113, 2]);
pub const SRVC: Member = Member::new([10, 0, 0, 3], [192, 0, 2, 33]);
pub const ROUTER: Address = [198, 51, 100, 1];
pub const STRANGER: Address = [192, 0, 2, 200];

/// From srva to srvb, as their software sees it.
pub const PRIVATE: Route = Route::new(SRVA.private, SRVB.private);
/// From srva to srvb, on the wire.
pub const PUBLIC: Route = Route::new(SRVA.public, SRVB.public);

/// What is under one address in the table of peers. The programs change two fields of a peer, each
/// once and in one way, so that there are four values for it to have.
struct Entry {
    values: [[Peer; 2]; 2],
    is_settled: Cell<bool>,
    has_public_flows: Cell<bool>,
}

impl Entry {
    fn new(peer: Peer) -> Self {
        let values = [peer.settled_at, 0]
            .map(|settled_at| [0, 1].map(|public_flows| Peer { settled_at, public_flows, ..peer }));
        Self { values, is_settled: Cell::new(false), has_public_flows: Cell::new(false) }
    }

    fn value(&self) -> &Peer {
        &self.values[usize::from(self.is_settled.get())][usize::from(self.has_public_flows.get())]
    }
}

pub const SECOND: u64 = 1_000_000_000;

/// For how many seconds each host is up when a test begins.
pub const UPTIME: u64 = 1000;

/// The tables of a host.
pub struct Host {
    peers: HashMap<Address, Entry>,
    flows: RefCell<HashMap<Flow, u64>>,
    now: Cell<u64>,
}

impl Host {
    /// A host whose peers have the slots 0, 1 and so on.
    pub fn new(member: Member, peers: &[Member]) -> Self {
        Self::settling(member, peers, 0)
    }

    /// The same, whose peers may not be attached themselves until then.
    pub fn settling(member: Member, peers: &[Member], settled_at: u32) -> Self {
        let mut entries = HashMap::new();
        for (slot, peer) in (0..).zip(peers) {
            for (address, role) in [(peer.private, ROLE_PRIVATE), (peer.public, ROLE_PUBLIC)] {
                let peer = Peer {
                    private: peer.private,
                    public: peer.public,
                    self_private: member.private,
                    self_underlay: member.underlay,
                    slot,
                    role,
                    direct: 0,
                    public_flows: 0,
                    reserved: 0,
                    settled_at,
                };
                entries.insert(address, Entry::new(peer));
            }
        }
        Self { peers: entries, flows: RefCell::default(), now: Cell::new(UPTIME * SECOND) }
    }

    pub fn srva() -> Self {
        Self::new(SRVA, &[SRVB, SRVC])
    }

    pub fn srvb() -> Self {
        Self::new(SRVB, &[SRVA, SRVC])
    }

    /// Lets so many nanoseconds go by.
    pub fn wait(&self, nanoseconds: u64) {
        self.now.set(self.now.get().wrapping_add(nanoseconds));
    }

    /// The flows in the table, expired ones included.
    pub fn flows(&self) -> Vec<Flow> {
        self.flows.borrow().keys().copied().collect()
    }

    /// Whether the entry under `address` says that ingress is to look for flows.
    pub fn looks_for_flows_of(&self, address: Address) -> bool {
        self.peers.get(&address).is_some_and(|entry| entry.has_public_flows.get())
    }

    /// Whether the entry under `address` says that the peer has settled.
    pub fn has_settled(&self, address: Address) -> bool {
        self.peers.get(&address).is_some_and(|entry| entry.value().settled_at == 0)
    }

    /// Handles a packet, and sees to it that, whatever becomes of it:
    /// - nothing is read once something is written;
    /// - no write goes behind the packet's own length;
    /// - a packet that is not rewritten is not written to, not even in vain;
    /// - the sum over all bytes that came with the packet is still right.
    pub fn pass(&self, direction: Direction, packet: &mut Slice) -> Outcome {
        let before = packet.as_bytes().to_vec();
        let outcome = match direction {
            Direction::Egress => egress::handle(packet, self),
            Direction::Ingress => ingress::handle(packet, self),
        };
        assert!(!packet.read_after_write(), "{outcome:?}: read after a write: {before:02x?}");
        let len = match before.get(2..4) {
            Some([0, 0]) | None => before.len(),
            Some(len) => len.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
        };
        for written in packet.written() {
            assert!(written.end <= len, "{outcome:?}: {written:?} written: {before:02x?}");
        }
        match outcome {
            Outcome::Rewritten { .. } => {
                assert!(packet.complete_sum_is_right(), "{:02x?}", packet.as_bytes());
            }
            Outcome::NotRewritten(Reason::WriteFailed) => {}
            Outcome::NotOurs | Outcome::NotRewritten(_) => {
                assert_eq!(packet.attempted_writes(), 0, "{outcome:?}: {before:02x?}");
                assert_eq!(packet.as_bytes(), before, "{outcome:?}");
            }
        }
        outcome
    }

    /// What becomes of these bytes, and the bytes after that.
    pub fn handle(&self, direction: Direction, bytes: &[u8]) -> (Outcome, Vec<u8>) {
        let mut packet = Slice::new(bytes);
        let outcome = self.pass(direction, &mut packet);
        (outcome, packet.as_bytes().to_vec())
    }

    /// Sends these bytes.
    pub fn send(&self, bytes: &[u8]) -> Outcome {
        self.handle(Direction::Egress, bytes).0
    }

    /// Receives these bytes.
    pub fn receive(&self, bytes: &[u8]) -> Outcome {
        self.handle(Direction::Ingress, bytes).0
    }

    /// The packet after it was rewritten for the peer in slot 0.
    pub fn rewritten(&self, direction: Direction, bytes: &[u8]) -> Vec<u8> {
        let (outcome, after) = self.handle(direction, bytes);
        assert_eq!(outcome, Outcome::Rewritten { slot: 0 }, "{direction:?}: {bytes:02x?}");
        after
    }
}

impl Tables for Host {
    fn peer(&self, address: Address) -> Option<&Peer> {
        self.peers.get(&address).map(Entry::value)
    }

    fn is_settling(&self, peer: &Peer) -> bool {
        if self.now.get() / SECOND < u64::from(peer.settled_at) {
            return true;
        }
        self.settle(peer);
        false
    }

    fn settle(&self, peer: &Peer) {
        if let Some(entry) = self.peers.get(&peer.public) {
            entry.is_settled.set(true);
        }
    }

    fn remember(&self, flow: &Flow) {
        let of_peer = |entry: &&Entry| entry.value().public == flow.peer;
        for entry in self.peers.values().filter(of_peer) {
            entry.has_public_flows.set(true);
        }
        self.flows.borrow_mut().insert(*flow, self.now.get());
    }

    fn forget(&self, flow: &Flow) {
        self.flows.borrow_mut().remove(flow);
    }

    fn remembers(&self, flow: &Flow) -> bool {
        let flows = self.flows.borrow();
        let Some(last_sent) = flows.get(flow) else { return false };
        self.now.get().wrapping_sub(*last_sent) < flow_lifetime(flow)
    }
}
