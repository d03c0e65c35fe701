//! Brings this host's identity and its peers into the maps, in the order that loses no packet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::rollback::Undo;
use crate::dataplane::maps::{Maps, RecordedSelves};
use crate::error::Error;
use crate::host::clock::monotonic;
use crate::interrupt::Interrupt;
use crate::model::{Drain, MemberName, Private};
use crate::plan::former::{self, Before, Formers};
use crate::plan::handover::{Handover, Moved, OwnMove};
use crate::plan::identity::Identity;
use crate::plan::membership::Membership;
use crate::plan::peer_tables::{self, AppliedChanges, Change, PeerTable, SETTLING, changes};
use crate::plan::{bypass, selves, slots};

/// As many entries are changed between two looks for a signal: some milliseconds.
const AT_ONCE: usize = 8192;

/// The new identity of this host.
#[derive(Clone, Debug)]
pub struct NewSelves {
    /// The members.
    pub identity: Identity,
    /// The private addresses that attach added to the loopback interface.
    pub added: BTreeSet<Private>,
    /// The underlay addresses from before it moved that it still has.
    pub formers: Formers,
    /// The move of this host, which peers have to learn of.
    pub own_move: OwnMove,
}

impl NewSelves {
    /// First attach: no previous identity.
    #[must_use]
    pub fn first(identity: &Identity, added: BTreeSet<Private>) -> Self {
        let identity = identity.clone();
        Self { identity, added, formers: Formers::new(), own_move: OwnMove::default() }
    }

    /// Attach again: the identity was `before`; `held` are the addresses of the interface.
    ///
    /// # Errors
    /// If the maps can't be read.
    pub fn following(
        maps: &Maps,
        before: &Identity,
        identity: &Identity,
        added: BTreeSet<Private>,
        held: &[IpAddr],
    ) -> Result<Self, Error> {
        let earlier = selves::formers(&maps.self_tables()?);
        let formers =
            former::former(Before { identity: before, formers: &earlier }, identity, held);
        let own_move = former::own_move(before, identity, &formers);
        Ok(Self { identity: identity.clone(), added, formers, own_move })
    }

    /// True if there are former addresses to look for.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        !self.formers.is_empty()
    }
}

/// Records who this host is, and adds the ranges at which the programs of a gateway and of a host that has
/// moved accept packets. What is there under private ranges stays for now: packets are sent from the
/// underlay addresses before until peers are marked as those that may not know others. Notes how to take it
/// back.
///
/// # Errors
/// If the kernel refuses.
pub fn set_selves(maps: &mut Maps, wanted: &NewSelves, steps: &mut Vec<Undo>) -> Result<(), Error> {
    steps.push(Undo::RestoreSelves(Box::new(maps.selves()?)));
    let (identity, added) = (wanted.identity.clone(), wanted.added.clone());
    maps.set_selves(&RecordedSelves { identity, added })?;
    let current = maps.self_tables()?;
    let next = selves::tables(&wanted.identity, &wanted.formers);
    maps.set_self_tables(&next.still_sending_as(&current))?;
    steps.push(Undo::RestoreSelfTables(Box::new(current)));
    Ok(())
}

/// Has packets be sent from the underlay addresses of now, to peers that know them.
///
/// # Errors
/// If the kernel refuses.
pub fn switch_source(maps: &mut Maps, wanted: &NewSelves) -> Result<(), Error> {
    maps.set_self_tables(&selves::tables(&wanted.identity, &wanted.formers))
}

/// Removes the ranges that are no longer wanted.
///
/// # Errors
/// If the kernel refuses.
pub fn forget_selves(maps: &mut Maps, wanted: &NewSelves) -> Result<(), Error> {
    maps.retain_self_tables(&selves::tables(&wanted.identity, &wanted.formers))
}

/// The options of a change.
#[derive(Clone, Debug)]
pub struct ChangeOptions {
    /// The time for which packets from peers' former addresses are accepted.
    pub drain: Drain,
    /// Slots of peers that are no longer accepted from where they were.
    pub ended: BTreeSet<u32>,
    /// The state of this host itself.
    pub own: OwnMove,
    /// Its underlay addresses from before it moved.
    pub own_formers: Vec<IpAddr>,
}

impl ChangeOptions {
    /// The options of a change to a file. The file says that this host is `selves`.
    #[must_use]
    pub fn of_file(drain: Drain, selves: &NewSelves) -> Self {
        let own_formers = former_addresses(&selves.formers);
        Self { drain, ended: BTreeSet::new(), own: selves.own_move, own_formers }
    }
}

/// The changes that were made.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The entries of the maps of peers that were set or removed.
    pub entries: usize,
}

/// Brings names, slots, bypass rules and peers to `wanted`, and notes how to take that back.
///
/// # Errors
/// If the kernel refuses, or a signal came.
pub async fn change(
    maps: &mut Maps,
    wanted: &Membership,
    options: &ChangeOptions,
    interrupt: &Interrupt,
    steps: &mut Vec<Undo>,
) -> Result<Changed, Error> {
    let names = maps.names()?;
    let slots = slots::assign(&names, wanted.peers.iter().map(|peer| &peer.name));
    let new: Vec<_> = slots.new.iter().map(|(slot, name)| (*slot, name)).collect();
    for new in new.chunks(AT_ONCE) {
        interrupt.check().await?;
        let of_slots: Vec<u32> = new.iter().map(|(slot, _)| *slot).collect();
        steps.push(names_back(&names, &of_slots));
        maps.clear_peer_counters(&of_slots)?;
        maps.set_names(new.iter().copied())?;
    }
    tracing::debug!("{} peers are new", new.len());
    // New rules before the entries that ask for them, old ones behind.
    let rules = bypass::table(wanted, &slots.by_name);
    steps.push(Undo::RestoreBypass(maps.bypass()?));
    maps.set_bypass(&rules)?;

    let now = monotonic()?;
    let tables = peer_tables::tables(wanted, &slots.by_name, now.saturating_add(SETTLING));
    let current = maps.peers()?;
    let ChangeOptions { drain, own, .. } = *options;
    let (ended, own_formers) = (options.ended.clone(), options.own_formers.clone());
    let handover = Handover { now, drain: drain.seconds(), ended, own, own_formers };
    let tables = handover.successor(&current, &tables);
    tracing::debug!("{} entries of peers were read", current.v4.len() + current.v6.len());
    let v4 = changes(&current.v4, &tables.v4);
    let v6 = changes(&current.v6, &tables.v6);
    let entries = v4.len().saturating_add(v6.len());
    let (v4, result) = make(maps, current.v4, v4, Maps::change_v4, interrupt).await;
    steps.push(Undo::ChangePeersV4(v4));
    result?;
    let (v6, result) = make(maps, current.v6, v6, Maps::change_v6, interrupt).await;
    steps.push(Undo::ChangePeersV6(v6));
    result?;

    maps.retain_bypass(&rules)?;
    let freed: Vec<u32> = slots.freed.into_iter().collect();
    for freed in freed.chunks(AT_ONCE) {
        interrupt.check().await?;
        steps.push(names_back(&names, freed));
        maps.remove_names(freed)?;
    }
    Ok(Changed { entries })
}

/// Makes `changes` of one family, in their order, and tells which were begun.
async fn make<A>(
    maps: &mut Maps,
    before: PeerTable<A>,
    mut changes: Vec<Change<A>>,
    change: fn(&mut Maps, &[Change<A>]) -> Result<(), Error>,
    interrupt: &Interrupt,
) -> (AppliedChanges<A>, Result<(), Error>) {
    let (mut begun, mut result) = (0, Ok(()));
    for some in changes.chunks(AT_ONCE) {
        result = interrupt.check().await;
        if result.is_ok() {
            begun += some.len();
            result = change(maps, some);
        }
        if result.is_err() {
            break;
        }
    }
    changes.truncate(begun);
    (AppliedChanges { before, changes }, result)
}

fn names_back(names: &BTreeMap<u32, MemberName>, slots: &[u32]) -> Undo {
    Undo::Names(slots.iter().map(|slot| (*slot, names.get(slot).cloned())).collect())
}

/// The addresses of `formers`, those of each member with the latest first.
#[must_use]
pub fn former_addresses(formers: &Formers) -> Vec<IpAddr> {
    let single = formers.values().flatten().filter(|former| former.0.is_single());
    single.map(|former| former.0.address()).collect()
}

/// The state of a host that stays where it is.
#[must_use]
pub fn unmoved(has_moved: bool) -> OwnMove {
    let moved = if has_moved { Moved::Before } else { Moved::No };
    OwnMove { v4: moved, v6: moved }
}
