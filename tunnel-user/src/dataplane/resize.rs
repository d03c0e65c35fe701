//! Replaces the running maps with larger maps, copies their entries, and loses no packet. A map can't grow in place.
//!
//! The order: the command creates and fills new maps, moves their pins into the place of the old maps' pins, and then
//! replaces the running programs with programs that use the new maps. If the command is killed in between, the running
//! programs continue with the old maps, and the next attach installs programs that use the pinned maps.

use std::fs;

use aya::maps::MapInfo;
use tunnel_common::maps;

use super::hook;
use super::in_flight;
use super::load::{Loaded, load_into_new};
use super::map_pairs::{self, Pairs, pinned_new};
use super::pins::{Folder, MAPS};
use crate::error::{Context as _, Error};
use crate::plan::attach_point::LoadOptions;
use crate::plan::capacity::Capacity;
use crate::plan::change::Kind;

/// The capacity of the pinned maps.
///
/// # Errors
/// If the kernel refuses.
pub fn pinned(folder: &Folder) -> Result<Capacity, Error> {
    let entries = |name| {
        let path = folder.map(name);
        MapInfo::from_pin(&path)
            .map(|info| info.max_entries())
            .context(|| format!("inspecting {}", path.display()))
    };
    Ok(Capacity {
        slots: entries(maps::MEMBERS)?.min(entries(maps::PEER_COUNTERS)?),
        bypass: entries(maps::BYPASS)?,
        prefixes: entries(maps::PREFIXES_V4)?.min(entries(maps::PREFIXES_V6)?),
        peers_v4: entries(maps::PEERS_V4)?,
        peers_v6: entries(maps::PEERS_V6)?,
        flows_v4: entries(maps::FLOWS_V4)?,
        flows_v6: entries(maps::FLOWS_V6)?,
    })
}

/// Creates maps with `capacity`, copies the current maps' entries into them, and replaces the running programs with
/// programs that have `options` and use the new maps.
///
/// # Errors
/// If the kernel refuses. The running programs then continue. If the pins are already exchanged, the next attach
/// installs programs that use the new maps.
pub fn resize(folder: &Folder, capacity: &Capacity, options: &LoadOptions) -> Result<(), Error> {
    for name in MAPS {
        let path = folder.new_map(name);
        if path.exists() {
            // A killed attach left this pin.
            fs::remove_file(&path).context(|| format!("removing {}", path.display()))?;
        }
    }
    let result = resized(folder, capacity, options);
    if result.is_err() {
        for name in MAPS {
            let _ = fs::remove_file(folder.new_map(name));
        }
    }
    result
}

fn resized(folder: &Folder, capacity: &Capacity, options: &LoadOptions) -> Result<(), Error> {
    let mut loaded: Loaded = load_into_new(folder, capacity, options)?;
    let mut pairs =
        Pairs::open(&mut |name, kind| map_pairs::pinned(folder, name, kind), &mut |name, kind| {
            pinned_new(folder, name, kind)
        })?;
    pairs.copy()?;
    in_flight::begin(folder, Kind::Update)?;
    // If `exchange` fails, the marker of `in_flight::begin` stays, so that readers see an interrupted update: the
    // running programs may still use the old maps, which are no longer pinned.
    exchange(folder, &mut loaded, &mut pairs)?;
    in_flight::end(folder)
}

/// Moves the pins and replaces the programs. Then adds the old maps' counts, and the flows since the copy, to the new
/// maps.
/// Readers must not use an intermediate state: the new counters begin at zero.
fn exchange(folder: &Folder, loaded: &mut Loaded, pairs: &mut Pairs) -> Result<(), Error> {
    for name in MAPS {
        let path = folder.new_map(name);
        fs::rename(&path, folder.map(name)).context(|| format!("moving {}", path.display()))?;
    }
    hook::replace(loaded, folder)?;
    pairs.catch_up()
}
