//! Who this host and its peers are, brought into the maps in the order that loses no packet.

use std::collections::BTreeSet;

use nix::time::{ClockId, clock_gettime};

use super::undo::Undo;
use crate::address::Private;
use crate::dataplane::maps::{Maps, PeerChange, RecordedSelves};
use crate::failure::{Context as _, Failure};
use crate::interrupt::Interrupt;
use crate::plan::identity::Identity;
use crate::plan::membership::Membership;
use crate::plan::peer_tables::{self, SETTLING};
use crate::plan::{bypass, selves, slots};

/// Records who this host is, and adds the ranges by which a gateway's programs know it; those that
/// are no longer wanted stay, as programs that still run may need them. Notes how to take it back.
///
/// # Errors
/// If the kernel refuses.
pub fn set_selves(
    maps: &mut Maps,
    identity: &Identity,
    added: BTreeSet<Private>,
    steps: &mut Vec<Undo>,
) -> Result<(), Failure> {
    steps.push(Undo::RestoreSelves(Box::new(maps.selves()?)));
    maps.set_selves(&RecordedSelves { identity: identity.clone(), added })?;
    steps.push(Undo::RestoreSelfTables(Box::new(maps.self_tables()?)));
    maps.set_self_tables(&selves::tables(identity))
}

/// Removes the ranges that are no longer wanted.
///
/// # Errors
/// If the kernel refuses.
pub fn forget_selves(maps: &mut Maps, identity: &Identity) -> Result<(), Failure> {
    maps.retain_self_tables(&selves::tables(identity))
}

/// Brings names, slots, bypass rules and peers to `wanted`, and notes how to take that back; the
/// number of entries of the maps of peers that changed.
///
/// # Errors
/// If the kernel refuses, or a signal came.
pub async fn change(
    maps: &mut Maps,
    wanted: &Membership,
    interrupt: &Interrupt,
    steps: &mut Vec<Undo>,
) -> Result<usize, Failure> {
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

    let settled_at = monotonic()?.saturating_add(SETTLING);
    let tables = peer_tables::tables(wanted, &slots.by_name, settled_at);
    let current = maps.peers()?;
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
    Ok(changes.len())
}

/// Seconds of CLOCK_MONOTONIC, which `bpf_ktime_get_ns` counts as well.
fn monotonic() -> Result<u32, Failure> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).doing(|| "reading the clock".into())?;
    u32::try_from(now.tv_sec()).doing(|| "reading the clock".into())
}
