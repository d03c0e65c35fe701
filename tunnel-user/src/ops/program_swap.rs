//! Other programs in the place of those that run, for peers that these do not serve.

use tunnel_common::attachment::Attachment;

use super::rollback::Undo;
use crate::dataplane::attach_point::AttachPoint;
use crate::dataplane::hook;
use crate::dataplane::load::{LoadOptions, load};
use crate::dataplane::maps::Maps;
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::privileges::{self, Task};
use crate::plan::capacity::Capacity;

/// Loads programs for `purpose`, lets them run, and records their settings; notes how to take it
/// back.
///
/// # Errors
/// If the kernel refuses.
pub fn replace(
    folder: &Folder,
    purpose: &LoadOptions,
    maps: &mut Maps,
    attachment: &mut Attachment,
    steps: &mut Vec<Undo>,
) -> Result<(), Error> {
    privileges::require(Task::LoadPrograms)?;
    let mut loaded = load(folder, &Capacity::least(), purpose)?;
    steps.push(restore(folder, attachment, purpose.place));
    hook::replace(&mut loaded, folder)?;
    attachment.settings = purpose.settings;
    maps.set_attachment(attachment)
}

/// The way back to programs like those that `attachment` tells of.
#[must_use]
pub fn restore(folder: &Folder, attachment: &Attachment, place: AttachPoint) -> Undo {
    let verbose = attachment.verbose == 1;
    let settings = attachment.settings;
    Undo::ReplacePrograms(folder.clone(), LoadOptions { place, settings, verbose })
}
