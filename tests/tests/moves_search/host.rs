//! Models a host: the entries that the loader plans, and the programs' decisions over these entries.

use std::cell::{RefCell, UnsafeCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use tunnel_common::bypass::BypassKey;
use tunnel_common::counters::Count;
use tunnel_common::flows::Flow;
use tunnel_common::local_members::LocalRange;
use tunnel_common::move_notice::Mark;
use tunnel_common::outcome::{Direction, Outcome, Verdict};
use tunnel_common::peers::{Peer, ROLE_FORMER, ROLE_PRIVATE, ROLE_PUBLIC};
use tunnel_ebpf::address::{Address as _, Words};
use tunnel_ebpf::conditions::Conditions;
use tunnel_ebpf::family::V4;
use tunnel_ebpf::peer_entry::{PeerEntry, PeerLookup, SharedPeer};
use tunnel_ebpf::pipeline::handle_in_place;
use tunnel_ebpf::tables::{FlowAction, Receiver, Tables};
use tunnel_user::config;
use tunnel_user::plan::awaited::shown;
use tunnel_user::plan::handover::Handover;
use tunnel_user::plan::identity::Identity;
use tunnel_user::plan::local_tables::{self, LocalTables};
use tunnel_user::plan::membership::Membership;
use tunnel_user::plan::move_notices::{To, notices};
use tunnel_user::plan::peer_tables::{self, Change, PeerTable, PeerTables, changes};
use tunnel_user::plan::previous_underlays::{self, Before, PreviousUnderlays};
use tunnel_user::plan::range::{Address, Range};
use tunnel_user::plan::slots::ByName;

use crate::packet::{Frame, Octets};

const NOW: u32 = 1_000;
const DRAIN: u32 = 30;

/// A deliberate fault in a plan, which the search must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Packets go to a peer's new address as soon as the file says so.
    SendsAtOnce,
    /// The former addresses of a peer get an expiry while the peer is awaited.
    EndsAtOnce,
}

/// The private address of a host.
pub const fn private(host: usize) -> Octets {
    [10, 0, 0, host as u8]
}

/// The public address with this last byte.
pub const fn public(last: u8) -> Octets {
    [192, 0, 2, last]
}

/// The membership that a host reads from one file: the host and its peers.
pub fn membership(file: &[u8], own: usize) -> Membership {
    let member = |(host, last): (usize, &u8)| {
        let [private, public] = [private(host), public(*last)].map(IpAddr::from);
        format!("[[member]]\nname = \"h{host}\"\nprivate = \"{private}\"\npublic = \"{public}\"\n")
    };
    let text: String = file.iter().enumerate().map(member).collect();
    let clusters = config::parse(Path::new("file"), &text).expect("a file");
    let [cluster] = clusters.all() else { panic!("one cluster") };
    let name = format!("h{own}");
    let local = cluster.members().iter().filter(|member| member.name.as_str() == name);
    let identity = Identity::new(local.map(Into::into).collect());
    Membership::of(cluster, identity).expect("peers").0
}

/// A host between two events.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// The host's number.
    pub own: usize,
    /// The index of the file that the host follows.
    pub file: usize,
    /// The last bytes of the public addresses that the host's interface has.
    pub held: Vec<u8>,
    identity: Identity,
    peers: PeerTable<Octets>,
    local: LocalTables,
    previous_underlays: PreviousUnderlays,
    /// The changes of the peers' entries that the loader has yet to make.
    pending: Vec<Change<Octets>>,
}

impl Host {
    /// A host attached with the first file.
    pub fn new(file: &[u8], own: usize) -> Self {
        let membership = membership(file, own);
        let peers = peer_tables::tables(&membership, &slots(&membership), 0).v4;
        let (identity, previous_underlays) = (membership.identity, PreviousUnderlays::new());
        let local = local_tables::tables(&identity, &previous_underlays);
        let (held, pending) = (vec![file[own]], Vec::new());
        Self { own, file: 0, held, identity, peers, local, previous_underlays, pending }
    }

    /// Begins to follow a file: the host's own addresses change at once, and the changes of its
    /// peers' entries become pending.
    pub fn begin(&mut self, index: usize, file: &[u8], fault: Option<Fault>) {
        let membership = membership(file, self.own);
        if !self.held.contains(&file[self.own]) {
            self.held.push(file[self.own]);
            self.held.sort_unstable();
        }
        self.follow(&membership, fault);
        self.file = index;
    }

    fn follow(&mut self, membership: &Membership, fault: Option<Fault>) {
        let held: Vec<IpAddr> = self.held.iter().map(|last| public(*last).into()).collect();
        let before =
            Before { identity: &self.identity, previous_underlays: &self.previous_underlays };
        let previous_underlays = previous_underlays::find(before, &membership.identity, &held);
        let own =
            previous_underlays::own_move(&self.identity, &membership.identity, &previous_underlays);
        let single = previous_underlays.values().flatten();
        let local_previous = single.map(|former| former.0.address()).collect();
        let handover =
            Handover { now: NOW, drain: DRAIN, own, local_previous, ..Handover::default() };
        let wanted = peer_tables::tables(membership, &slots(membership), 0);
        let current = PeerTables { v4: self.peers.clone(), ..PeerTables::default() };
        let mut next = handover.successor(&current, &wanted).v4;
        for (range, peer) in &mut next {
            match fault {
                Some(Fault::SendsAtOnce) if peer.role == ROLE_PRIVATE => *peer = wanted.v4[range],
                Some(Fault::EndsAtOnce) if peer.role == ROLE_FORMER => {
                    peer.expires_at = NOW + DRAIN
                }
                _ => {}
            }
        }
        self.pending = changes(&self.peers, &next);
        self.pending.reverse();
        self.identity = membership.identity.clone();
        self.local = local_tables::tables(&self.identity, &previous_underlays);
        self.previous_underlays = previous_underlays;
    }

    /// True if the loader has changes to make.
    pub fn is_changing(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Makes the loader's next change. After the last change, also calls [`Self::note_shown`].
    pub fn step(&mut self) {
        if let Some(change) = self.pending.pop() {
            self.make(change);
        }
        if self.pending.is_empty() {
            self.note_shown();
        }
    }

    /// Makes the changes for the peers that have shown their current addresses: see [`shown`]. Former addresses that
    /// such a peer no longer needs get an expiry.
    pub fn note_shown(&mut self) {
        for change in shown(&self.peers, NOW, DRAIN) {
            self.make(change);
        }
    }

    fn make(&mut self, change: Change<Octets>) {
        match change {
            Change::Set(range, peer) => drop(self.peers.insert(range, peer)),
            Change::Remove(range) => drop(self.peers.remove(&range)),
        }
    }

    /// Removes the former addresses that have an expiry.
    pub fn drain(&mut self) {
        self.peers.retain(|_, peer| peer.role != ROLE_FORMER || peer.expires_at == 0);
    }

    /// Removes all addresses except the file's from the interface, and makes all changes that the loader then plans.
    pub fn lose_previous_underlays(&mut self, file: &[u8]) {
        self.held = vec![file[self.own]];
        self.follow(&membership(file, self.own), None);
        while self.is_changing() {
            self.step();
        }
    }

    /// The notices of this host, each with its pair of addresses and its mark: a question to each awaited peer, and an
    /// announcement to every other peer, which may await this host.
    pub fn notices(&self) -> Vec<([Octets; 2], Mark)> {
        let tables = PeerTables { v4: self.peers.clone(), ..PeerTables::default() };
        let octets =
            |address: IpAddr| Range::single(<Octets as Address>::of(address).expect("IPv4"));
        let of = |to: To, mark: Mark| {
            let all = notices(to, &tables, &self.identity).into_iter();
            all.map(move |notice| ([notice.from, notice.to].map(|at| octets(at).address), mark))
        };
        of(To::Awaited, Mark::Asked).chain(of(To::Shown, Mark::Announced)).collect()
    }

    /// True if packets to each peer go between the addresses of this file, no peer is awaited, and no former address is
    /// left.
    pub fn is_at_rest(&self, file: &[u8]) -> bool {
        let is_current = |peer: &Peer<Octets>| {
            peer.public == public(file[usize::from(peer.private[3])])
                && peer.local_underlay == public(file[self.own])
                && peer.awaited == 0
                && peer.role != ROLE_FORMER
        };
        self.peers.values().all(is_current)
    }

    /// Encodes everything that affects the host's future.
    pub fn key(&self) -> Vec<u8> {
        let mut key = vec![self.own as u8, self.file as u8, self.pending.len() as u8];
        key.extend(&self.held);
        let entry = |range: &Range<Octets>, peer: &Peer<Octets>| {
            let flags = [peer.role, peer.awaited, peer.slot as u8, u8::from(peer.expires_at != 0)];
            let addresses = [range.address, peer.private, peer.public, peer.local_underlay];
            [addresses.as_flattened(), &flags].concat()
        };
        for (range, peer) in &self.peers {
            key.extend(entry(range, peer));
        }
        for change in &self.pending {
            key.push(u8::MAX);
            match change {
                Change::Set(range, peer) => key.extend(entry(range, peer)),
                Change::Remove(range) => key.extend(range.address),
            }
        }
        for former in self.previous_underlays.values().flatten() {
            key.extend(former.0.to_string().bytes());
        }
        key
    }

    /// Runs the programs on a packet. Returns `None` if they drop it. The host's entries may change.
    pub fn handle(&mut self, direction: Direction, packet: &mut Frame) -> Option<Outcome> {
        let tables = HostTables {
            peers: self
                .peers
                .iter()
                .map(|(range, peer)| (range.address, Place::new(*peer)))
                .collect(),
            local: &self.local,
            has_moved: !self.previous_underlays.is_empty(),
            shown: RefCell::new(None),
        };
        let outcome = handle_in_place::<V4, _, _>(direction, packet, &tables);
        if let Some((agreed, peer_sends)) = tables.shown.take() {
            self.peers.insert(Range { address: agreed.private, length: 32 }, agreed);
            let public = Range { address: agreed.public, length: 32 };
            let awaited = u8::from(!peer_sends);
            self.peers.entry(public).and_modify(|peer| peer.awaited = awaited);
        }
        (outcome.verdict() == Verdict::Pass).then_some(outcome)
    }
}

fn slots(membership: &Membership) -> ByName {
    let number = |name: &str| name.strip_prefix('h').and_then(|host| host.parse().ok());
    let of = |name: &tunnel_user::model::MemberName| number(name.as_str()).expect("a number");
    membership.peers.iter().map(|peer| (peer.name.clone(), of(&peer.name))).collect()
}

/// A peer's entry, aligned to 8 bytes, as in the kernel.
#[repr(align(8))]
struct Place(UnsafeCell<Peer<Octets>>);

impl Place {
    fn new(peer: Peer<Octets>) -> Box<Self> {
        Box::new(Self(UnsafeCell::new(peer)))
    }

    fn shared(&self) -> &SharedPeer<Octets> {
        // SAFETY: the place lives as long as the tables.
        unsafe { SharedPeer::at(self.0.get()) }
    }
}

struct HostTables<'a> {
    peers: BTreeMap<Octets, Box<Place>>,
    local: &'a LocalTables,
    has_moved: bool,
    /// The new private entry of an awaited peer that has sent a notice; and true if the peer itself already sends
    /// between this entry's addresses.
    shown: RefCell<Option<(Peer<Octets>, bool)>>,
}

impl Tables<Words<1>> for &HostTables<'_> {
    fn peer(&self, address: Words<1>) -> PeerLookup<'_, Words<1>> {
        let look = || self.peers.get(&address.octets()).map(|place| place.shared());
        let Some(shared) = look() else { return PeerLookup::none() };
        // SAFETY: all places are aligned.
        unsafe { PeerLookup::single(address, shared, look) }
    }

    fn is_missed(&self, _: Words<1>) -> bool {
        false
    }

    fn conditions(&self, address: Words<1>) -> Conditions {
        let place = self.peers.get(&address.octets());
        Conditions(place.map_or(0, |place| place.shared().conditions()))
    }

    fn count_rewritten(&self, _: u32, _: Direction, _: Count) {}

    fn count_router_error(&self, _: u32, _: Count) {}

    fn has_prefixes(&self) -> bool {
        false
    }

    fn is_gateway(&self) -> bool {
        false
    }

    fn has_moved(&self) -> bool {
        self.has_moved
    }

    fn local_range(&self, address: Words<1>) -> Option<&LocalRange<Octets>> {
        self.local.v4.get(&Range { address: address.octets(), length: 32 })
    }

    fn guarded(&self) -> Words<1> {
        Words::NONE
    }

    fn has_bypass(&self, _: &BypassKey) -> bool {
        false
    }

    fn has_drained(&self, _: &PeerEntry<'_, Words<1>>) -> bool {
        // The search itself removes drained entries.
        false
    }

    fn in_grace_period(&self, _: &PeerEntry<'_, Words<1>>) -> bool {
        false
    }

    fn set_replies_native(&self, _: Words<1>, _: Words<1>, _: bool) {}

    fn set_use_former_source(&self, _: Words<1>, _: Words<1>, _: bool) {
        panic!("single peers are told by notices");
    }

    fn note_shown(&self, public: Words<1>, peer_sends: bool) -> bool {
        let Ok(Some(shown)) = self.peer(public).found() else { return false };
        if shown.role() == ROLE_PUBLIC && shown.is_awaited() {
            *self.shown.borrow_mut() = Some((shown.agreed(public), peer_sends));
        }
        true
    }

    fn set_public_flows(&self, _: Words<1>, _: Words<1>) {
        panic!("a notice is no flow");
    }

    fn is_underlay(&self, _: Words<1>) -> bool {
        panic!("a notice is no ping");
    }

    fn receiver(&self) -> Receiver {
        panic!("a notice is no ping");
    }

    fn insert_flow(&self, _: &Flow<Octets>, _: FlowAction) {
        panic!("a notice is no flow");
    }

    fn delete_flow(&self, _: &Flow<Octets>) {}

    fn lookup_flow(&self, _: &Flow<Octets>) -> Option<FlowAction> {
        None
    }
}
