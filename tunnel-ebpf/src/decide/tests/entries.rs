//! Holds the entries of a host's tables.

use std::cell::UnsafeCell;

use tunnel_common::peers::Peer;

use crate::peer_entry::SharedPeer;

/// The entry under one address in the table of peers, and its initial state, before any write by the programs.
pub struct Entry<A> {
    pub initial: Peer<A>,
    place: Box<Place<A>>,
}

/// Aligned to 8 bytes, as in the kernel.
#[repr(align(8))]
struct Place<A>(UnsafeCell<Peer<A>>);

impl<A: Copy> Entry<A> {
    pub fn new(peer: Peer<A>) -> Self {
        Self { initial: peer, place: Box::new(Place(UnsafeCell::new(peer))) }
    }

    pub fn value(&self) -> Peer<A> {
        // SAFETY: nothing else accesses the place while the value is copied.
        unsafe { *self.place.0.get() }
    }

    pub fn set(&self, peer: Peer<A>) {
        // SAFETY: nothing else accesses the place while the value is written.
        unsafe { *self.place.0.get() = peer };
    }

    pub fn shared(&self) -> &SharedPeer<A> {
        // SAFETY: the place exists for as long as the entry.
        unsafe { SharedPeer::at(self.place.0.get()) }
    }
}

/// An address and its prefix length.
pub type Prefix<A> = (A, u8);

/// The entry under each prefix.
pub type Trie<A, V> = Vec<(Prefix<A>, V)>;

/// The value under the longest prefix that contains `address`, found bit by bit.
pub fn longest<A: AsRef<[u8]>, V>(prefixes: &[(Prefix<A>, V)], address: A) -> Option<&V> {
    let bit = |address: &A, bit: usize| address.as_ref()[bit / 8] >> (7 - bit % 8) & 1;
    let holds = |((network, length), _): &&(Prefix<A>, V)| {
        (0..usize::from(*length)).all(|i| bit(network, i) == bit(&address, i))
    };
    let found = prefixes.iter().filter(holds).max_by_key(|((_, length), _)| *length);
    found.map(|(_, value)| value)
}
