//! The pinned maps that no program looks into. A command that was killed while it put larger
//! maps in the place of those that run leaves pins that no program looks into: what is written there changes
//! no packet.

use std::collections::BTreeSet;

use aya::maps::MapInfo;
use aya::programs::ProgramInfo;
use tunnel_common::maps;

use super::pins::Folder;
use super::place::{BOTH, Place};
use crate::failure::{Context as _, Failure};

/// The maps that every program looks into: all but those that only commands read.
const OF_PROGRAMS: [&str; 12] = [
    maps::PEERS_V4,
    maps::PEERS_V6,
    maps::PREFIXES_V4,
    maps::PREFIXES_V6,
    maps::LOCAL_V4,
    maps::LOCAL_V6,
    maps::FLOWS_V4,
    maps::FLOWS_V6,
    maps::PEER_FILTER,
    maps::BYPASS,
    maps::PEER_COUNTERS,
    maps::REASON_COUNTERS,
];

/// The pinned maps that one of the pinned programs at `place` does not look into.
///
/// # Errors
/// If the kernel can't be asked.
pub fn unused(folder: &Folder, place: Place) -> Result<Vec<&'static str>, Failure> {
    let mut unused = BTreeSet::new();
    for direction in BOTH {
        let pin = folder.program(place.program(direction));
        let what = || format!("looking at {}", pin.display());
        let info = ProgramInfo::from_pin(&pin).doing(what)?;
        // None of a kernel that does not tell (before Linux 4.15).
        let Some(used) = info.map_ids().doing(what)? else { continue };
        for name in OF_PROGRAMS {
            let pin = folder.map(name);
            let map = MapInfo::from_pin(&pin).doing(|| format!("looking at {}", pin.display()))?;
            if !used.contains(&map.id()) {
                unused.insert(name);
            }
        }
    }
    Ok(unused.into_iter().collect())
}

/// Refuses a change that no program would see.
///
/// # Errors
/// [`Failure::Refused`] then; and if the kernel can't be asked.
pub fn require(folder: &Folder, place: Place) -> Result<(), Failure> {
    let unused = unused(folder, place)?;
    if unused.is_empty() {
        return Ok(());
    }
    let interface = folder.interface();
    Err(Failure::refused(
        format!(
            "the programs of {interface} look into other maps than the pinned ones ({}): a command that \
             made larger ones was killed or failed halfway",
            unused.join(", ")
        ),
        format!("what runs goes on as it was; attach again: rewrite attach {interface}"),
    ))
}
