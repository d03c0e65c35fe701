//! Simulates the hosts of a cluster, and checks every packet's passage through a host.

use std::cell::Cell;

use tunnel_common::flows::Flow;
use tunnel_common::move_notice::MAGIC;
use tunnel_common::outcome::{Direction, Outcome, Reason};
use tunnel_common::ping;

use super::slice::Slice;
use super::tables::HostTables;
use super::version::{Member, Version};
use crate::family::Octets;
use crate::packet::Packet as _;
use crate::pipeline;
use crate::tables::FlowAction;

pub const SECOND: u64 = 1_000_000_000;

/// The uptime of each host when a test begins, in seconds.
pub const UPTIME: u64 = 1000;

/// A host: its tables and its clock.
pub struct Host<F: Version> {
    pub tables: HostTables<F>,
}

impl<F: Version> Host<F> {
    /// A host whose peers have the slots 0, 1 and so on.
    pub fn new(member: Member<Octets<F>>, peers: &[Member<Octets<F>>]) -> Self {
        let mut tables = HostTables::new(Cell::new(UPTIME * SECOND));
        for (slot, peer) in (0..).zip(peers) {
            tables.add_peer(&member, slot, peer);
        }
        Self { tables }
    }

    pub fn srva() -> Self {
        Self::new(F::SRVA, &[F::SRVB, F::SRVC])
    }

    pub fn srvb() -> Self {
        Self::new(F::SRVB, &[F::SRVA, F::SRVC])
    }

    /// srva behind a 1:1 NAT.
    pub fn srva_behind_nat() -> Self {
        Self::new(Member { underlay: F::BEHIND_NAT, ..F::SRVA }, &[F::SRVB, F::SRVC])
    }

    /// Advances the clock by this many nanoseconds.
    pub fn wait(&self, nanoseconds: u64) {
        self.tables.now.set(self.tables.now.get().wrapping_add(nanoseconds));
    }

    /// The flows in the table, expired ones included.
    pub fn flows(&self) -> Vec<Flow<Octets<F>>> {
        self.tables.flows.borrow().keys().copied().collect()
    }

    /// The action of a flow in the table.
    pub fn flow_action(&self, flow: &Flow<Octets<F>>) -> Option<FlowAction> {
        self.tables.flows.borrow().get(flow).map(|(_, flow_action)| *flow_action)
    }

    /// True if the entry under `address` tells the programs to look up flows.
    pub fn looks_for_flows_of(&self, address: Octets<F>) -> bool {
        self.tables.value(address).is_some_and(|peer| peer.public_flows == 1)
    }

    /// True if the entry under `address` says that the peer's grace period is over.
    pub fn is_past_grace(&self, address: Octets<F>) -> bool {
        self.tables.value(address).is_some_and(|peer| peer.grace_until == 0)
    }

    /// True if the entry under `address` says that the peer's packets arrive with its private address.
    pub fn replies_native(&self, address: Octets<F>) -> bool {
        self.tables.value(address).is_some_and(|peer| peer.replies_native == 1)
    }

    /// Handles a packet.
    pub fn run(&self, direction: Direction, packet: &mut Slice) -> Outcome {
        pipeline::handle_in_place::<F, _, _>(direction, packet, &self.tables)
    }

    /// Handles a packet, and checks for every outcome:
    /// - no read follows a write;
    /// - no write goes past the packet's own length;
    /// - a packet without a rewrite gets no write, not even a failed one;
    /// - the sum that came with the packet (CHECKSUM_COMPLETE) is still the sum over all its bytes;
    /// - a rewritten packet is counted once, for the peer or as a router's error, and any other packet is not counted.
    pub fn pass(&self, direction: Direction, packet: &mut Slice) -> Outcome {
        let before = packet.as_bytes().to_vec();
        let router_errors_before = self.tables.router_errors.borrow().len();
        let outcome = self.run(direction, packet);
        // The program writes a mark into a notice for the kernel to echo: one write, although the outcome is not a
        // rewrite.
        let is_notice = before.windows(MAGIC.len()).any(|bytes| bytes == MAGIC);
        let is_passed_or_contended =
            [Outcome::NotOurs, Outcome::NotRewritten(Reason::Contended)].contains(&outcome);
        if is_notice && is_passed_or_contended {
            assert!(packet.attempted_writes() <= 1, "{before:02x?}");
            assert!(packet.complete_sum_is_right(), "{:02x?}", packet.as_bytes());
            return outcome;
        }
        // A stamp follows the rewrite of a ping, or is the only change of a stranger's ping.
        let is_ping = before.windows(MAGIC.len()).any(|bytes| bytes == ping::MAGIC);
        if is_ping && outcome == Outcome::NotOurs {
            assert!(packet.complete_sum_is_right(), "{:02x?}", packet.as_bytes());
            return outcome;
        }
        // A path probe is stamped or answered, and not counted for the peer.
        let is_probe = before.windows(MAGIC.len()).any(|bytes| bytes == ping::PROBE_MAGIC);
        let is_answered = outcome == Outcome::NotRewritten(Reason::ProbeAnswered);
        if is_probe && (is_answered || outcome == Outcome::NotOurs) {
            assert!(packet.complete_sum_is_right(), "{:02x?}", packet.as_bytes());
            assert_eq!(packet.are_link_addresses_swapped(), is_answered);
            assert_eq!(self.tables.counted.take(), [], "{before:02x?}");
            return outcome;
        }
        // After the rewrite of an ICMP message that arrives, the program looks for a ping to stamp.
        let may_be_ping = direction == Direction::Ingress && is_icmp::<F>(&before);
        let reads_on = packet.read_after_write();
        assert!(may_be_ping || !reads_on, "{outcome:?}: read after a write: {before:02x?}");
        let len = F::len(&before).unwrap_or(before.len());
        for written in packet.written() {
            assert!(written.end <= len, "{outcome:?}: {written:?} written: {before:02x?}");
        }
        let counted = self.tables.counted.take();
        let router_errors = self.tables.router_errors.borrow()[router_errors_before..].to_vec();
        match outcome {
            Outcome::Rewritten { slot } if !router_errors.is_empty() => {
                assert_eq!((&router_errors[..], &counted[..]), (&[slot][..], &[][..]));
            }
            Outcome::Rewritten { slot } => {
                assert_eq!(counted, [(slot, direction, packet.count())], "{before:02x?}");
            }
            Outcome::NotOurs | Outcome::NotRewritten(_) => {
                assert_eq!((&counted[..], &router_errors[..]), (&[][..], &[][..]), "{outcome:?}");
            }
        }
        match outcome {
            Outcome::NotRewritten(Reason::WriteFailed) => {}
            Outcome::Rewritten { .. } => {
                assert!(packet.complete_sum_is_right(), "{:02x?}", packet.as_bytes());
            }
            Outcome::NotOurs | Outcome::NotRewritten(_) => {
                assert_eq!(packet.attempted_writes(), 0, "{outcome:?}: {before:02x?}");
                assert_eq!(packet.as_bytes(), before, "{outcome:?}");
                assert!(packet.complete_sum_is_right(), "{outcome:?}: {before:02x?}");
            }
        }
        outcome
    }

    /// Handles a packet with these bytes. Returns the outcome, and the packet's bytes afterwards.
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

    /// The packet after its rewrite for the peer in slot 0.
    pub fn rewritten(&self, direction: Direction, bytes: &[u8]) -> Vec<u8> {
        self.rewritten_for(0, direction, bytes)
    }

    /// The packet after its rewrite for the peer in `slot`.
    pub fn rewritten_for(&self, slot: u32, direction: Direction, bytes: &[u8]) -> Vec<u8> {
        let (outcome, after) = self.handle(direction, bytes);
        assert_eq!(outcome, Outcome::Rewritten { slot }, "{direction:?}: {bytes:02x?}");
        after
    }
}

/// True if, by its header, the packet may hold an ICMP message of its own family.
fn is_icmp<F: Version>(bytes: &[u8]) -> bool {
    let packet = Slice::new(bytes);
    F::header_ref(&packet).is_some_and(|own| F::may_hold_icmp::<Slice>(&own))
}
