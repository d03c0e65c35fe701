//! Converts the pins of the previous version into this version's pins, and back, under traffic.
//!
//! The order: a command creates the folder `next_abi3_new` within the folder of the pins. The new folder holds filled
//! maps of the new shapes, second pins of the maps that both versions share, and programs that use all these maps. The
//! command renames the folder to `next_abi3` once the folder is complete. Then the command exchanges the programs,
//! each atomically, and moves the pins one folder up. After a kill before the renaming, the next command removes the
//! new folder; after a later kill, the next command completes the change.

pub mod change;
pub mod convert;
mod peer_counters;
mod pinned;
pub mod previous_abi;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use aya::maps::MapData;
use tunnel_common::ABI_VERSION;
use tunnel_common::attachment::Attachment;

use self::pinned::Pinned;
use super::pins::{Folder, MAPS};
use super::shapes;
use crate::error::{Context as _, Error};
use crate::model::text::unpadded;

/// The two ABIs that this version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// The ABI of the previous version.
    Previous,
    /// The ABI of this version.
    Current,
}

impl Abi {
    /// Both ABIs.
    pub const ALL: [Self; 2] = [Self::Previous, Self::Current];

    /// The ABI's number.
    #[must_use]
    pub const fn version(self) -> u32 {
        match self {
            Self::Previous => previous_abi::VERSION,
            Self::Current => ABI_VERSION,
        }
    }

    /// The other ABI.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Previous => Self::Current,
            Self::Current => Self::Previous,
        }
    }

    /// The names of the ABI's maps.
    pub(super) fn maps(self) -> Vec<&'static str> {
        match self {
            Self::Previous => previous_abi::SHAPES.map(|(name, ..)| name).to_vec(),
            Self::Current => MAPS.to_vec(),
        }
    }

    /// The name of the folder that holds the ABI's new maps and programs, until they replace the maps and programs of
    /// the other ABI.
    const fn next(self) -> &'static str {
        match self {
            Self::Previous => "next_abi2",
            Self::Current => "next_abi3",
        }
    }

    /// The name of the folder of the ABI's new maps and programs, while the folder is incomplete.
    pub(super) const fn unfinished(self) -> &'static str {
        match self {
            Self::Previous => "next_abi2_new",
            Self::Current => "next_abi3_new",
        }
    }
}

/// The remains of the previous version in an interface's folder.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// No remains.
    Nothing,
    /// Some of the previous version's maps, from an attach that was killed.
    Unfinished,
    /// All of the previous version's maps, with the attachment's record.
    Pins(Box<Attachment>),
}

/// Looks for pins of ABI 2 in `folder`.
///
/// # Errors
/// If the folder or the record can't be read.
pub fn find(folder: &Folder) -> Result<Found, Error> {
    let maps = Abi::Previous.maps();
    if !folder.exists() || !folder.others(&maps)?.is_empty() || !shapes::fit_previous(folder) {
        return Ok(Found::Nothing);
    }
    if !maps.into_iter().all(|name| folder.map(name).exists()) {
        return Ok(if folder.has_programs() { Found::Nothing } else { Found::Unfinished });
    }
    let attachment = Pinned::of(folder, Abi::Previous).attachment()?;
    // Only the record's ABI number distinguishes versions that have the same shapes.
    let path = folder.map(tunnel_common::maps::ATTACHMENT);
    let version = Pinned::version(&path)?;
    Ok(match version {
        0 | previous_abi::VERSION => Found::Pins(Box::new(attachment)),
        _ => Found::Nothing,
    })
}

/// The target ABI of a change in `folder` that is under way, or whose command was killed; `None` if there is no such
/// change.
#[must_use]
pub fn under_way(folder: &Folder) -> Option<Abi> {
    Abi::ALL.into_iter().find(|abi| folder.within(abi.next()).exists())
}

/// True if a change in `folder` is still creating maps and programs, or was killed before it had created all of them.
#[must_use]
pub fn is_begun(folder: &Folder) -> bool {
    Abi::ALL.into_iter().any(|abi| folder.within(abi.unfinished()).exists())
}

/// Refuses pins of the previous version. Waits for the end of a change that is under way. A change is short: after
/// `PATIENCE`, this function assumes that the change was killed, and refuses the pins.
///
/// # Errors
/// [`Error::Pins`] that says how to take over the pins.
pub fn require_current(folder: &Folder) -> Result<(), Error> {
    let interface = folder.interface();
    let take_over = format!("take it over: rewrite attach {interface}");
    let start = Instant::now();
    while let Some(abi) = under_way(folder) {
        if start.elapsed() > PATIENCE {
            return Err(Error::pins(
                format!("a change of {interface} to ABI {} was killed halfway", abi.version()),
                format!("its programs keep running; {take_over}"),
            ));
        }
        thread::sleep(INTERVAL);
    }
    match find(folder)? {
        Found::Pins(attachment) => Err(Error::pins(
            format!(
                "{interface} is attached by rewrite {} (ABI {})",
                unpadded(&attachment.version),
                previous_abi::VERSION
            ),
            format!("its programs keep running; {take_over}"),
        )),
        Found::Nothing | Found::Unfinished => Ok(()),
    }
}

/// The longest wait for a change that is under way, and the pause between two checks.
const PATIENCE: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(5);

/// The record of the attachment, in this version's form. The pins may belong to either ABI.
///
/// # Errors
/// If the pins belong to neither ABI.
pub fn attachment(folder: &Folder) -> Result<Attachment, Error> {
    match find(folder)? {
        Found::Pins(attachment) => Ok(*attachment),
        Found::Nothing | Found::Unfinished => super::maps::Maps::open(folder)?.attachment(),
    }
}

/// Creates a second pin of a map, at `to`.
fn pin_again(from: &Path, to: &Path) -> Result<(), Error> {
    let what = || format!("pinning {}", to.display());
    MapData::from_pin(from).context(what)?.pin(to).context(what)
}

fn remove(folder: &Folder) -> Result<(), Error> {
    match fs::remove_dir_all(folder.path()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.context(|| format!("removing {}", folder.path().display())),
    }
}
