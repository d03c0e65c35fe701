//! Checks from the file alone that a packet between any two members arrives with the addresses it was sent with.
//!
//! All hosts have the same entries, apart from two things: a host lacks its own entries, and its own addresses are in
//! all of its entries (see [`Own`]). So the check of one table and of each member replaces the check of each pair
//! (docs/decisions/0051): if a member's addresses are right in the table of all members, then they are right on each
//! other host. A member that fails is checked again with each other member, whose host lacks its own entries.

mod lookup;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::config::{Cluster, Member};
use crate::model::{Family, MemberName};
use crate::plan::identity::Identity;
use crate::plan::peer_entries::{self, Own};
use crate::plan::peer_tables::PeerTable;
use crate::plan::peers::NamedPeer;
use crate::plan::previous_underlays::PreviousUnderlays;
use crate::plan::range::{Address, Range};
use crate::plan::{every_pair::lookup::Lookup, local_tables};

/// The maximum number of failing pairs that a result lists.
pub const LISTED: usize = 1_000;

/// The result for one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The number of ordered pairs, in both families; pairs without a common family count once.
    pub pairs: u64,
    /// The number of pairs that fail.
    pub failed_pairs: u64,
    /// The failing pairs, at most [`LISTED`].
    pub failures: Vec<Failed>,
}

/// A pair of members whose packets do not arrive as they were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The sender.
    pub from: MemberName,
    /// The receiver.
    pub to: MemberName,
    /// The failure in words.
    pub what: String,
}

impl Checked {
    fn fail(&mut self, from: &MemberName, to: &MemberName, what: impl FnOnce() -> String) {
        self.failed_pairs = self.failed_pairs.saturating_add(1);
        if self.failures.len() < LISTED {
            self.failures.push(Failed { from: from.clone(), to: to.clone(), what: what() });
        }
    }
}

/// Checks every pair of members of the cluster, in each family.
#[must_use]
pub fn check(cluster: &Cluster) -> Checked {
    let mut checked = Checked::default();
    without_common_family(cluster.members(), &mut checked);
    Hosts::<[u8; 4]>::of(cluster).check(&mut checked);
    Hosts::<[u8; 16]>::of(cluster).check(&mut checked);
    checked
}

/// Attach refuses a peer without a common family.
fn without_common_family(members: &[Member], checked: &mut Checked) {
    let only = |family: Family, other: Family| {
        let has_only = move |member: &&Member| {
            member.mapping(family).is_some() && member.mapping(other).is_none()
        };
        members.iter().filter(has_only).collect::<Vec<_>>()
    };
    let (v4, v6) = (only(Family::Ipv4, Family::Ipv6), only(Family::Ipv6, Family::Ipv4));
    for (a, b) in v4.iter().flat_map(|a| v6.iter().map(move |b| (a, b))) {
        for (from, to) in [(a, b), (b, a)] {
            checked.pairs = checked.pairs.saturating_add(1);
            checked.fail(&from.name, &to.name, || {
                "they have no family in common, so attach refuses the file".into()
            });
        }
    }
}

/// A member's host, with its addresses of one family.
struct Host<A> {
    name: MemberName,
    private: Range<A>,
    public: Range<A>,
    underlay: Range<A>,
    /// The part of its peers' entries that depends on this host.
    own: Own<A>,
    /// The entries of `local_*`, which a gateway uses in place of `own`.
    local: Option<local_tables::LocalTable<A>>,
}

/// The hosts of all members with addresses of one family, and the table with the entries of all of them. The slot of an
/// entry is the index of its host.
struct Hosts<A> {
    hosts: Vec<Host<A>>,
    table: PeerTable<A>,
}

impl<A: Address> Hosts<A>
where
    local_tables::LocalTables: OfFamily<A>,
{
    fn of(cluster: &Cluster) -> Self {
        let mut hosts = Vec::new();
        let mut entries = Vec::new();
        for member in cluster.members() {
            let Some(mapping) = member.mapping(A::FAMILY) else { continue };
            let ranges = [mapping.private().0, mapping.public().0, mapping.underlay().0];
            let [Some(private), Some(public), Some(underlay)] = ranges.map(Range::of) else {
                continue;
            };
            let slot = u32::try_from(hosts.len()).unwrap_or(u32::MAX);
            let peer = NamedPeer::from(member);
            entries.extend(peer_entries::entries(&Own::<A>::default(), &peer, slot, 0));
            let identity = Identity::new(vec![member.into()]);
            let local = identity
                .is_gateway()
                .then(|| local_tables::tables(&identity, &PreviousUnderlays::new()).of_family());
            let own = Own::of(&identity, false);
            let name = member.name.clone();
            hosts.push(Host { name, private, public, underlay, own, local });
        }
        Self { hosts, table: entries.into_iter().collect() }
    }

    fn check(&self, checked: &mut Checked) {
        let count = self.hosts.len() as u64;
        checked.pairs = checked.pairs.saturating_add(count.saturating_mul(count.saturating_sub(1)));
        let lookup = Lookup::of(&self.table);
        // `None` stands for a host that has the entries of all hosts. Two hosts that pass this check are a right pair.
        let is_wrong = |index: &usize| {
            let is_sent = lookup.sends(&self.hosts, *index, None);
            is_sent.and_then(|()| lookup.receives(&self.hosts, *index, None)).is_err()
        };
        let wrong: BTreeSet<usize> = (0..self.hosts.len()).filter(is_wrong).collect();
        for index in &wrong {
            for other in 0..self.hosts.len() {
                let is_done = wrong.contains(&other) && other <= *index;
                if is_done {
                    continue;
                }
                for (from, to) in [(*index, other), (other, *index)] {
                    let is_sent = lookup.sends(&self.hosts, from, Some(to));
                    let arrives =
                        is_sent.and_then(|()| lookup.receives(&self.hosts, to, Some(from)));
                    if let (Err(what), Some(from), Some(to)) =
                        (arrives, self.hosts.get(from), self.hosts.get(to))
                    {
                        checked.fail(&from.name, &to.name, || what);
                    }
                }
            }
        }
    }
}

impl<A: Address> Host<A> {
    /// Requires that the host turns its private address at this position into its underlay address, and back.
    fn knows_itself(&self, position: u128) -> Result<(), String> {
        let (private, underlay) = (self.private.at(position), self.underlay.at(position));
        let is_right = match &self.local {
            Some(local) => {
                let found = |address| lookup::local(local, address);
                found(private).is_some_and(|range| range.1 == underlay)
                    && found(underlay).is_some_and(|range| range.0 == private)
            }
            None => self.own.private == private && self.own.underlay == underlay,
        };
        if is_right {
            return Ok(());
        }
        let (name, private, underlay) = (&self.name, private.ip(), underlay.ip());
        Err(format!("{name} does not know itself as {private} at {underlay}"))
    }
}

/// Selects the table of one family.
trait OfFamily<A> {
    fn of_family(self) -> local_tables::LocalTable<A>;
}

impl OfFamily<[u8; 4]> for local_tables::LocalTables {
    fn of_family(self) -> local_tables::LocalTable<[u8; 4]> {
        self.v4
    }
}

impl OfFamily<[u8; 16]> for local_tables::LocalTables {
    fn of_family(self) -> local_tables::LocalTable<[u8; 16]> {
        self.v6
    }
}
