//! Compares the maps that the running programs use with the pinned maps. A command that is killed while it replaces
//! the maps with larger ones leaves programs that use the old maps: a write to the pinned maps then has no effect on
//! packets.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use aya::maps::MapInfo;
use tunnel_common::maps;

use super::bpf_call::{info, open_pinned};
use super::hook;
use super::pins::Folder;
use crate::error::{Context as _, Error};
use crate::host::netlink::Netlink;
use crate::plan::attach_point::{AttachPoint, BOTH};

/// The maps that commands write and every program uses.
const OF_PROGRAMS: [&str; 8] = [
    maps::PEERS_V4,
    maps::PEERS_V6,
    maps::PREFIXES_V4,
    maps::PREFIXES_V6,
    maps::LOCAL_V4,
    maps::LOCAL_V6,
    maps::PEER_FILTER,
    maps::BYPASS,
];

/// The length of the buffer for map ids: larger than the number of maps in a program of any version of rewrite (Linux,
/// include/linux/bpf.h, MAX_USED_MAPS: 64).
const MAPS_MAX: usize = 64;

/// The first part of struct bpf_prog_info (Linux 4.15, include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct ProgramMaps {
    before: [u32; 12],
    created_by: u32,
    count: u32,
    ids: u64,
}

/// The pinned maps that a running program at `place`, on the interface of index `link`, does not use.
///
/// # Errors
/// If a query to the kernel fails.
pub async fn unseen(
    folder: &Folder,
    place: AttachPoint,
    link: u32,
    netlink: &Netlink,
) -> Result<Vec<&'static str>, Error> {
    let mut unseen = BTreeSet::new();
    for direction in BOTH {
        let Some(pin) = hook::running(folder, place, direction, netlink, link).await else {
            continue;
        };
        let seen = seen_by(&pin).context(|| format!("listing the maps of {}", pin.display()))?;
        for name in OF_PROGRAMS {
            let pin = folder.map(name);
            let map =
                MapInfo::from_pin(&pin).context(|| format!("inspecting {}", pin.display()))?;
            if !seen.contains(&map.id()) {
                unseen.insert(name);
            }
        }
    }
    Ok(unseen.into_iter().collect())
}

/// The ids of the maps that a pinned program uses. A query by the program's descriptor needs no capability (Linux,
/// kernel/bpf/syscall.c, bpf_prog_get_info_by_fd).
fn seen_by(pin: &Path) -> io::Result<BTreeSet<u32>> {
    let program = open_pinned(pin)?;
    let mut ids = [0_u32; MAPS_MAX];
    let mut maps = ProgramMaps {
        count: ids.len() as u32,
        ids: ids.as_mut_ptr() as u64,
        ..ProgramMaps::default()
    };
    // SAFETY: `maps` has the first fields of the kernel's struct for a program; `ids` has room for `count` ids, and
    // outlives the call.
    unsafe { info(&program, &mut maps)? };
    Ok(ids.into_iter().take(maps.count as usize).collect())
}
