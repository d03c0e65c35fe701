//! Implements the tables of a host on the heap.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use tunnel_common::bypass::BypassKey;
use tunnel_common::counters::Count;
use tunnel_common::flows::Flow;
use tunnel_common::local_members::{LOCAL_FORMER, LOCAL_PRIVATE, LOCAL_UNDERLAY, LocalRange};
use tunnel_common::outcome::Direction;
use tunnel_common::peers::{
    BYPASS_CLUSTER, BYPASS_MEMBER, Peer, ROLE_FORMER, ROLE_PRIVATE, ROLE_PUBLIC,
};

use super::entries::{Entry, Trie, longest};
use super::host::SECOND;
use super::version::{Member, Version};
use crate::address::Address;
use crate::conditions::Conditions;
use crate::family::Octets;
use crate::peer_entry::{PeerEntry, PeerLookup, SharedPeer};
use crate::tables::{FlowAction, Receiver, Tables, flow_lifetime};

/// The time and the action of each stored flow.
type Flows<A> = HashMap<Flow<A>, (u64, FlowAction)>;

/// The tables of a host.
pub struct HostTables<F: Version> {
    single: HashMap<Octets<F>, Entry<Octets<F>>>,
    prefixes: Trie<Octets<F>, Entry<Octets<F>>>,
    /// Filled on a gateway, and on a host that has moved.
    local_ranges: Trie<Octets<F>, LocalRange<Octets<F>>>,
    is_gateway: bool,
    has_moved: bool,
    /// This host's guarded private address, which no packet from outside may have.
    pub guarded: F::Address,
    /// An address whose entry every lookup misses, as during the entry's replacement.
    pub missed: Option<Octets<F>>,
    /// The underlay address that the record of this host's member has.
    pub underlay: Option<Octets<F>>,
    /// This host's part of a stamp.
    pub receiver: Receiver,
    bypass: HashSet<BypassKey>,
    pub flows: RefCell<Flows<Octets<F>>>,
    /// The counts of rewritten packets, each with the peer's slot and the direction.
    pub counted: RefCell<Vec<(u32, Direction, Count)>>,
    /// The slots of the peers for which a router's error was counted.
    pub router_errors: RefCell<Vec<u32>>,
    pub now: Cell<u64>,
}

impl<F: Version> HostTables<F> {
    pub fn new(now: Cell<u64>) -> Self {
        Self {
            single: HashMap::new(),
            prefixes: Vec::new(),
            local_ranges: Vec::new(),
            is_gateway: false,
            has_moved: false,
            guarded: F::Address::NONE,
            missed: None,
            underlay: None,
            receiver: Receiver::default(),
            bypass: HashSet::new(),
            flows: RefCell::default(),
            counted: RefCell::default(),
            router_errors: RefCell::default(),
            now,
        }
    }

    /// Adds a peer that is one host.
    pub fn add_peer(&mut self, member: &Member<Octets<F>>, slot: u32, peer: &Member<Octets<F>>) {
        for (address, role) in [(peer.private, ROLE_PRIVATE), (peer.public, ROLE_PUBLIC)] {
            let value = value::<F>(member, slot, peer, role, F::Address::BITS);
            self.single.insert(address, Entry::new(value));
        }
    }

    /// Adds a peer that is a prefix of `length` bits.
    pub fn add_prefix(
        &mut self,
        member: &Member<Octets<F>>,
        slot: u32,
        peer: &Member<Octets<F>>,
        length: u8,
    ) {
        for (address, role) in [(peer.private, ROLE_PRIVATE), (peer.public, ROLE_PUBLIC)] {
            let value = value::<F>(member, slot, peer, role, length);
            self.prefixes.push(((address, length), Entry::new(value)));
        }
    }

    /// Adds a further address of the peer in `slot`, in this role.
    pub fn add_role(&mut self, slot: u32, address: Octets<F>, role: u8) {
        let alike = Member::new(address, address);
        let value = value::<F>(&alike, slot, &alike, role, F::Address::BITS);
        self.single.insert(address, Entry::new(value));
    }

    /// Adds the address that the peer in `slot` had before a move.
    pub fn add_former(
        &mut self,
        member: &Member<Octets<F>>,
        slot: u32,
        peer: &Member<Octets<F>>,
        former: Octets<F>,
        expires_at: u32,
    ) {
        let peer = Member { public: former, ..*peer };
        let value = value::<F>(member, slot, &peer, ROLE_FORMER, F::Address::BITS);
        self.single.insert(former, Entry::new(Peer { expires_at, ..value }));
    }

    /// Removes the entry under one address.
    pub fn remove_single(&mut self, address: Octets<F>) {
        self.single.remove(&address);
    }

    /// Adds a local member, which makes this host a gateway.
    pub fn add_self(&mut self, member: &Member<Octets<F>>, length: u8) {
        self.is_gateway = true;
        self.add_own(member, length, F::Address::NONE.octets());
    }

    /// Moves this host. The host keeps its former underlay addresses, which start at `former`.
    pub fn move_self(&mut self, member: &Member<Octets<F>>, length: u8, former: Octets<F>) {
        self.has_moved = true;
        self.local_ranges.retain(|(_, range)| range.private != member.private);
        self.add_own(member, length, former);
        let range = LocalRange {
            private: member.private,
            underlay: former,
            previous_underlay: F::Address::NONE.octets(),
            length,
            role: LOCAL_FORMER,
            reserved: [0; 2],
        };
        self.local_ranges.push(((former, length), range));
    }

    fn add_own(&mut self, member: &Member<Octets<F>>, length: u8, former: Octets<F>) {
        let Member { private, underlay, .. } = *member;
        let both = private == underlay;
        for (address, role) in [(private, LOCAL_PRIVATE), (underlay, LOCAL_UNDERLAY)] {
            let role = if both { LOCAL_PRIVATE | LOCAL_UNDERLAY } else { role };
            let range = LocalRange {
                private,
                underlay,
                previous_underlay: former,
                length,
                role,
                reserved: [0; 2],
            };
            self.local_ranges.push(((address, length), range));
        }
    }

    /// Adds a bypass rule.
    pub fn add_bypass(&mut self, slot: u32, protocol: u8, port: u16) {
        let port = port.to_be_bytes();
        self.bypass.insert(BypassKey { slot, protocol, reserved: 0, port });
    }

    /// Sets the rules to check for the peer in `slot`: the whole cluster's, the peer's own, or both.
    pub fn ask_bypass(&mut self, slot: u32, cluster: bool, member: bool) {
        let asked =
            if cluster { BYPASS_CLUSTER } else { 0 } | if member { BYPASS_MEMBER } else { 0 };
        self.change(slot, |peer| peer.bypass = asked);
    }

    /// Resets the entries of the peer in `slot` to their initial state, then applies `change`. `use_former_source` is
    /// the only note of the programs that survives.
    pub fn change(&mut self, slot: u32, change: impl Fn(&mut Peer<Octets<F>>)) {
        let prefixes = self.prefixes.iter_mut().map(|(_, entry)| entry);
        for entry in self.single.values_mut().chain(prefixes) {
            if entry.value().slot == slot {
                let mut peer = entry.initial;
                peer.use_former_source = entry.value().use_former_source;
                change(&mut peer);
                *entry = Entry::new(peer);
            }
        }
    }

    /// Puts `source` and `destination` into the entry under the private `address`, and marks the peer as awaited in the
    /// entry under its public address.
    pub fn await_peer(&mut self, address: Octets<F>, source: Octets<F>, destination: Octets<F>) {
        let Some(entry) = self.single.get_mut(&address) else { panic!("no such peer") };
        let peer = entry.value();
        let (public, tie) = (destination, F::tie(peer.private, destination));
        *entry = Entry::new(Peer { public, local_underlay: source, tie, ..peer });
        let Some(entry) = self.single.get_mut(&peer.public) else { panic!("no public entry") };
        *entry = Entry::new(Peer { awaited: 1, ..entry.value() });
    }

    /// Notes in the entry under `address` that the peer's packets arrive with its private address.
    pub fn note_replies_native(&self, address: Octets<F>) {
        self.note(F::Address::from_octets(address), |peer| peer.set_replies_native(true));
    }

    /// The entry under `address`.
    pub fn value(&self, address: Octets<F>) -> Option<Peer<Octets<F>>> {
        self.entry(address).map(Entry::value)
    }

    fn entry(&self, address: Octets<F>) -> Option<&Entry<Octets<F>>> {
        self.single.get(&address).or_else(|| longest(&self.prefixes, address))
    }

    fn note(&self, address: F::Address, note: impl Fn(&SharedPeer<Octets<F>>)) {
        if let Some(entry) = self.entry(address.octets()) {
            note(entry.shared());
        }
    }
}

fn value<F: Version>(
    member: &Member<Octets<F>>,
    slot: u32,
    peer: &Member<Octets<F>>,
    role: u8,
    length: u8,
) -> Peer<Octets<F>> {
    Peer {
        private: peer.private,
        public: peer.public,
        local_private: member.private,
        local_underlay: member.underlay,
        slot,
        role,
        direct: 0,
        public_flows: 0,
        length,
        bypass: 0,
        replies_native: 0,
        use_former_source: 0,
        awaited: 0,
        tie: F::tie(peer.private, peer.public),
        grace_until: 0,
        expires_at: 0,
    }
}

impl<F: Version> Tables<F::Address> for &HostTables<F> {
    fn peer(&self, address: F::Address) -> PeerLookup<'_, F::Address> {
        let is_missed = self.is_missed(address);
        let look = || self.single.get(&address.octets()).map(Entry::shared);
        let look = || look().filter(|_| !is_missed);
        if let Some(single) = look() {
            // SAFETY: all places are aligned.
            return unsafe { PeerLookup::single(address, single, look) };
        }
        if is_missed {
            return PeerLookup::none();
        }
        PeerLookup::prefix(longest(&self.prefixes, address.octets()).map(Entry::shared))
    }

    fn is_missed(&self, address: F::Address) -> bool {
        self.missed.is_some_and(|missed| missed == address.octets())
    }

    fn conditions(&self, address: F::Address) -> Conditions {
        Conditions(self.entry(address.octets()).map_or(0, |entry| entry.shared().conditions()))
    }

    fn count_rewritten(&self, slot: u32, direction: Direction, count: Count) {
        self.counted.borrow_mut().push((slot, direction, count));
    }

    fn count_router_error(&self, slot: u32, _: Count) {
        self.router_errors.borrow_mut().push(slot);
    }

    fn has_prefixes(&self) -> bool {
        !self.prefixes.is_empty()
    }

    fn is_gateway(&self) -> bool {
        self.is_gateway
    }

    fn has_moved(&self) -> bool {
        self.has_moved
    }

    fn local_range(&self, address: F::Address) -> Option<&LocalRange<Octets<F>>> {
        assert!(self.is_gateway || self.has_moved, "no other host has such a table");
        longest(&self.local_ranges, address.octets())
    }

    fn has_bypass(&self, rule: &BypassKey) -> bool {
        self.bypass.contains(rule)
    }

    fn guarded(&self) -> F::Address {
        self.guarded
    }

    fn is_underlay(&self, address: F::Address) -> bool {
        self.underlay == Some(address.octets())
    }

    fn receiver(&self) -> Receiver {
        self.receiver
    }

    fn has_drained(&self, former: &PeerEntry<'_, F::Address>) -> bool {
        let expires_at = former.expires_at();
        expires_at != 0 && self.now.get() / SECOND >= u64::from(expires_at)
    }

    fn in_grace_period(&self, peer: &PeerEntry<'_, F::Address>) -> bool {
        if self.now.get() / SECOND < u64::from(peer.grace_until()) {
            return true;
        }
        peer.shared().end_grace_period();
        false
    }

    fn set_replies_native(&self, private: F::Address, public: F::Address, is_native: bool) {
        self.note(private, |peer| peer.set_replies_native(is_native));
        self.note(public, |peer| peer.set_replies_native(is_native));
    }

    fn set_use_former_source(&self, private: F::Address, public: F::Address, uses_former: bool) {
        self.note(private, |peer| peer.set_use_former_source(uses_former));
        self.note(public, |peer| peer.set_use_former_source(uses_former));
    }

    fn note_shown(&self, public: F::Address, peer_sends: bool) -> bool {
        let Ok(Some(shown)) = self.peer(public).found() else { return false };
        let agreed = shown.agreed(public);
        // SAFETY: all places are aligned.
        assert!(unsafe { shown.is_still_of(public) });
        if !shown.is_awaited() {
            return true;
        }
        let Some(entry) = self.single.get(&agreed.private) else { return false };
        entry.set(agreed);
        if peer_sends {
            shown.shared().end_waiting();
        }
        true
    }

    fn set_public_flows(&self, private: F::Address, public: F::Address) {
        self.note(private, SharedPeer::set_public_flows);
        self.note(public, SharedPeer::set_public_flows);
    }

    fn insert_flow(&self, flow: &Flow<Octets<F>>, action: FlowAction) {
        self.flows.borrow_mut().insert(*flow, (self.now.get(), action));
    }

    fn delete_flow(&self, flow: &Flow<Octets<F>>) {
        self.flows.borrow_mut().remove(flow);
    }

    fn lookup_flow(&self, flow: &Flow<Octets<F>>) -> Option<FlowAction> {
        let (last_sent, action) = *self.flows.borrow().get(flow)?;
        (self.now.get().wrapping_sub(last_sent) < flow_lifetime(flow)).then_some(action)
    }
}
