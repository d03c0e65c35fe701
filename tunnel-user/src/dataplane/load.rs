//! Loads the programs over the pinned maps, which it makes where they are not there yet.

use std::path::PathBuf;

use aya::programs::{ProgramError, SchedClassifier};
use aya::{Ebpf, EbpfLoader};
use tunnel_common::maps;
use tunnel_common::outcome::Direction;

use super::object::EBPF_OBJECT;
use super::pins::{Folder, MAPS, program_name};
use crate::failure::{Context as _, Failure, is_io};

/// aya-log's switch within the programs; the verifier removes what is off.
const LOG_LEVEL: &str = "AYA_LOG_LEVEL";
const LOG_OFF: u8 = 0;
/// aya_log::Level::Debug.
const LOG_DEBUG: u8 = 4;

/// How many members the maps can hold. Only counts when they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    slots: u32,
}

impl Capacity {
    /// Room for `peers`, and as many again before the maps have to be made anew.
    #[must_use]
    pub fn for_peers(peers: usize) -> Self {
        let wanted = peers.saturating_mul(2).next_power_of_two().max(maps::SLOTS_CAPACITY);
        Self { slots: u32::try_from(wanted).unwrap_or(1 << 30) }
    }

    const fn peers(self) -> u32 {
        // A private and a public entry each.
        self.slots.saturating_mul(2)
    }
}

/// The object, in the kernel.
pub struct Loaded {
    ebpf: Ebpf,
}

impl Loaded {
    /// The program of a direction.
    ///
    /// # Errors
    /// If the object does not hold it.
    pub fn program(&mut self, direction: Direction) -> Result<&mut SchedClassifier, Failure> {
        let name = program_name(direction);
        self.ebpf
            .program_mut(name)
            .ok_or_else(|| anyhow::anyhow!("the object does not hold it"))
            .and_then(|program| program.try_into().map_err(anyhow::Error::from))
            .doing(|| format!("taking the program {name}"))
    }
}

/// Loads both programs. With `verbose`, they log every packet that they do not rewrite.
///
/// # Errors
/// [`Failure::Kernel`] with the verifier's last lines if it refuses, [`Failure::Host`] if the
/// kernel lacks the privilege or a map type.
pub fn load(folder: &Folder, capacity: Capacity, verbose: bool) -> Result<Loaded, Failure> {
    let pins = MAPS.map(|name| (name, folder.map(name)));
    load_with(&pins, capacity, if verbose { LOG_DEBUG } else { LOG_OFF })
}

/// Loads both programs over maps that nobody sees, and lets go of them.
///
/// # Errors
/// As for [`load`].
pub fn try_out() -> Result<(), Failure> {
    load_with(&[], Capacity::for_peers(0), LOG_OFF).map(|_| ())
}

fn load_with(
    pins: &[(&str, PathBuf)],
    capacity: Capacity,
    log_level: u8,
) -> Result<Loaded, Failure> {
    let mut loader = EbpfLoader::new();
    loader
        .override_global(LOG_LEVEL, &log_level, true)
        .map_max_entries(maps::PEERS_V4, capacity.peers())
        .map_max_entries(maps::MEMBERS, capacity.slots)
        .map_max_entries(maps::PEER_COUNTERS, capacity.slots);
    for (name, path) in pins {
        loader.map_pin_path(name, path.as_path());
    }
    let ebpf = loader.load(EBPF_OBJECT).map_err(|error| {
        if is_io(&error, std::io::ErrorKind::PermissionDenied) {
            Failure::host(
                format!("the kernel does not let this process make BPF maps: {error}"),
                "run it as root; in a container, it takes CAP_BPF and CAP_NET_ADMIN, and a seccomp \
                 profile that lets bpf() through",
            )
        } else {
            Failure::kernel("loading the eBPF object", error)
        }
    })?;
    let mut loaded = Loaded { ebpf };
    for direction in [Direction::Egress, Direction::Ingress] {
        let name = program_name(direction);
        loaded.program(direction)?.load().map_err(|error| refused_program(name, error))?;
    }
    Ok(loaded)
}

fn refused_program(name: &str, error: ProgramError) -> Failure {
    let what = format!("loading the program {name}");
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            let lines: Vec<_> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(12)..].join("\n");
            Failure::kernel(what, anyhow::anyhow!("{io_error}; the verifier's last words:\n{last}"))
        }
        error => Failure::kernel(what, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_as_many_peers_again() {
        assert_eq!(Capacity::for_peers(0).slots as usize, maps::SLOTS_CAPACITY);
        assert_eq!(Capacity::for_peers(1_000).slots, 2_048);
        assert_eq!(Capacity::for_peers(1_000).peers(), 4_096);
    }
}
