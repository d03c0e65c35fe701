//! Changes an attachment from one ABI to the other, step by step.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use aya::Pod;
use aya::maps::lpm_trie::Key;
use tunnel_common::attachment::Attachment;
use tunnel_common::maps;
use tunnel_common::outcome::{Direction, Reason, ReasonCounters};
use tunnel_common::peers::{Peer, PeerKey};

use super::convert::caught_up;
use super::peer_counters::{self, larger_count};
use super::pinned::Pinned;
use super::previous_abi::{self as previous, SHARED};
use super::{Abi, pin_again, remove, under_way};
use crate::dataplane::load::load_of;
use crate::dataplane::pins::Folder;
use crate::dataplane::{hook, resize};
use crate::error::{Context as _, Error};
use crate::host::netlink::Netlink;
use crate::plan::attach_point::{AttachPoint, BOTH, Hook, Ingress, LoadOptions, Program};
use crate::plan::range::Address;

/// The counts of each reason at the time of the copy, by direction and CPU.
type Counted = [Vec<ReasonCounters>; 2];

/// Converts the pins in `folder` from the other ABI to `abi`, and replaces the running programs.
///
/// # Errors
/// If the kernel refuses. The running programs then keep running.
pub async fn change(folder: &Folder, abi: Abi, netlink: &Netlink) -> Result<(), Error> {
    let counted = match prepare(folder, abi) {
        Ok(counted) => counted,
        Err(failure) => {
            clear(folder)?;
            return Err(failure);
        }
    };
    complete(folder, abi, Some(&counted), netlink).await
}

/// Removes the incomplete folder of a change that was killed or failed during its preparation.
///
/// # Errors
/// If bpffs refuses.
pub fn clear(folder: &Folder) -> Result<(), Error> {
    Abi::ALL.into_iter().try_for_each(|abi| remove(&folder.within(abi.unfinished())))
}

/// Completes a killed change. Returns the change's target ABI; `None` if there was no such change.
///
/// # Errors
/// If the kernel refuses.
pub async fn go_on(folder: &Folder, netlink: &Netlink) -> Result<Option<Abi>, Error> {
    let Some(abi) = under_way(folder) else { return Ok(None) };
    complete(folder, abi, None, netlink).await?;
    Ok(Some(abi))
}

/// Creates and fills the new maps of `abi`, and pins the new programs beside them. Returns the counts at the time of
/// the copy.
fn prepare(folder: &Folder, abi: Abi) -> Result<Counted, Error> {
    clear(folder)?;
    let unfinished = folder.within(abi.unfinished());
    unfinished.create()?;
    for (of_previous, of_current) in SHARED {
        let (from, to) = match abi {
            Abi::Current => (of_previous, of_current),
            Abi::Previous => (of_current, of_previous),
        };
        pin_again(&folder.map(from), &unfinished.map(to))?;
    }
    let old = Pinned::of(folder, abi.other());
    let attachment = old.attachment()?;
    let options = options(&attachment);
    let mut loaded = load_of(abi, &unfinished, &resize::pinned(folder)?, &options)?;
    for program in BOTH.map(|direction| options.place.program(direction)) {
        hook::pin_to(&mut loaded, program, &unfinished.program(program))?;
    }
    let new = Pinned::of(&unfinished, abi);
    new.set_attachment(&attachment)?;
    copy_family::<[u8; 4]>(&old, &new, maps::PEERS_V4, maps::PREFIXES_V4)?;
    copy_family::<[u8; 16]>(&old, &new, maps::PEERS_V6, maps::PREFIXES_V6)?;
    let mut counted = Counted::default();
    for (direction, counted) in BOTH.into_iter().zip(&mut counted) {
        *counted = old.reasons(direction)?;
        new.set_reasons(direction, counted.clone())?;
    }
    let next = folder.within(abi.next());
    fs::rename(unfinished.path(), next.path())
        .context(|| format!("moving {}", unfinished.path().display()))?;
    Ok(counted)
}

/// The options with which the running programs were loaded. The record of a killed attach may lack the attach point.
/// This function then assumes tcx and ingress at tc. The assumption does no harm: the programs of a killed attach do
/// not run, or the next attach or detach removes them.
fn options(attachment: &Attachment) -> LoadOptions {
    let none = AttachPoint { hook: Hook::Tcx, ingress: Ingress::Tc };
    let place = AttachPoint::from_codes(attachment.hook, attachment.ingress).unwrap_or(none);
    LoadOptions::recorded(place, attachment)
}

fn copy_family<A: Address + Pod>(
    old: &Pinned<'_>,
    new: &Pinned<'_>,
    peers: &'static str,
    prefixes: &'static str,
) -> Result<(), Error>
where
    PeerKey<A>: Pod,
    Peer<A>: Pod,
    previous::Peer<A>: Pod,
{
    new.set_peers::<A>(peers, &old.peers(peers)?)?;
    new.set_prefixes::<A>(prefixes, &old.prefixes(prefixes)?)
}

/// Replaces the running programs with the programs of `abi`, and moves the pins. A killed command may have done some
/// of these steps already.
async fn complete(
    folder: &Folder,
    abi: Abi,
    counted: Option<&Counted>,
    netlink: &Netlink,
) -> Result<(), Error> {
    let next = folder.within(abi.next());
    let record = if next.map(maps::ATTACHMENT).exists() { &next } else { folder };
    let attachment = Pinned::of(record, abi).attachment()?;
    let place = options(&attachment).place;
    // The programs' pins move first: if a program's pin has left `next`, both new programs already run.
    let has_switched = BOTH.into_iter().any(|d| !next.program(place.program(d)).exists());
    if !has_switched {
        if let Err(failure) = switch(folder, &next, place, attachment.ifindex, netlink).await {
            back(folder, &next, place, attachment.ifindex, netlink).await;
            return Err(failure);
        }
        catch_up(folder, &next, abi, counted)?;
    }
    take_place(folder, &next, abi)
}

/// Exchanges the running programs. Skips programs that do not run: their interface is gone, or was created again.
async fn switch(
    folder: &Folder,
    next: &Folder,
    place: AttachPoint,
    link: u32,
    netlink: &Netlink,
) -> Result<(), Error> {
    for direction in BOTH {
        let pin = next.program(place.program(direction));
        if runs(folder, next, place, direction, link, netlink).await {
            hook::switch(folder, &pin, place, direction)?;
        }
    }
    Ok(())
}

/// Rolls back a failed exchange: restores the old programs, and removes the folder of the new programs.
async fn back(folder: &Folder, next: &Folder, place: AttachPoint, link: u32, netlink: &Netlink) {
    for direction in BOTH {
        let pin = folder.program(place.program(direction));
        if runs(folder, next, place, direction, link, netlink).await
            && let Err(failure) = hook::switch(folder, &pin, place, direction)
        {
            // Stop the rollback, and let the next command complete the change. Until then, the two directions may run
            // programs of different versions: both versions treat packets alike, and all running programs have pins.
            tracing::error!("undoing a step failed: {failure}");
            return;
        }
    }
    if let Err(failure) = remove(next) {
        tracing::error!("undoing a step failed: {failure}");
    }
}

async fn runs(
    folder: &Folder,
    next: &Folder,
    place: AttachPoint,
    direction: Direction,
    link: u32,
    netlink: &Netlink,
) -> bool {
    let program = place.program(direction);
    let pins: [PathBuf; 3] =
        [folder.program(program), folder.new_program(program), next.program(program)];
    hook::runs_one_of(folder, &pins, place, direction, netlink, link).await
}

/// Adds the changes that the old programs made since the copy: `Peer::public_flows` of the peers that have flows by
/// now, and the counts.
/// After a killed change, the counts at the time of the copy are unknown. The larger of the old and the new count then
/// wins: no count falls, but some packets may be missing.
fn catch_up(
    folder: &Folder,
    next: &Folder,
    abi: Abi,
    counted: Option<&Counted>,
) -> Result<(), Error> {
    let (old, new) = (Pinned::of(folder, abi.other()), Pinned::of(next, abi));
    note_flows::<[u8; 4]>(&old, &new, maps::PEERS_V4, maps::PREFIXES_V4)?;
    note_flows::<[u8; 16]>(&old, &new, maps::PEERS_V6, maps::PREFIXES_V6)?;
    peer_counters::add(&old, &new, counted.is_none())?;
    for direction in BOTH {
        let now = old.reasons(direction)?;
        let before = counted.map(|counted| &counted[direction as usize]);
        let mut sums = new.reasons(direction)?;
        for (cpu, (sum, now)) in sums.iter_mut().zip(&now).enumerate() {
            let before = before.and_then(|before| before.get(cpu));
            for reason in Reason::ALL {
                let place = sum.get_mut(*reason);
                *place = match before {
                    Some(before) => caught_up(*place, before.get(*reason), now.get(*reason)),
                    None => larger_count(*place, now.get(*reason)),
                };
            }
        }
        new.set_reasons(direction, sums)?;
    }
    Ok(())
}

fn note_flows<A: Address + Pod>(
    old: &Pinned<'_>,
    new: &Pinned<'_>,
    peers: &'static str,
    prefixes: &'static str,
) -> Result<(), Error>
where
    PeerKey<A>: Pod,
    Peer<A>: Pod,
    previous::Peer<A>: Pod,
{
    let noted = |peer: &Peer<A>| peer.public_flows == 1;
    let later = old.peers::<A>(peers)?;
    let keys: BTreeSet<_> =
        later.into_iter().filter(|(_, peer)| noted(peer)).map(|(key, _)| key.address).collect();
    if !keys.is_empty() {
        let unnoted = new.peers::<A>(peers)?;
        let unnoted =
            unnoted.into_iter().filter(|(key, peer)| !noted(peer) && keys.contains(&key.address));
        let entries: Vec<_> =
            unnoted.map(|(key, peer)| (key, Peer { public_flows: 1, ..peer })).collect();
        new.set_peers(peers, &entries)?;
    }
    for (key, _) in old.prefixes::<A>(prefixes)?.into_iter().filter(|(_, peer)| noted(peer)) {
        let same = |(other, _): &(Key<A>, Peer<A>)| {
            (other.prefix_len(), other.data()) == (key.prefix_len(), key.data())
        };
        if let Some((key, peer)) = new.prefixes::<A>(prefixes)?.into_iter().find(same)
            && !noted(&peer)
        {
            new.set_prefixes(prefixes, &[(key, Peer { public_flows: 1, ..peer })])?;
        }
    }
    Ok(())
}

/// Moves the pins of `abi` into the place of the other ABI's pins, and removes the other ABI's remaining pins.
fn take_place(folder: &Folder, next: &Folder, abi: Abi) -> Result<(), Error> {
    let attachment = (next.map(maps::ATTACHMENT), folder.map(maps::ATTACHMENT));
    let programs = Program::ALL;
    let programs = programs.map(|program| (next.program(program), folder.program(program)));
    let others = abi.maps().into_iter().filter(|name| *name != maps::ATTACHMENT);
    let others = others.map(|name| (next.map(name), folder.map(name)));
    for (from, to) in programs.into_iter().chain(others).chain([attachment]) {
        if from.exists() {
            fs::rename(&from, &to).context(|| format!("moving {}", from.display()))?;
        }
    }
    let left = abi.other().maps().into_iter().filter(|name| !abi.maps().contains(name));
    let new = Abi::ALL.into_iter().flat_map(Abi::maps).map(|name| folder.new_map(name));
    let new_programs = Program::ALL.map(|p| folder.new_program(p));
    for pin in left.map(|name| folder.map(name)).chain(new).chain(new_programs) {
        if pin.exists() {
            fs::remove_file(&pin).context(|| format!("removing {}", pin.display()))?;
        }
    }
    remove(next)
}
