//! Reads attached interfaces for metrics: in batches, without a lock.

use std::time::{Instant, SystemTime};

use tunnel_common::counters::PeerCounters;

use super::attached::{self, Running};
use crate::dataplane::pins::Folder;
use crate::dataplane::{jiffies, resize};
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::plan::activity::{Clock, Now};
use crate::plan::attach_point::BOTH;
use crate::plan::metrics::text::Exposition;
use crate::plan::metrics::{
    DaemonReading, MapFill, PeerReading, Peers, PeersLimit, Reading, States, traffic,
};
use crate::trial;

/// Reads all attached interfaces of this network namespace; with `only`, just that one.
///
/// # Errors
/// If the pins can't be used.
pub async fn read(only: Option<&Folder>, limit: PeersLimit) -> Result<Exposition, Error> {
    let start = Instant::now();
    let netlink = Netlink::connect()?;
    let interfaces = attached::undisturbed(async |folders| {
        let is_wanted = |folder: &Folder| only.is_none_or(|only| only.path() == folder.path());
        let mut readings = Vec::new();
        for folder in folders.into_iter().filter(is_wanted) {
            readings.push(interface(&Running::open(folder)?, limit, &netlink).await?);
        }
        Ok(readings)
    });
    Ok(Exposition { interfaces: interfaces.await?, daemon: None, took: start.elapsed() })
}

/// Like [`read`], for the interface of a daemon. Without pins, the daemon alone is shown. The interface counts as attached
/// if its programs run there, as in `status`.
///
/// # Errors
/// If the pins can't be used.
pub async fn read_with_daemon(
    folder: &Folder,
    limit: PeersLimit,
    daemon: DaemonReading,
) -> Result<Exposition, Error> {
    let exposition = match folder.exists() {
        true => read(Some(folder), limit).await?,
        false => Exposition { interfaces: Vec::new(), daemon: None, took: Default::default() },
    };
    let is_attached = exposition.interfaces.iter().any(|reading| reading.runs_programs);
    Ok(Exposition { daemon: Some(DaemonReading { is_attached, ..daemon }), ..exposition })
}

async fn interface(
    running: &Running,
    limit: PeersLimit,
    netlink: &Netlink,
) -> Result<Reading, Error> {
    let maps = &running.maps;
    let now = Now { clock: clock(), wall: SystemTime::now() };
    let slots = maps.peer_slots()?;
    let mut states = States::default();
    let peers = if limit.allows(slots.slots.len()) {
        let names = maps.names()?;
        let mut peers = Vec::with_capacity(slots.slots.len());
        maps.for_each_peer_counters(|slot, counters| {
            let Some(is_direct) = slots.slots.get(&slot) else { return };
            // `bpftool` can make a peer without a name.
            let name = names.get(&slot).map_or_else(|| format!("slot-{slot}"), ToString::to_string);
            let traffic = traffic(&counters, *is_direct, &now);
            states.count(traffic);
            peers.push(PeerReading { name, counters, traffic });
        })?;
        Peers::Each(peers)
    } else {
        let mut sum = PeerCounters::default();
        maps.for_each_peer_counters(|slot, counters| {
            let Some(is_direct) = slots.slots.get(&slot) else { return };
            states.count(traffic(&counters, *is_direct, &now));
            sum = sum.plus(counters);
        })?;
        Peers::Sum(sum)
    };
    let mut not_rewritten = Vec::new();
    for direction in BOTH {
        let counts = maps.reason_counters(direction)?;
        not_rewritten.extend(counts.into_iter().map(|(reason, count)| (direction, reason, count)));
    }
    let capacity = resize::pinned(&running.folder)?.by_map();
    let fill =
        |(map, max_entries)| Some(MapFill { map, entries: *slots.entries.get(map)?, max_entries });
    Ok(Reading {
        interface: running.folder.interface().to_owned(),
        network: running.network(),
        runs_programs: running.runs_on(running.attachment.ifindex, netlink).await,
        peers,
        states,
        not_rewritten,
        maps: capacity.into_iter().filter_map(fill).collect(),
        is_trial_pending: trial::pending(&running.folder, &running.attachment)?.is_some(),
        now,
    })
}

/// The clock of the counters. The times are missing from the metrics without it.
fn clock() -> Option<Clock> {
    match jiffies::clock() {
        Ok(clock) => Some(clock),
        Err(failure) => {
            tracing::debug!("the times of the last packets are unknown: {failure}");
            None
        }
    }
}
