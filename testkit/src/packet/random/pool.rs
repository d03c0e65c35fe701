//! Picks the source and destination addresses of packets.

use super::{Direction, SplitMix};

/// The two addresses of a member, or of a host within a member's two prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<A> {
    /// The private address.
    pub private: A,
    /// The public address; for self, the underlay address.
    pub public: A,
}

/// The addresses of one family. Without peers, the generator makes no packet of the family.
#[derive(Clone, Debug)]
pub struct Pool<A> {
    /// The entries of self: one entry, or all entries that a gateway represents.
    pub local: Vec<Identity<A>>,
    /// The entries of the peers.
    pub peers: Vec<Identity<A>>,
    /// Routers, which send errors.
    pub routers: Vec<A>,
    /// All other addresses: non-members, multicast, loopback, addresses next to prefixes.
    pub strangers: Vec<A>,
}

/// A packet's source and destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends<A> {
    /// The source.
    pub source: A,
    /// The destination.
    pub destination: A,
    /// The source and destination after the rewrite, if the programs can rewrite the packet or a quote of it.
    pub rewritten: Option<(A, A)>,
    /// The name of this pair of addresses in the packet's description.
    pub what: &'static str,
}

/// The relation between the addresses of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    PrivateOut,
    PublicOut,
    PublicIn,
    PrivateIn,
    FromStranger,
    ToStranger,
    FromRouter,
    Any,
}

const OUTWARD: [(usize, Relation); 6] = [
    (66, Relation::PrivateOut),
    (9, Relation::PublicOut),
    (6, Relation::FromStranger),
    (4, Relation::ToStranger),
    (2, Relation::PrivateIn),
    (13, Relation::Any),
];
const INWARD: [(usize, Relation); 7] = [
    (60, Relation::PublicIn),
    (12, Relation::FromRouter),
    (7, Relation::PrivateIn),
    (4, Relation::FromStranger),
    (4, Relation::ToStranger),
    (2, Relation::PublicOut),
    (11, Relation::Any),
];

impl<A: Copy> Pool<A> {
    /// The empty pool of a family without packets.
    #[must_use]
    pub const fn empty() -> Self {
        Self { local: Vec::new(), peers: Vec::new(), routers: Vec::new(), strangers: Vec::new() }
    }

    /// # Panics
    /// If the pool has peers, but no self, router or stranger.
    pub(super) fn assert_usable(&self) {
        let usable =
            !self.local.is_empty() && !self.routers.is_empty() && !self.strangers.is_empty();
        assert!(usable || self.peers.is_empty(), "peers, but no self, router or stranger");
    }

    /// The ends of a packet in this direction.
    pub(super) fn ends(&self, random: &mut SplitMix, direction: Direction) -> Ends<A> {
        let relation = match direction {
            Direction::Egress => random.weighted(&OUTWARD),
            Direction::Ingress => random.weighted(&INWARD),
        };
        self.related(random, relation, direction)
    }

    /// The ends of a packet that is quoted by an error in this direction.
    pub(super) fn quoted_ends(&self, random: &mut SplitMix, direction: Direction) -> Ends<A> {
        let relation = match direction {
            Direction::Egress => random.weighted(&[
                (75, Relation::PrivateIn),
                (10, Relation::PublicIn),
                (15, Relation::Any),
            ]),
            Direction::Ingress => random.weighted(&[
                (75, Relation::PublicOut),
                (10, Relation::PrivateOut),
                (15, Relation::Any),
            ]),
        };
        self.related(random, relation, direction)
    }

    fn related(&self, random: &mut SplitMix, relation: Relation, direction: Direction) -> Ends<A> {
        let us = random.one_of(&self.local);
        let peer = random.one_of(&self.peers);
        let private_out = (us.private, peer.private);
        let public_out = (us.public, peer.public);
        let private_in = (peer.private, us.private);
        let public_in = (peer.public, us.public);
        let ours = direction == Direction::Egress;
        let ends =
            |(source, destination), rewritten, what| Ends { source, destination, rewritten, what };
        match relation {
            Relation::PrivateOut => ends(private_out, Some(public_out), "private, self to peer"),
            Relation::PublicOut => ends(public_out, Some(private_out), "public, self to peer"),
            Relation::PublicIn => ends(public_in, Some(private_in), "public, peer to self"),
            Relation::PrivateIn => {
                let to = random.one_of(&[us.private, us.public]);
                let whole = random.per_mille(700);
                let to = if whole { us.private } else { to };
                ends((peer.private, to), Some(public_in), "private, peer to self")
            }
            Relation::FromStranger => {
                let to = if ours { peer.private } else { us.public };
                ends((self.other(random), to), None, "from a stranger")
            }
            Relation::ToStranger => {
                let from = if ours { us.private } else { peer.public };
                ends((from, self.other(random)), None, "to a stranger")
            }
            Relation::FromRouter => {
                let router = random.one_of(&self.routers);
                ends((router, us.public), Some((router, us.private)), "from a router")
            }
            Relation::Any => ends((self.any(random), self.any(random)), None, "any to any"),
        }
    }

    /// A random address that belongs to no peer.
    fn other(&self, random: &mut SplitMix) -> A {
        match random.below(4) {
            0 => random.one_of(&self.local).public,
            1 => random.one_of(&self.routers),
            _ => random.one_of(&self.strangers),
        }
    }

    /// A random address of the pool.
    pub(super) fn any(&self, random: &mut SplitMix) -> A {
        match random.below(8) {
            0 => random.one_of(&self.local).private,
            1 => random.one_of(&self.local).public,
            2 | 3 => random.one_of(&self.peers).private,
            4 | 5 => random.one_of(&self.peers).public,
            6 => random.one_of(&self.routers),
            _ => random.one_of(&self.strangers),
        }
    }
}
