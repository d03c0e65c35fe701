//! Follows an address of a member through the tables: the egress program of a sender, and the ingress program of a
//! receiver.

use std::collections::BTreeSet;

use tunnel_common::peers::{Peer, ROLE_PRIVATE, ROLE_PUBLIC};

use super::Host;
use crate::plan::local_tables::LocalTable;
use crate::plan::longest_match::LongestMatch;
use crate::plan::peer_tables::PeerTable;
use crate::plan::range::{Address, Range};

/// The private and the underlay address of this host that belong to `address`, one of them.
pub(super) fn local<A: Address>(table: &LocalTable<A>, address: A) -> Option<(A, A)> {
    let (range, entry) = LongestMatch::of(table).find(address)?;
    let host = address.number() ^ range.address.number();
    let at = |first: A| Range { address: first, length: entry.length }.at(host);
    Some((at(entry.private), at(entry.underlay)))
}

/// The entries of all hosts.
pub(super) struct Lookup<'a, A> {
    entries: LongestMatch<'a, A, Peer<A>>,
}

impl<'a, A: Address> Lookup<'a, A> {
    pub(super) fn of(table: &'a PeerTable<A>) -> Self {
        Self { entries: LongestMatch::of(table) }
    }

    /// The positions in the host's ranges that stand for all others. A lookup of the private or the public address
    /// gives the same entry for all positions between two of them: another entry begins or ends only at the first
    /// address of a range within, or behind its last one.
    pub(super) fn positions(&self, host: &Host<A>) -> Vec<u128> {
        let mut positions = BTreeSet::from([0]);
        if !host.private.is_single() {
            for range in [host.private, host.public] {
                for inner in self.entries.within(range) {
                    let begin = inner.address.number() ^ range.address.number();
                    positions.extend([begin, begin.saturating_add(inner.size())]);
                }
            }
        }
        positions.into_iter().filter(|position| *position < host.private.size()).collect()
    }

    fn find(&self, without: Option<usize>, address: A) -> Option<(&'a Range<A>, &'a Peer<A>)> {
        let is_there = |peer: &Peer<A>| without != Some(peer.slot as usize);
        self.entries.find_if(address, is_there)
    }

    /// Requires that a packet to the host's private address at this position goes to its public address. `without` is
    /// the sender, whose host lacks its own entries. An address that another member has within the host's range is not
    /// an address of this host.
    pub(super) fn reaches(
        &self,
        without: Option<usize>,
        index: usize,
        host: &Host<A>,
        position: u128,
    ) -> Result<(), String> {
        let (private, public) = (host.private.at(position), host.public.at(position));
        let Some((key, entry)) = self.find(None, private) else {
            return Err(format!("no entry is under {}", private.ip()));
        };
        if entry.slot as usize != index && key.length > host.private.length {
            return Ok(());
        }
        let Some((key, entry)) = self.find(without, private) else {
            return Err(format!("no entry is under {}", private.ip()));
        };
        if entry.role != ROLE_PRIVATE {
            return Err(format!("{} is not a private key", key.prefix()));
        }
        let goes_to = at(entry.public, entry.length, key, private);
        if goes_to != public {
            let (private, goes_to, public) = (private.ip(), goes_to.ip(), public.ip());
            return Err(format!("packets to {private} go to {goes_to}, and not to {public}"));
        }
        match self.find(without, public) {
            Some((_, owner)) if owner.slot as usize == index => Ok(()),
            _ => Err(shadowed(private, public)),
        }
    }

    /// Requires that a packet from the host's public address at this position gets its private address. `without` is
    /// the receiver.
    pub(super) fn is_heard(
        &self,
        without: Option<usize>,
        index: usize,
        host: &Host<A>,
        position: u128,
    ) -> Result<(), String> {
        let (private, public) = (host.private.at(position), host.public.at(position));
        if let Some((key, owner)) = self.find(None, private)
            && owner.slot as usize != index
            && key.length > host.private.length
        {
            return Ok(());
        }
        let Some((key, entry)) = self.find(without, public) else {
            return Err(format!("no entry is under {}", public.ip()));
        };
        if entry.role != ROLE_PUBLIC {
            return Err(format!("{} is not a public key", key.prefix()));
        }
        let comes_from = at(entry.private, entry.length, key, public);
        if comes_from == private {
            return Ok(());
        }
        let (private, comes_from, public) = (private.ip(), comes_from.ip(), public.ip());
        Err(format!("packets from {public} come from {comes_from}, and not from {private}"))
    }
}

/// The address in the range of `first` at the position that `address` has in the range `key`.
fn at<A: Address>(first: A, length: u8, key: &Range<A>, address: A) -> A {
    Range { address: first, length }.at(address.number() ^ key.address.number())
}

fn shadowed<A: Address>(private: A, public: A) -> String {
    format!(
        "{} is at {}, and another member has that public address: its packets are left alone \
         (shadowed)",
        private.ip(),
        public.ip()
    )
}
