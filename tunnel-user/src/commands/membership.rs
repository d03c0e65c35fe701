//! Who this host and its peers are, brought into the maps in the order that loses no packet.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::undo::Undo;
use crate::address::Private;
use crate::config::Drain;
use crate::dataplane::maps::{Maps, PeerChange, RecordedSelves};
use crate::failure::Failure;
use crate::host::clock::monotonic;
use crate::interrupt::Interrupt;
use crate::plan::former::{self, Before, Formers};
use crate::plan::greeting::{Greeting, greetings};
use crate::plan::handover::{Handover, Moved, OwnMove};
use crate::plan::identity::Identity;
use crate::plan::membership::Membership;
use crate::plan::peer_tables::{self, SETTLING};
use crate::plan::{bypass, selves, slots};

/// Who this host is from now on.
#[derive(Clone, Debug)]
pub struct NewSelves {
    /// The members.
    pub identity: Identity,
    /// The private addresses that attach added to the loopback interface.
    pub added: BTreeSet<Private>,
    /// The underlay addresses from before it moved that it still has.
    pub formers: Formers,
    /// Whether peers are to learn of a move.
    pub own_move: OwnMove,
}

impl NewSelves {
    /// Of a host that was nobody before.
    #[must_use]
    pub fn first(identity: &Identity, added: BTreeSet<Private>) -> Self {
        let identity = identity.clone();
        Self { identity, added, formers: Formers::new(), own_move: OwnMove::default() }
    }

    /// Of a host that was `before`; `held` are the addresses of its interface.
    ///
    /// # Errors
    /// If the maps can't be read.
    pub fn following(
        maps: &Maps,
        before: &Identity,
        identity: &Identity,
        added: BTreeSet<Private>,
        held: &[IpAddr],
    ) -> Result<Self, Failure> {
        let earlier = selves::formers(&maps.self_tables()?);
        let formers =
            former::former(Before { identity: before, formers: &earlier }, identity, held);
        let own_move = former::own_move(before, identity, &formers);
        Ok(Self { identity: identity.clone(), added, formers, own_move })
    }

    /// Whether there are former addresses to look for.
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
pub fn set_selves(
    maps: &mut Maps,
    wanted: &NewSelves,
    steps: &mut Vec<Undo>,
) -> Result<(), Failure> {
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
pub fn send_from_now(maps: &mut Maps, wanted: &NewSelves) -> Result<(), Failure> {
    maps.set_self_tables(&selves::tables(&wanted.identity, &wanted.formers))
}

/// Removes the ranges that are no longer wanted.
///
/// # Errors
/// If the kernel refuses.
pub fn forget_selves(maps: &mut Maps, wanted: &NewSelves) -> Result<(), Failure> {
    maps.retain_self_tables(&selves::tables(&wanted.identity, &wanted.formers))
}

/// How the change is to be made.
#[derive(Clone, Debug)]
pub struct Manner {
    /// For how long packets from where peers were are accepted.
    pub drain: Drain,
    /// Slots of peers that are no longer accepted from where they were.
    pub ended: BTreeSet<u32>,
    /// How this host itself stands.
    pub own: OwnMove,
}

/// What was changed.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The entries of the maps of peers that were set or removed.
    pub entries: usize,
    /// Peers that are to hear that this host sends to them at another address.
    pub greetings: Vec<Greeting>,
}

/// Brings names, slots, bypass rules and peers to `wanted`, and notes how to take that back.
///
/// # Errors
/// If the kernel refuses, or a signal came.
pub async fn change(
    maps: &mut Maps,
    wanted: &Membership,
    manner: &Manner,
    interrupt: &Interrupt,
    steps: &mut Vec<Undo>,
) -> Result<Changed, Failure> {
    let names = maps.names()?;
    let slots = slots::assign(&names, wanted.peers.iter().map(|peer| &peer.name));
    for (name, slot) in slots.by_name.iter().filter(|(_, slot)| slots.new.contains(slot)) {
        maps.clear_peer_counters(*slot)?;
        maps.set_name(*slot, name)?;
        steps.push(Undo::Name(*slot, names.get(slot).cloned()));
    }
    // New rules before the entries that ask for them, old ones behind.
    let rules = bypass::table(wanted, &slots.by_name);
    steps.push(Undo::RestoreBypass(maps.bypass()?));
    maps.set_bypass(&rules)?;

    let now = monotonic()?;
    let tables = peer_tables::tables(wanted, &slots.by_name, now.saturating_add(SETTLING));
    let current = maps.peers()?;
    let Manner { drain, ref ended, own } = *manner;
    let handover = Handover { now, drain: drain.seconds(), ended: ended.clone(), own };
    let tables = handover.successor(&current, &tables);
    let changes = PeerChange::all(&current, &tables);
    for change in &changes {
        interrupt.check().await?;
        maps.change_peer(change)?;
        steps.push(Undo::ChangePeer(change.back(&current)));
    }
    maps.retain_bypass(&rules)?;
    for slot in &slots.freed {
        maps.remove_name(*slot)?;
        steps.push(Undo::Name(*slot, names.get(slot).cloned()));
    }
    Ok(Changed { entries: changes.len(), greetings: greetings(&current, &tables) })
}

/// How this host stands while it stays where it is.
#[must_use]
pub fn staying(has_moved: bool) -> OwnMove {
    let moved = if has_moved { Moved::Before } else { Moved::No };
    OwnMove { v4: moved, v6: moved }
}
