//! Accesses a peer's entry in a map, in memory that the kernel, the loader and other processors may write at any time.

use core::cell::UnsafeCell;
use core::hint::cold_path;
use core::mem::offset_of;
use core::ptr;

use tunnel_common::outcome::Reason;
use tunnel_common::peers::{Peer, ROLE_PRIVATE};

use crate::address::Address;
use crate::conditions::Conditions;

/// A [`Peer`] in the map's memory. Each read and each write is one access to one field or word.
#[repr(transparent)]
pub struct SharedPeer<O>(UnsafeCell<Peer<O>>);

/// Reads a field of a shared peer.
macro_rules! load {
    ($shared:expr, $field:ident) => {
        // SAFETY: the pointer points to a live entry. The read is volatile, since the field may change at any time. The
        // field consists of integers, for which every bit pattern is a value.
        unsafe { (&raw const (*$shared.0.get()).$field).read_volatile() }
    };
}

/// Reads an address of a shared peer word by word; a read of its octets would be one access per byte.
macro_rules! load_address {
    ($shared:expr, $field:ident) => {
        // SAFETY: the pointer points to a live entry. The entry's addresses lie at multiples of 4 bytes, as
        // tunnel-common asserts.
        unsafe { A::load(&raw const (*$shared.0.get()).$field) }
    };
}

/// Writes a field of a shared peer.
macro_rules! store {
    ($shared:expr, $field:ident, $value:expr) => {
        // SAFETY: the pointer points to a live entry, and the cell permits writing through a shared reference.
        unsafe { (&raw mut (*$shared.0.get()).$field).write_volatile($value) }
    };
}

impl<O> SharedPeer<O> {
    /// The entry at `place`.
    ///
    /// # Safety
    /// `place` holds an entry for the lifetime `'a`. The entry may change, and the kernel may give it to another key.
    #[must_use]
    #[inline(always)]
    pub const unsafe fn at<'a>(place: *mut Peer<O>) -> &'a Self {
        // SAFETY: the caller guarantees that `place` holds an entry, and the type is transparent.
        unsafe { &*place.cast::<Self>() }
    }

    /// Reads two adjacent words of 4 bytes, `offset` bytes from the entry's start, in one access.
    ///
    /// # Safety
    /// The words lie within the entry, at a multiple of 8 bytes in memory.
    #[inline(always)]
    pub(crate) unsafe fn pair(&self, offset: usize) -> u64 {
        // SAFETY: the caller guarantees the words' bounds and alignment.
        unsafe { self.0.get().byte_add(offset).cast::<u64>().read_volatile() }
    }

    /// `direct`, `replies_native`, `public_flows` and `bypass`, in this order, in one word. All are 0 for most
    /// peers.
    #[must_use]
    #[inline(always)]
    pub fn conditions(&self) -> u32 {
        // SAFETY: the four fields are adjacent and aligned for a u32, as tunnel-common asserts.
        unsafe { self.0.get().byte_add(offset_of!(Peer<O>, direct)).cast::<u32>().read_volatile() }
    }

    /// Notes that this host has flows with the peer in which its own underlay address is an end point.
    #[inline(always)]
    pub fn set_public_flows(&self) {
        store!(self, public_flows, 1);
    }

    /// Sets the source of packets to the peer: this host's former underlay address or its current one.
    #[inline(always)]
    pub fn set_use_former_source(&self, uses_former: bool) {
        store!(self, use_former_source, u8::from(uses_former));
    }

    /// Notes that the peer has shown that it sends between the entry's pair of addresses.
    #[inline(always)]
    pub fn end_waiting(&self) {
        store!(self, awaited, 0);
    }

    /// Notes whether packets to the direct peer leave unchanged.
    #[inline(always)]
    pub fn set_replies_native(&self, is_native: bool) {
        store!(self, replies_native, u8::from(is_native));
    }

    /// Ends the grace period.
    #[inline(always)]
    pub fn end_grace_period(&self) {
        store!(self, grace_until, 0);
    }
}

/// A sentinel in `PeerEntry::role`: no peer has the address.
const ABSENT: u8 = 0;
/// A sentinel in `PeerEntry::role`: the lookup found an entry that the kernel had given to another key.
const CONTENDED: u8 = u8::MAX;

/// The result of a lookup by address: an entry, or none.
///
/// All fields of this struct are always set. If this were an enum, the optimiser would copy fields that a branch left
/// unset, and the verifier refuses such a copy.
pub struct PeerLookup<'a, A: Address>(PeerEntry<'a, A>);

impl<'a, A: Address> PeerLookup<'a, A> {
    /// The entry that was found.
    ///
    /// # Errors
    /// [`Reason::Contended`] if the kernel had given the found entry to another key, and no repeated lookup
    /// found the address's own entry.
    #[inline(always)]
    pub fn found(self) -> Result<Option<PeerEntry<'a, A>>, Reason> {
        match self.0.role {
            ABSENT => Ok(None),
            CONTENDED => {
                cold_path();
                Err(Reason::Contended)
            }
            _ => Ok(Some(self.0)),
        }
    }

    /// No entry.
    #[must_use]
    #[inline(always)]
    pub const fn none() -> Self {
        Self(PeerEntry::without(ABSENT))
    }

    /// The entry `shared`, which a lookup of `address` in a hash map found. The kernel may give the entry to another
    /// key at any moment: `again` then repeats the lookup.
    ///
    /// # Safety
    /// Entries lie at multiples of 8 bytes.
    #[inline(always)]
    pub unsafe fn single(
        address: A,
        shared: &'a SharedPeer<A::Octets>,
        again: impl FnOnce() -> Option<&'a SharedPeer<A::Octets>>,
    ) -> Self {
        // SAFETY: the caller guarantees the entry's alignment.
        let entry = unsafe { PeerEntry::of_single(shared, address) };
        if entry.role != CONTENDED {
            return Self(entry);
        }
        cold_path();
        let Some(shared) = again() else { return Self(entry) };
        // SAFETY: the caller guarantees the entry's alignment.
        Self(unsafe { PeerEntry::of_single(shared, address) })
    }

    /// The entry of a prefix, if there is one.
    #[must_use]
    #[inline(always)]
    pub fn prefix(shared: Option<&'a SharedPeer<A::Octets>>) -> Self {
        shared.map_or_else(Self::none, |shared| Self(PeerEntry::of_prefix(shared)))
    }
}

/// An entry under one of a peer's addresses. Inside a [`PeerLookup`], it may also stand for a failed lookup: `role` is
/// then a sentinel.
pub struct PeerEntry<'a, A: Address> {
    /// Null if `role` is a sentinel.
    place: *const SharedPeer<A::Octets>,
    role: u8,
    counterpart: A,
    lifetime: core::marker::PhantomData<&'a SharedPeer<A::Octets>>,
}

impl<A: Address> Clone for PeerEntry<'_, A> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Address> Copy for PeerEntry<'_, A> {}

impl<'a, A: Address> PeerEntry<'a, A> {
    #[inline(always)]
    const fn without(role: u8) -> Self {
        Self { place: ptr::null(), role, counterpart: A::NONE, lifetime: core::marker::PhantomData }
    }

    #[inline(always)]
    fn of(shared: &'a SharedPeer<A::Octets>, role: u8, counterpart: A) -> Self {
        let (place, lifetime) = (ptr::from_ref(shared), core::marker::PhantomData);
        Self { place, role, counterpart, lifetime }
    }

    /// The entry `shared` of a hash map, if it still belongs to `address`.
    ///
    /// # Safety
    /// The entry lies at a multiple of 8 bytes.
    #[inline(always)]
    unsafe fn of_single(shared: &'a SharedPeer<A::Octets>, address: A) -> Self {
        let role = load!(shared, role);
        // SAFETY: the caller guarantees the entry's alignment.
        let (counterpart, is_its) = unsafe { address.counterpart(shared, role == ROLE_PRIVATE) };
        if !is_its || role == ABSENT {
            return Self::without(CONTENDED);
        }
        Self::of(shared, role, counterpart)
    }

    /// The entry of a prefix. The kernel keeps the entries of a trie for as long as a program may hold them
    /// (Linux, kernel/bpf/lpm_trie.c, trie_update_elem: kfree_rcu; since 6.13 bpf_mem_cache_free_rcu).
    #[inline(always)]
    fn of_prefix(shared: &'a SharedPeer<A::Octets>) -> Self {
        let role = load!(shared, role);
        let counterpart = match role {
            ROLE_PRIVATE => load_address!(shared, public),
            _ => load_address!(shared, private),
        };
        Self::of(shared, role, counterpart)
    }

    /// The entry in the map's memory, for the programs to write notes into.
    #[must_use]
    #[inline(always)]
    pub const fn shared(&self) -> &'a SharedPeer<A::Octets> {
        // SAFETY: callers get only entries that a lookup found, and the entry stays in place.
        unsafe { &*self.place }
    }

    /// The role of the key among the peer's addresses: see [`Peer::role`].
    #[must_use]
    #[inline(always)]
    pub const fn role(&self) -> u8 {
        self.role
    }

    /// The peer's other address: the public address in an entry under the private one, and vice versa. For a
    /// prefix, its first address.
    #[must_use]
    #[inline(always)]
    pub const fn counterpart(&self) -> A {
        self.counterpart
    }

    /// See [`Peer::local_private`].
    #[must_use]
    #[inline(always)]
    pub fn local_private(&self) -> A {
        load_address!(self.shared(), local_private)
    }

    /// See [`Peer::local_underlay`].
    #[must_use]
    #[inline(always)]
    pub fn local_underlay(&self) -> A {
        load_address!(self.shared(), local_underlay)
    }

    /// See [`Peer::slot`].
    #[must_use]
    #[inline(always)]
    pub fn slot(&self) -> u32 {
        load!(self.shared(), slot)
    }

    /// See [`Peer::length`].
    #[must_use]
    #[inline(always)]
    pub fn length(&self) -> u8 {
        load!(self.shared(), length)
    }

    /// True if packets to the peer leave from this host's former underlay address.
    #[must_use]
    #[inline(always)]
    pub fn uses_former_source(&self) -> bool {
        load!(self.shared(), use_former_source) == 1
    }

    /// True if the peer has not yet shown that it sends between the entry's pair of addresses.
    #[must_use]
    #[inline(always)]
    pub fn is_awaited(&self) -> bool {
        load!(self.shared(), awaited) == 1
    }

    /// True if the hash entry still belongs to `address`, the key of the lookup.
    ///
    /// # Safety
    /// The entry lies at a multiple of 8 bytes.
    #[must_use]
    #[inline(always)]
    pub unsafe fn is_still_of(&self, address: A) -> bool {
        // SAFETY: the caller guarantees the entry's alignment.
        let (_, is_its) = unsafe { address.counterpart(self.shared(), self.role == ROLE_PRIVATE) };
        is_its
    }

    /// A new entry for the peer's private address. With the new entry, packets to the peer go between `address` and
    /// this entry's `local_underlay`. `address` is this entry's key: a public address, and not a prefix. The result is
    /// valid if this entry still belongs to `address` afterwards.
    #[must_use]
    #[inline(always)]
    pub fn agreed(&self, address: A) -> Peer<A::Octets> {
        let [direct, replies_native, public_flows, bypass] = self.conditions().0.to_ne_bytes();
        Peer {
            private: self.counterpart.octets(),
            public: address.octets(),
            local_private: self.local_private().octets(),
            local_underlay: self.local_underlay().octets(),
            tie: A::tie(self.counterpart, address),
            slot: self.slot(),
            role: ROLE_PRIVATE,
            length: A::BITS,
            use_former_source: 0,
            awaited: 0,
            direct,
            replies_native,
            public_flows,
            bypass,
            grace_until: 0,
            expires_at: 0,
        }
    }

    /// The rare conditions for packets to and from the peer.
    #[must_use]
    #[inline(always)]
    pub fn conditions(&self) -> Conditions {
        Conditions(self.shared().conditions())
    }

    /// See [`Peer::grace_until`].
    #[must_use]
    #[inline(always)]
    pub fn grace_until(&self) -> u32 {
        load!(self.shared(), grace_until)
    }

    /// See [`Peer::expires_at`].
    #[must_use]
    #[inline(always)]
    pub fn expires_at(&self) -> u32 {
        load!(self.shared(), expires_at)
    }
}
