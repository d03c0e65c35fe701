//! Watches over the peers of a daemon's interface, and records the silent ones and the ones that are heard again.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::attached::{self, Running};
use super::events;
use crate::dataplane::jiffies;
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::plan::events::Event;
use crate::plan::peer_watch::{Change, PeerWatch};

/// The shortest pause between two looks. A peer counts as silent after ten seconds.
const INTERVAL: Duration = Duration::from_secs(5);
/// The pause after a look is so many times longer than the look: reading the counters of a million peers takes a while.
const SHARE: u32 = 100;

/// Looks at the peers of the interface in `folder` again and again, and records what has changed.
pub async fn watch(folder: &Folder) -> Infallible {
    let mut watch = PeerWatch::default();
    let mut pause = INTERVAL;
    loop {
        sleep(pause).await;
        let start = Instant::now();
        match changes(folder, &mut watch).await {
            Ok(found) => found.into_iter().for_each(|event| events::record(folder, event)),
            Err(failure) => tracing::debug!("watching over the peers failed: {failure}"),
        }
        pause = INTERVAL.max(start.elapsed().saturating_mul(SHARE));
    }
}

/// Compares the counters with `watch`. Returns the peers that have become silent, and the ones that are heard again. An
/// interface that is not attached has no peers.
///
/// # Errors
/// If the pins can't be used.
async fn changes(folder: &Folder, watch: &mut PeerWatch) -> Result<Vec<Event>, Error> {
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
