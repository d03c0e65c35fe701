//! Loads the programs with the pinned maps, and creates the maps that are not pinned yet.

use std::io;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use aya::maps::Map;
use aya::programs::{ProgramError, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader};
use tunnel_common::outcome::Direction;
use tunnel_common::settings::{ETHERNET_HEADER_LEN, SETTINGS};

use super::loader::loader;
use super::pins::{Folder, MAPS};
use super::upgrade::Abi;
use super::upgrade::convert::settings_back;
use crate::error::{Context as _, Error, is_io};
use crate::plan::attach_point::{AttachPoint, BOTH, Hook, Ingress, LoadOptions, Program};
use crate::plan::capacity::Capacity;
use crate::plan::settings::everything;

/// The ELF object that holds the programs and the definitions of their maps.
pub static EBPF_OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/rewrite.o"));

/// The object of ABI 2, for a downgrade to the previous version (tunnel-user/abi2/README.md).
pub static PREVIOUS_OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/abi2/rewrite.o"));

/// The programs' global variable for aya-log's level. The verifier removes the code of a level that is off.
const LOG_LEVEL: &str = "AYA_LOG_LEVEL";
const LOG_OFF: u8 = 0;
/// The number of `aya_log::Level::Debug`.
const LOG_DEBUG: u8 = 4;

/// The longest time for which signals may delay the verification of a program.
const PATIENCE: Duration = Duration::from_secs(30);

/// The object, loaded into the kernel.
pub struct Loaded {
    ebpf: Ebpf,
    place: AttachPoint,
}

impl Loaded {
    /// The programs' attach point.
    #[must_use]
    pub const fn place(&self) -> AttachPoint {
        self.place
    }

    /// A program that runs at tc.
    ///
    /// # Errors
    /// If the object lacks the program.
    pub fn tc(&mut self, program: Program) -> Result<&mut SchedClassifier, Error> {
        self.program(program)
    }

    /// A program that runs at XDP.
    ///
    /// # Errors
    /// If the object lacks the program.
    pub fn xdp(&mut self, program: Program) -> Result<&mut Xdp, Error> {
        self.program(program)
    }

    /// Takes the map `name` out of the object. The programs keep it.
    ///
    /// # Errors
    /// If the object lacks the map, or its map was taken before.
    pub(super) fn take_map(&mut self, name: &str) -> Result<Map, Error> {
        let found = self.ebpf.take_map(name);
        found
            .ok_or_else(|| anyhow::anyhow!("the object file lacks it"))
            .context(|| format!("taking the map {name}"))
    }

    fn program<'a, T>(&'a mut self, program: Program) -> Result<&'a mut T, Error>
    where
        &'a mut T: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
    {
        let name = program.name();
        let found = self
            .ebpf
            .program_mut(name)
            .ok_or_else(|| anyhow::anyhow!("the object file lacks it"))
            .context(|| format!("taking the program {name}"))?;
        as_kind(program, found)
    }
}

/// Loads the programs of both directions. Creates the maps that are not pinned yet, with `capacity`.
///
/// # Errors
/// [`Error::Host`] if this process may not create BPF maps, or if the kernel refuses the XDP program;
/// [`Error::Kernel`] if the kernel refuses a map or a tc program. A refused program's error ends with the last lines
/// of the verifier's log.
pub fn load(folder: &Folder, capacity: &Capacity, options: &LoadOptions) -> Result<Loaded, Error> {
    let pins = MAPS.map(|name| (name, folder.map(name)));
    load_with(Abi::Current, &pins, capacity, options)
}

/// Like [`load`], but for the programs of `abi`, with the maps of that ABI in `folder`.
///
/// # Errors
/// The errors of [`load`].
pub(super) fn load_of(
    abi: Abi,
    folder: &Folder,
    capacity: &Capacity,
    options: &LoadOptions,
) -> Result<Loaded, Error> {
    let pins: Vec<_> = abi.maps().into_iter().map(|name| (name, folder.map(name))).collect();
    load_with(abi, &pins, capacity, options)
}

/// Like [`load`], but creates new maps with `capacity`, and pins them beside the current maps.
///
/// # Errors
/// The errors of [`load`].
pub(super) fn load_into_new(
    folder: &Folder,
    capacity: &Capacity,
    options: &LoadOptions,
) -> Result<Loaded, Error> {
    let pins = MAPS.map(|name| (name, folder.new_map(name)));
    load_with(Abi::Current, &pins, capacity, options)
}

/// Loads the programs of both directions with unpinned maps and all features on, and unloads them again.
///
/// # Errors
/// The errors of [`load`].
pub fn probe(ingress: Ingress) -> Result<(), Error> {
    let place = AttachPoint { hook: Hook::Tcx, ingress };
    let settings = everything(ETHERNET_HEADER_LEN);
    let options = LoadOptions { place, settings, verbose: false };
    load_unpinned(&Capacity::least(), &options, &BOTH).map(|_| ())
}

/// Like [`load`], but loads the programs of these directions only, with new maps that have no pins. The maps and the
/// programs end with the returned value.
///
/// # Errors
/// The errors of [`load`].
pub(super) fn load_unpinned(
    capacity: &Capacity,
    options: &LoadOptions,
    directions: &[Direction],
) -> Result<Loaded, Error> {
    let mut loaded = open_object(Abi::Current, &[], capacity, options)?;
    verify(&mut loaded, directions)?;
    Ok(loaded)
}

fn load_with(
    abi: Abi,
    pins: &[(&str, PathBuf)],
    capacity: &Capacity,
    options: &LoadOptions,
) -> Result<Loaded, Error> {
    let mut loaded = open_object(abi, pins, capacity, options)?;
    verify(&mut loaded, &BOTH)?;
    Ok(loaded)
}

/// The object with its maps, before the kernel verifies its programs.
fn open_object(
    abi: Abi,
    pins: &[(&str, PathBuf)],
    capacity: &Capacity,
    options: &LoadOptions,
) -> Result<Loaded, Error> {
    let LoadOptions { place, settings, verbose } = *options;
    let log_level = if verbose { LOG_DEBUG } else { LOG_OFF };
    let mut loader = loader();
    let previous = settings_back(&settings);
    loader.override_global(LOG_LEVEL, &log_level, true);
    let object = match abi {
        Abi::Current => {
            loader.override_global(SETTINGS, &settings, true);
            EBPF_OBJECT
        }
        Abi::Previous => {
            loader.override_global(SETTINGS, &previous, true);
            PREVIOUS_OBJECT
        }
    };
    size(&mut loader, capacity);
    let ebpf = create_maps(&mut loader, object, pins)?;
    Ok(Loaded { ebpf, place })
}

/// Loads the programs of these directions in parallel: the kernel's verification takes most of an attach's time.
fn verify(loaded: &mut Loaded, directions: &[Direction]) -> Result<(), Error> {
    let place = loaded.place;
    let wanted: Vec<_> = directions.iter().map(|direction| place.program(*direction)).collect();
    let programs = loaded.ebpf.programs_mut().filter_map(|(name, program)| {
        let wanted = wanted.iter().find(|wanted| wanted.name() == name)?;
        Some((*wanted, program))
    });
    let programs: Vec<_> = programs.collect();
    if programs.len() < wanted.len() {
        return Err(Error::kernel(
            "loading the programs",
            anyhow::anyhow!("the object file lacks one of them"),
        ));
    }
    let results: Vec<_> = thread::scope(|scope| {
        let spawned: Vec<_> = programs
            .into_iter()
            .map(|(name, program)| scope.spawn(move || verify_one(name, program)))
            .collect();
        spawned.into_iter().map(ScopedJoinHandle::join).collect()
    });
    results.into_iter().try_for_each(|result| result.unwrap_or_else(|panic| resume_unwind(panic)))
}

fn verify_one(name: Program, program: &mut aya::programs::Program) -> Result<(), Error> {
    match name {
        Program::Egress | Program::Ingress => {
            let program = as_kind::<SchedClassifier>(name, program)?;
            retry_eagain(|| program.load())
                .map_err(|error| Error::kernel(loading(name), refusal(error)))
        }
        // Do not check the kernel's version, because distributions backport features. The kernel's answer to the load
        // shows if the kernel has the features that the program needs.
        Program::Xdp => {
            let program = as_kind::<Xdp>(name, program)?;
            retry_eagain(|| program.load()).map_err(|error| {
                Error::host(
                    format!("{}: {:#}", loading(name), refusal(error)),
                    "XDP needs Linux 5.18 or later; to attach by tc, leave --ingress out",
                )
            })
        }
    }
}

/// Calls `load` again while signals interrupt it, for at most `PATIENCE`. The verifier gives up with EAGAIN when a
/// signal is pending (Linux 4.20, kernel/bpf/verifier.c, do_check, commit c3494801cd17), for example after the process
/// was stopped and continued.
fn retry_eagain(mut load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), ProgramError> {
    let start = Instant::now();
    loop {
        match load() {
            Err(ProgramError::LoadError { io_error, .. })
                if io_error.kind() == io::ErrorKind::WouldBlock && start.elapsed() < PATIENCE => {}
            result => return result,
        }
    }
}

fn as_kind<'a, T>(
    name: Program,
    program: &'a mut aya::programs::Program,
) -> Result<&'a mut T, Error>
where
    &'a mut T: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    program.try_into().context(|| format!("taking the program {}", name.name()))
}

fn size(loader: &mut EbpfLoader<'_>, capacity: &Capacity) {
    for (name, entries) in capacity.by_map() {
        loader.map_max_entries(name, entries);
    }
}

/// Creates the maps. Reuses the maps that are already pinned.
fn create_maps<'a>(
    loader: &mut EbpfLoader<'a>,
    object: &[u8],
    pins: &'a [(&str, PathBuf)],
) -> Result<Ebpf, Error> {
    for (name, path) in pins {
        loader.map_pin_path(name, path.as_path());
    }
    loader.load(object).map_err(|error| {
        if is_io(&error, io::ErrorKind::PermissionDenied) {
            Error::host(
                format!("the kernel does not let this process make BPF maps: {error}"),
                "run it as root; a container needs CAP_BPF and CAP_NET_ADMIN, and a seccomp \
                 profile that allows bpf()",
            )
        } else {
            Error::kernel("loading the eBPF object", error)
        }
    })
}

fn loading(program: Program) -> String {
    format!("loading the program {}", program.name())
}

fn refusal(error: ProgramError) -> anyhow::Error {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            let lines: Vec<_> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(12)..].join("\n");
            anyhow::anyhow!("{io_error}; the end of the verifier's log:\n{last}")
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use aya_obj::Object;

    use super::*;
    use crate::dataplane::upgrade::previous_abi::{SHAPES, Settings};

    #[test]
    fn the_object_of_the_version_before_has_its_shapes() {
        let object = Object::parse(PREVIOUS_OBJECT).expect("an object");
        for (name, kind, key, value) in SHAPES {
            let map = object.maps.get(name).unwrap_or_else(|| panic!("no map {name}"));
            let found = (map.map_type(), map.key_size(), map.value_size());
            assert_eq!(found, (kind as u32, key, value), "{name}");
        }
        for program in Program::ALL {
            assert!(object.programs.contains_key(program.name()), "no {}", program.name());
        }
        assert_eq!(size_of::<Settings>(), 8);
    }
}
