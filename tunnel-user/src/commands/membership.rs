//! Who the peers are, brought into the maps in the order that loses no packet.

use nix::time::{ClockId, clock_gettime};

use super::undo::Undo;
use crate::dataplane::maps::Maps;
use crate::failure::{Context as _, Failure};
use crate::interrupt::Interrupt;
use crate::plan::identity::Identity;
use crate::plan::peers::{self, Change, NamedPeer, SETTLING, SlottedPeer};
use crate::plan::slots;

/// Brings names, slots and entries to `wanted`, and notes how to take that back; the number of
/// entries of `peers_v4` that changed.
///
/// # Errors
/// If the kernel refuses, or a signal came.
pub async fn change(
    maps: &mut Maps,
    identity: &Identity,
    wanted: &[NamedPeer],
    interrupt: &Interrupt,
    steps: &mut Vec<Undo>,
) -> Result<usize, Failure> {
    let names = maps.names()?;
    let slots = slots::assign(&names, wanted.iter().map(|peer| &peer.name));
    for (name, slot) in slots.by_name.iter().filter(|(_, slot)| slots.new.contains(slot)) {
        maps.clear_peer_counters(*slot)?;
        maps.set_name(*slot, name)?;
        steps.push(Undo::Name(*slot, names.get(slot).cloned()));
    }
    let slotted: Vec<_> = wanted
        .iter()
        .filter_map(|peer| {
            let slot = *slots.by_name.get(&peer.name)?;
            let NamedPeer { private, public, direct, .. } = *peer;
            Some(SlottedPeer { slot, private, public, direct })
        })
        .collect();
    let current = maps.peers()?;
    let wanted = peers::table(identity, &slotted, monotonic()?.saturating_add(SETTLING));
    let changes = peers::changes(&current, &wanted);
    for change in &changes {
        interrupt.check().await?;
        maps.change_peer(change)?;
        let (Change::Set(key, _) | Change::Remove(key)) = change;
        let back = current.get(key).map_or(Change::Remove(*key), |old| Change::Set(*key, *old));
        steps.push(Undo::ChangePeer(back));
    }
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
