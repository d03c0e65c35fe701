//! Watches over the peers of a daemon's interface, and records the silent ones and the ones that are heard again.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tunnel_common::counters::PeerCounters;

use super::attached::{self, Running};
use super::events;
use crate::dataplane::jiffies;
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::model::MemberName;
use crate::plan::activity::Clock;
use crate::plan::events::Event;
use crate::plan::peer_watch::{Change, PeerWatch};

/// The shortest pause between two looks. A peer counts as silent after ten seconds.
const INTERVAL: Duration = Duration::from_secs(5);
/// The pause after a look is so many times longer than the reading: the counters of a million peers take a while.
const SHARE: u32 = 100;

/// The counters that may show a change, and the peers' properties by slot.
struct Candidates {
    counters: Vec<(u32, PeerCounters)>,
    /// True for a direct peer.
    slots: BTreeMap<u32, bool>,
    names: BTreeMap<u32, MemberName>,
}

/// Looks at the peers of the interface in `folder` again and again, and records what has changed.
pub async fn watch(folder: &Folder) -> Infallible {
    let mut watch = PeerWatch::default();
    let mut pause = INTERVAL;
    loop {
        sleep(pause).await;
        let reading = Cell::new(Duration::ZERO);
        match changes(folder, &mut watch, &reading).await {
            Ok(found) => found.into_iter().for_each(|event| events::record(folder, event)),
            Err(failure) => tracing::debug!("watching over the peers failed: {failure}"),
        }
        pause = INTERVAL.max(reading.get().saturating_mul(SHARE));
    }
}

/// Compares the counters with `watch`. Returns the peers that have become silent, and the ones that are heard again. An
/// interface that is not attached has no peers. Sets `reading` to the time that the last read took, without the wait for
/// a command that changes the interface.
///
/// # Errors
/// If the pins can't be used.
async fn changes(
    folder: &Folder,
    watch: &mut PeerWatch,
    reading: &Cell<Duration>,
) -> Result<Vec<Event>, Error> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let clock = jiffies::clock()?;
    let wanted = |folders: Vec<Folder>| folders.into_iter().find(|f| f.path() == folder.path());
    // A read that a command disturbs is repeated: during an upgrade, the counters begin at zero. So the watch is
    // changed afterwards.
    let read = attached::undisturbed(async |folders| {
        let start = Instant::now();
        let found = wanted(folders).map(|folder| candidates(folder, watch, &clock));
        reading.set(start.elapsed());
        found.transpose()
    });
    let Some(Candidates { counters, slots, names }) = read.await?.flatten() else {
        return Ok(Vec::new());
    };
    let mut events = Vec::new();
    for (slot, counters) in counters {
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

/// Reads the maps in `folder`; `None` if no counter shows a change.
///
/// # Errors
/// If the pins can't be used.
fn candidates(
    folder: Folder,
    watch: &PeerWatch,
    clock: &Clock,
) -> Result<Option<Candidates>, Error> {
    let maps = Running::open(folder)?.maps;
    let mut changed = Vec::new();
    maps.for_each_peer_counters(|slot, counters| {
        if watch.may_change(slot, &counters, clock) {
            changed.push((slot, counters));
        }
    })?;
    if changed.is_empty() {
        return Ok(None);
    }
    let (slots, names) = (maps.peer_slots()?.slots, maps.names()?);
    Ok(Some(Candidates { counters: changed, slots, names }))
}
