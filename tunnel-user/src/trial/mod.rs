//! Puts a change on trial: after `attach`, `apply` or `peer set` with `--confirm-within`, a guard restores the previous
//! state unless the operator runs `confirm` in time.
//!
//! The folder of [`state`] holds everything that a rollback needs, written before the first change: a [`record`] of the
//! trial, and the previous state as a cluster file. The rollback of a first attach is a detach, and needs no file. A
//! [`guard`] is a separate process that waits for the deadline, and has a copy of the record and of the previous state
//! in memory ([`guard_state`]). A daemon that follows a file leaves the interface alone while a trial is [`pending`],
//! and ignores a file that [`was_rolled_back`] until the file's content changes.

mod boot_clock;
mod confirm_within;
mod guard;
mod guard_state;
mod record;
mod state;

use std::path::Path;

use tunnel_common::attachment::Attachment;

use crate::dataplane::pins::{self, Folder};
use crate::dataplane::upgrade;
use crate::error::Error;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::runtime_folder::RUNTIME;

pub use boot_clock::BootTime;
pub use confirm_within::{ConfirmWithin, ConfirmWithinProblem, TrialRequest};
pub use guard::{Guard, become_guard};
pub use guard_state::GuardState;
pub use record::{
    AttachId, ContentHash, Phase, PreviousRoutes, Rollback, RollbackOptions, RolledBack, Subject,
    Trial,
};
pub use state::{ANOTHER_BEGUN, NOT_PENDING, Standing, State};

/// The pending trial of the attachment with the pins in `folder` and the record `attachment`.
///
/// # Errors
/// If the record of the trial can't be read.
pub fn pending(folder: &Folder, attachment: &Attachment) -> Result<Option<Trial>, Error> {
    State::of(folder).pending(Some(AttachId::of(folder, attachment)?))
}

/// True if the last change of the attachment in `folder` was a trial of a file with this content, and the trial was
/// rolled back. A successful attach or apply, or a detach, resets the answer to false.
///
/// # Errors
/// If the record of the last trial can't be read.
pub fn was_rolled_back(folder: &Folder, content: &[u8]) -> Result<bool, Error> {
    let rolled_back = State::of(folder).rolled_back()?;
    Ok(rolled_back.is_some_and(|rolled_back| rolled_back.subject.has_content(content)))
}

/// The interfaces in `namespace` whose last trial was rolled back, sorted by name. Leaves out damaged records.
#[must_use]
pub fn rolled_back_in(namespace: NetworkNamespace) -> Vec<(Folder, RolledBack)> {
    let folders = pins::folders_below(namespace, Path::new(RUNTIME)).into_iter();
    let record = |folder: Folder| Some((State::of(&folder).rolled_back().ok()??, folder));
    let mut records: Vec<_> = folders.filter_map(record).map(|(last, of)| (of, last)).collect();
    records.sort_by(|(a, _), (b, _)| a.interface().cmp(b.interface()));
    records
}

/// Refuses while a trial is pending. The refusal names the commands that end the trial.
///
/// # Errors
/// [`Error::Refused`] while a trial is pending; and an error if the pins or the record of the trial can't be read.
pub fn require_none(folder: &Folder) -> Result<(), Error> {
    let state = State::of(folder);
    if !state.has_trial() || !folder.exists() || folder.is_unfinished()? {
        return Ok(());
    }
    match pending(folder, &upgrade::attachment(folder)?)? {
        Some(trial) => Err(trial.in_the_way()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_content_after_its_rollback() {
        let top = tempfile::tempdir().unwrap();
        // An absolute path replaces the folder's own path, and the path of the records.
        let path = top.path().join("eth0").display().to_string();
        let folder = Folder::of(NetworkNamespace::Host, "eth0").within(&path);
        assert!(!was_rolled_back(&folder, b"new").unwrap(), "no trial");
        let (config, content) = ("/etc/new.toml".into(), ContentHash::of(b"new"));
        let subject = Subject::File { config, content };
        let last = RolledBack { subject, at: "2026-01-01T00:00:00Z".into(), command: None };
        State::of(&folder).roll_back(&last, None).unwrap();
        assert!(was_rolled_back(&folder, b"new").unwrap());
        assert!(!was_rolled_back(&folder, b"corrected").unwrap());
        require_none(&folder).unwrap();
    }
}
