//! From the pins of the version before to those of this one, and back, under traffic.
//!
//! The order: within the folder of the pins a new one is made, `next_abi3_new`, with maps of the other shape,
//! filled with what the maps hold, with other pins of the maps that both versions share, and with programs
//! that look into all of them. Its name then becomes `next_abi3`: from here on all is there. The programs are
//! exchanged, each at once, and the pins move one folder up. Killed before the change of the name, the next
//! command removes the new folder; killed later, it goes on.

pub mod change;
pub mod convert;
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
use super::record::text;
use super::shapes;
use crate::error::{Context as _, Error};

/// The two ABIs that this version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// The ABI of the version before.
    Previous,
    /// The ABI of this version.
    Current,
}

impl Abi {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Previous, Self::Current];

    /// Its number.
    #[must_use]
    pub const fn version(self) -> u32 {
        match self {
            Self::Previous => previous_abi::VERSION,
            Self::Current => ABI_VERSION,
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Previous => Self::Current,
            Self::Current => Self::Previous,
        }
    }

    /// The names of its maps.
    pub(super) fn maps(self) -> Vec<&'static str> {
        match self {
            Self::Previous => previous_abi::SHAPES.map(|(name, ..)| name).to_vec(),
            Self::Current => MAPS.to_vec(),
        }
    }

    /// The folder with its maps and programs until they take the place of the others.
    const fn next(self) -> &'static str {
        match self {
            Self::Previous => "next_abi2",
            Self::Current => "next_abi3",
        }
    }

    /// The same until all are there.
    pub(super) const fn unfinished(self) -> &'static str {
        match self {
            Self::Previous => "next_abi2_new",
            Self::Current => "next_abi3_new",
        }
    }
}

/// The remains of the version before.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// An attach of it was killed before all maps were there.
    Unfinished,
    /// All of its maps.
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
    // Only the number tells versions that have the same shapes.
    let path = folder.map(tunnel_common::maps::ATTACHMENT);
    let version = Pinned::version(&path)?;
    Ok(match version {
        0 | previous_abi::VERSION => Found::Pins(Box::new(attachment)),
        _ => Found::Nothing,
    })
}

/// The change that is under way in `folder`, or was when its command was killed.
#[must_use]
pub fn under_way(folder: &Folder) -> Option<Abi> {
    Abi::ALL.into_iter().find(|abi| folder.within(abi.next()).exists())
}

/// True if a change was begun in `folder`, and killed before all was made.
#[must_use]
pub fn is_begun(folder: &Folder) -> bool {
    Abi::ALL.into_iter().any(|abi| folder.within(abi.unfinished()).exists())
}

/// Refuses pins of the version before, and those of a change that is under way: it is waited for, as it is
/// short, unless its command was killed.
///
/// # Errors
/// [`Error::Pins`] that says how to take them over.
pub fn require_current(folder: &Folder) -> Result<(), Error> {
    let interface = folder.interface();
    let take_over = format!("take it over: rewrite attach {interface}");
    let start = Instant::now();
    while let Some(abi) = under_way(folder) {
        if start.elapsed() > PATIENCE {
            return Err(Error::pins(
                format!("a change of {interface} to ABI {} was killed halfway", abi.version()),
                format!("what runs goes on; {take_over}"),
            ));
        }
        thread::sleep(INTERVAL);
    }
    match find(folder)? {
        Found::Pins(attachment) => Err(Error::pins(
            format!(
                "{interface} is attached by rewrite {} (ABI {})",
                text(&attachment.version),
                previous_abi::VERSION
            ),
            format!("it goes on as it is; {take_over}"),
        )),
        Found::Nothing | Found::Unfinished => Ok(()),
    }
}

/// The longest wait for a change that is under way, and the pause between two looks.
const PATIENCE: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(5);

/// The record of what is attached, of either ABI.
///
/// # Errors
/// If the pins are of neither.
pub fn attachment(folder: &Folder) -> Result<Attachment, Error> {
    match find(folder)? {
        Found::Pins(attachment) => Ok(*attachment),
        Found::Nothing | Found::Unfinished => super::maps::Maps::open(folder)?.attachment(),
    }
}

/// Makes another pin of a map.
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
