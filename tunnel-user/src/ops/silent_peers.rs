//! Reads the counters of an attached interface for the watch over its peers.

use super::attached::{self, Running};
use crate::dataplane::jiffies;
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::plan::events::Event;
use crate::plan::peer_watch::{Change, PeerWatch};

/// Compares the counters with `watch`. Returns the peers that have become silent, and the ones that are heard again. An
/// interface that is not attached has no peers.
///
/// # Errors
/// If the pins can't be used.
pub async fn changes(folder: &Folder, watch: &mut PeerWatch) -> Result<Vec<Event>, Error> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let clock = jiffies::clock()?;
    let wanted = |folders: Vec<Folder>| folders.into_iter().find(|f| f.path() == folder.path());
    // A read that a command disturbs is repeated: during an upgrade, the counters begin at zero. So the watch is
    // changed afterwards.
    let read = attached::undisturbed(async |folders| {
        let Some(folder) = wanted(folders) else { return Ok(None) };
        let running = Running::open(folder)?;
        let mut candidates = Vec::new();
        running.maps.for_each_peer_counters(|slot, counters| {
            if watch.may_change(slot, &counters, &clock) {
                candidates.push((slot, counters));
            }
        })?;
        if candidates.is_empty() {
            return Ok(None);
        }
        let (slots, names) = (running.maps.peer_slots()?.slots, running.maps.names()?);
        Ok(Some((candidates, slots, names)))
    });
    let Some((candidates, slots, names)) = read.await? else { return Ok(Vec::new()) };
    let mut events = Vec::new();
    for (slot, counters) in candidates {
        // A removed peer may leave its counters.
        let Some(is_direct) = slots.get(&slot) else { continue };
        let Some(change) = watch.note(slot, &counters, *is_direct, &clock) else { continue };
        let peer = names.get(&slot).map_or_else(|| format!("slot-{slot}"), ToString::to_string);
        events.push(match change {
            Change::Silent => Event::PeerSilent { peer },
            Change::Heard => Event::PeerHeard { peer },
        });
    }
    Ok(events)
}
