//! Hosts of a cluster: their tables, and a watch over what they do to a packet.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;

use tunnel_common::bypass::BypassKey;
use tunnel_common::flows::Flow;
use tunnel_common::outcome::{Direction, Outcome, Reason};
use tunnel_common::peers::{Peer, ROLE_PRIVATE, ROLE_PUBLIC};
use tunnel_common::selves::SelfRange;

use super::datagram::{Address, Route};
use super::slice::Slice;
use crate::address::Address as AddressWords;
use crate::decide::handle;
use crate::family::{Family, Octets, V4};
use crate::tables::{Tables, Treatment, flow_lifetime};

/// A version of IP whose addresses can be told apart and shown.
pub trait Version: Family<Address: AddressWords<Octets: Eq + Hash + Debug>> {
    /// Bytes of the packet, as its header says: none for one that goes on to its end.
    fn len(packet: &[u8]) -> Option<usize>;
}

impl Version for V4 {
    fn len(packet: &[u8]) -> Option<usize> {
        match packet.get(2..4)? {
            [0, 0] => None,
            len => Some(len.iter().fold(0, |len, byte| len << 8 | usize::from(*byte))),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<A = Address> {
    pub private: A,
    pub public: A,
    pub underlay: A,
}

impl<A: Copy> Member<A> {
    const fn new(private: A, public: A) -> Self {
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

/// What is under one address in the table of peers. The programs change three fields of a peer,
/// each in one way, so that there are eight values for it to have.
struct Entry<A> {
    values: [Peer<A>; 8],
    value: Cell<usize>,
}

const IS_SETTLED: usize = 1;
const HAS_PUBLIC_FLOWS: usize = 2;
const IS_PLAIN: usize = 4;

impl<A: Copy> Entry<A> {
    fn new(peer: Peer<A>) -> Self {
        let values = std::array::from_fn(|value| Peer {
            settled_at: if value & IS_SETTLED == 0 { peer.settled_at } else { 0 },
            public_flows: u8::from(value & HAS_PUBLIC_FLOWS != 0),
            plain: u8::from(value & IS_PLAIN != 0),
            ..peer
        });
        Self { values, value: Cell::new(0) }
    }

    fn value(&self) -> &Peer<A> {
        &self.values[self.value.get()]
    }

    fn set(&self, bit: usize, is_set: bool) {
        let value = self.value.get() & !bit;
        self.value.set(if is_set { value | bit } else { value });
    }
}

pub const SECOND: u64 = 1_000_000_000;

/// For how many seconds each host is up when a test begins.
pub const UPTIME: u64 = 1000;

/// When each flow was remembered, and how.
type Flows<A> = HashMap<Flow<A>, (u64, Treatment)>;

/// The tables of a host.
pub struct Host<F: Version = V4> {
    peers: HashMap<Octets<F>, Entry<Octets<F>>>,
    flows: RefCell<Flows<Octets<F>>>,
    now: Cell<u64>,
}

impl Host<V4> {
    pub fn srva() -> Self {
        Self::new(SRVA, &[SRVB, SRVC])
    }

    pub fn srvb() -> Self {
        Self::new(SRVB, &[SRVA, SRVC])
    }
}

impl<F: Version> Host<F> {
    /// A host whose peers have the slots 0, 1 and so on.
    pub fn new(member: Member<Octets<F>>, peers: &[Member<Octets<F>>]) -> Self {
        Self::settling(member, peers, 0)
    }

    /// The same, whose peers may not be attached themselves until then.
    pub fn settling(
        member: Member<Octets<F>>,
        peers: &[Member<Octets<F>>],
        settled_at: u32,
    ) -> Self {
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
                    length: F::Address::BITS,
                    bypass: 0,
                    plain: 0,
                    reserved: [0; 2],
                    settled_at,
                };
                entries.insert(address, Entry::new(peer));
            }
        }
        Self { peers: entries, flows: RefCell::default(), now: Cell::new(UPTIME * SECOND) }
    }

    /// Lets so many nanoseconds go by.
    pub fn wait(&self, nanoseconds: u64) {
        self.now.set(self.now.get().wrapping_add(nanoseconds));
    }

    /// The flows in the table, expired ones included.
    pub fn flows(&self) -> Vec<Flow<Octets<F>>> {
        self.flows.borrow().keys().copied().collect()
    }

    /// Whether the entry under `address` says that ingress is to look for flows.
    pub fn looks_for_flows_of(&self, address: Octets<F>) -> bool {
        self.peers.get(&address).is_some_and(|entry| entry.value().public_flows == 1)
    }

    /// Whether the entry under `address` says that the peer has settled.
    pub fn has_settled(&self, address: Octets<F>) -> bool {
        self.peers.get(&address).is_some_and(|entry| entry.value().settled_at == 0)
    }

    /// Handles a packet, and sees to it that, whatever becomes of it:
    /// - nothing is read once something is written;
    /// - no write goes behind the packet's own length;
    /// - a packet that is not rewritten is not written to, not even in vain;
    /// - the sum over all bytes that came with the packet is still right.
    pub fn pass(&self, direction: Direction, packet: &mut Slice) -> Outcome {
        let before = packet.as_bytes().to_vec();
        let outcome = handle::<F, _, _>(direction, packet, self);
        assert!(!packet.read_after_write(), "{outcome:?}: read after a write: {before:02x?}");
        let len = F::len(&before).unwrap_or(before.len());
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

impl<F: Version> Tables<F::Address> for Host<F> {
    fn peer(&self, address: F::Address) -> Option<&Peer<Octets<F>>> {
        self.peers.get(&address.octets()).map(Entry::value)
    }

    fn has_prefixes(&self) -> bool {
        false
    }

    fn is_gateway(&self) -> bool {
        false
    }

    fn own(&self, _: F::Address) -> Option<&SelfRange<Octets<F>>> {
        None
    }

    fn has_bypass(&self, _: &BypassKey) -> bool {
        false
    }

    fn is_settling(&self, peer: &Peer<Octets<F>>, public: F::Address) -> bool {
        if self.now.get() / SECOND < u64::from(peer.settled_at) {
            return true;
        }
        self.settle(public);
        false
    }

    fn settle(&self, public: F::Address) {
        if let Some(entry) = self.peers.get(&public.octets()) {
            entry.set(IS_SETTLED, true);
        }
    }

    fn set_plain(&self, private: F::Address, public: F::Address, is_plain: bool) {
        for address in [private, public] {
            if let Some(entry) = self.peers.get(&address.octets()) {
                entry.set(IS_PLAIN, is_plain);
            }
        }
    }

    fn set_public_flows(&self, private: F::Address, public: F::Address) {
        for address in [private, public] {
            if let Some(entry) = self.peers.get(&address.octets()) {
                entry.set(HAS_PUBLIC_FLOWS, true);
            }
        }
    }

    fn remember(&self, flow: &Flow<Octets<F>>, treatment: Treatment) {
        self.flows.borrow_mut().insert(*flow, (self.now.get(), treatment));
    }

    fn forget(&self, flow: &Flow<Octets<F>>) {
        self.flows.borrow_mut().remove(flow);
    }

    fn recall(&self, flow: &Flow<Octets<F>>) -> Option<Treatment> {
        let (last_sent, treatment) = *self.flows.borrow().get(flow)?;
        (self.now.get().wrapping_sub(last_sent) < flow_lifetime(flow)).then_some(treatment)
    }
}
