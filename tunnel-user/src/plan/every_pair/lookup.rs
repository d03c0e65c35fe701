//! Follows an address of a member through the tables: the egress program of a sender, and the ingress program of a
//! receiver.

use std::collections::BTreeSet;

use tunnel_common::peers::{Peer, ROLE_PRIVATE, ROLE_PUBLIC};

use super::Host;
use crate::plan::local_tables::LocalTable;
use crate::plan::longest_match::LongestMatch;
use crate::plan::peer_tables::PeerTable;
use crate::plan::range::{Address, Range};

/// This host's pair of a private and an underlay address that contains `address`.
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

    /// The positions to check in the host's ranges: 0, the start of each inner range, and the position after the end of
    /// each inner range. No entry begins or ends between two consecutive positions, so a lookup of the private or the
    /// public address gives the same entry for all positions between them.
    fn positions(&self, host: &Host<A>) -> Vec<u128> {
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

    /// Requires that the packets of the host `index` get their private source address at the host `at`. `None` stands
    /// for a host that has the entries of all hosts.
    pub(super) fn sends(
        &self,
        hosts: &[Host<A>],
        index: usize,
        at: Option<usize>,
    ) -> Result<(), String> {
        let Some(host) = hosts.get(index) else { return Ok(()) };
        self.positions(host).into_iter().try_for_each(|position| {
            host.knows_itself(position)?;
            self.is_heard(at, index, host, position)
        })
    }

    /// Requires that packets from the host `from` to the host `index` get there. `None` stands for a host that has the
    /// entries of all hosts.
    pub(super) fn receives(
        &self,
        hosts: &[Host<A>],
        index: usize,
        from: Option<usize>,
    ) -> Result<(), String> {
        let Some(host) = hosts.get(index) else { return Ok(()) };
        self.positions(host).into_iter().try_for_each(|position| {
            host.knows_itself(position)?;
            self.reaches(from, index, host, position)
        })
    }

    fn find(&self, without: Option<usize>, address: A) -> Option<(&'a Range<A>, &'a Peer<A>)> {
        let is_there = |peer: &Peer<A>| without != Some(peer.slot as usize);
        self.entries.find_if(address, is_there)
    }

    /// The entry under `address`, which must have this role.
    fn entry(
        &self,
        without: Option<usize>,
        address: A,
        role: u8,
    ) -> Result<(&'a Range<A>, &'a Peer<A>), String> {
        let Some((key, entry)) = self.find(without, address) else {
            return Err(format!("no entry is under {}", address.ip()));
        };
        if entry.role == role {
            return Ok((key, entry));
        }
        let wanted = if role == ROLE_PRIVATE { "private" } else { "public" };
        Err(format!("{} is not a {wanted} key", key.prefix()))
    }

    /// Requires that a packet to the host's private address at this position goes to its public address. `without` is
    /// the sender, whose host lacks its own entries.
    fn reaches(
        &self,
        without: Option<usize>,
        index: usize,
        host: &Host<A>,
        position: u128,
    ) -> Result<(), String> {
        let Some((private, public)) = self.own_addresses(index, host, position)? else {
            return Ok(());
        };
        let (key, entry) = self.entry(without, private, ROLE_PRIVATE)?;
        let goes_to = at(entry.public, entry.length, key, private);
        if goes_to != public {
            let (private, goes_to, public) = (private.ip(), goes_to.ip(), public.ip());
            return Err(format!("packets to {private} go to {goes_to}, and not to {public}"));
        }
        Ok(())
    }

    /// The host's private and public address at this position; `None` if another member has the private address within
    /// the host's range.
    ///
    /// # Errors
    /// If another member has the public address: the network delivers to that member, and the programs leave such
    /// packets alone.
    fn own_addresses(
        &self,
        index: usize,
        host: &Host<A>,
        position: u128,
    ) -> Result<Option<(A, A)>, String> {
        let (private, public) = (host.private.at(position), host.public.at(position));
        if self.is_of_another(index, host, private) {
            return Ok(None);
        }
        if !self.is_of_another(index, host, public) {
            return Ok(Some((private, public)));
        }
        Err(format!(
            "{} is at {}, and another member has that public address: its packets are left alone \
             (shadowed)",
            private.ip(),
            public.ip()
        ))
    }

    /// True if an address of the host's ranges lies within another member's range with a longer prefix.
    fn is_of_another(&self, index: usize, host: &Host<A>, address: A) -> bool {
        self.find(None, address).is_some_and(|(key, owner)| {
            owner.slot as usize != index && key.length > host.private.length
        })
    }

    /// Requires that a packet from the host's public address at this position gets its private address. `without` is
    /// the receiver.
    fn is_heard(
        &self,
        without: Option<usize>,
        index: usize,
        host: &Host<A>,
        position: u128,
    ) -> Result<(), String> {
        let Some((private, public)) = self.own_addresses(index, host, position)? else {
            return Ok(());
        };
        let (key, entry) = self.entry(without, public, ROLE_PUBLIC)?;
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
