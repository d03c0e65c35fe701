//! Reads and writes the trial records of one interface. Their folder is `/run/rewrite/IFACE/` in the host's network
//! namespace, and `/run/rewrite/netns-INODE/IFACE/` in any other network namespace. Like the pins, the folder does not
//! survive a reboot.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::guard::Guard;
use super::guard_state::GuardState;
use super::record::{AttachId, Phase, Rollback, RolledBack, Trial};
use crate::dataplane::pins::Folder;
use crate::error::{Context as _, Error};
use crate::host::runtime_folder::{RUNTIME, in_folder, remove_empty};
use serde::Serialize;
use serde::de::DeserializeOwned;

const RUN: &str = "/run";
const TRIAL: &str = "trial.json";
const BEFORE: &str = "before.toml";
const ROLLED_BACK: &str = "rolled-back.json";
/// The cluster file with the state before the last final change.
const PREVIOUS: &str = "previous.toml";
const LOG: &str = "guard.log";
/// The mark that tells a running guard that its trial is over.
const ENDED: &str = "ended.json";
/// Records of the later phases, written in advance in case /run has no room by then.
const APPLIED: &str = "trial.json.applied";
const GOING_BACK: &str = "trial.json.going-back";
const NEXT_ROLLED_BACK: &str = "rolled-back.json.next";

/// The reason for doing nothing: the trial is over, and a new trial has started.
pub const ANOTHER_BEGUN: &str = "another trial has started";
/// The reason for doing nothing: the trial was confirmed or rolled back.
pub const NOT_PENDING: &str = "no trial is pending";
const ATTACHED_ANEW: &str = "a detach and a new attach ended the trial";

/// The state of a guard's trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The trial is pending, with this record.
    Pending(Box<Trial>),
    /// The record is gone or damaged, and nobody has ended the trial.
    Lost,
    /// The trial is over, for this reason.
    Over(&'static str),
}

/// The folder of one interface's records. The folder need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    path: PathBuf,
}

impl State {
    /// The records of the interface whose pins are in `folder`.
    #[must_use]
    pub fn of(folder: &Folder) -> Self {
        Self { path: Path::new(RUN).join(folder.below_bpffs()) }
    }

    /// The path of the cluster file with the state before the trial.
    #[must_use]
    pub fn before(&self) -> PathBuf {
        self.path.join(BEFORE)
    }

    /// The path of the cluster file with the state before the last final change.
    #[must_use]
    pub fn previous(&self) -> PathBuf {
        self.path.join(PREVIOUS)
    }

    /// The path of the guard's log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// True if there is a record of a trial.
    #[must_use]
    pub fn has_trial(&self) -> bool {
        self.path.join(TRIAL).exists()
    }

    /// The pending trial of the attach `attach`; `None` stands for an interface without a complete attach. A trial
    /// without a guard does not count: its command was killed before the first change.
    ///
    /// # Errors
    /// If the record can't be read.
    pub fn pending(&self, attach: Option<AttachId>) -> Result<Option<Trial>, Error> {
        let trial: Option<Trial> = self.read(TRIAL)?;
        Ok(trial.filter(|trial| belongs(trial, attach) && trial.guard.is_some()))
    }

    /// True if there is a record of a first attach on trial.
    ///
    /// # Errors
    /// If the record can't be read.
    pub fn has_first_attach(&self) -> Result<bool, Error> {
        let trial: Option<Trial> = self.read(TRIAL)?;
        Ok(trial.is_some_and(|trial| trial.way_back == Rollback::Detach))
    }

    /// The last trial that was rolled back.
    ///
    /// # Errors
    /// If the record can't be read.
    pub fn rolled_back(&self) -> Result<Option<RolledBack>, Error> {
        self.read(ROLLED_BACK)
    }

    /// Writes the cluster file with the previous state, if there is one, and then the trial's record.
    ///
    /// # Errors
    /// If a file can't be written.
    pub fn begin(&self, trial: &Trial, before: Option<&str>) -> Result<(), Error> {
        self.remove(ENDED)?;
        if let Some(before) = before {
            self.write(BEFORE, before.as_bytes())?;
        }
        self.record(trial)
    }

    /// Writes the records of the later phases in advance, so that the later phases need no room in /run.
    ///
    /// # Errors
    /// If a file can't be written.
    pub fn prepare(&self, trial: &Trial, rolled_back: &RolledBack) -> Result<(), Error> {
        for (name, phase) in [(APPLIED, Phase::Applied), (GOING_BACK, Phase::GoingBack)] {
            self.write_json(name, &Trial { phase, ..trial.clone() })?;
        }
        self.write_json(NEXT_ROLLED_BACK, rolled_back)
    }

    /// Writes the cluster file with the state before a final change, and returns the file's path.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn save_previous(&self, text: &str) -> Result<PathBuf, Error> {
        self.write(PREVIOUS, text.as_bytes())?;
        Ok(self.previous())
    }

    /// Removes the cluster file with the state before a final change, after the interface was detached.
    ///
    /// # Errors
    /// If the file can't be removed.
    pub fn forget_previous(&self) -> Result<(), Error> {
        self.remove(PREVIOUS)?;
        remove_empty(&self.path, Path::new(RUNTIME));
        Ok(())
    }

    /// The trial `id` and the cluster file with the previous state, for the guard's memory.
    ///
    /// # Errors
    /// If that trial has no record, or a file can't be read.
    pub fn held(&self, id: &str) -> Result<GuardState, Error> {
        let trial: Option<Trial> = self.read(TRIAL)?;
        let Some(trial) = trial.filter(|trial| trial.id == id) else {
            return Err(Error::refused(
                format!("there is no record of the trial {id} in {}", self.path.display()),
                "start one: rewrite apply --confirm-within 60s",
            ));
        };
        let before = match trial.way_back {
            Rollback::Routes(_) | Rollback::Detach => None,
            Rollback::Attach(_) => {
                let before = self.before();
                let what = || format!("reading {}", before.display());
                Some(fs::read_to_string(&before).context(what)?)
            }
        };
        Ok(GuardState { trial, before })
    }

    /// The state of the guard's trial `held`. `attach` is the interface's present attach; `None` stands for an interface
    /// without a complete attach.
    #[must_use]
    pub fn standing(&self, held: &Trial, attach: Option<AttachId>) -> Standing {
        if self.is_ended(&held.id) {
            return Standing::Over(NOT_PENDING);
        }
        match self.read::<Trial>(TRIAL) {
            Ok(Some(trial)) if trial.id != held.id => Standing::Over(ANOTHER_BEGUN),
            Ok(Some(trial)) if !belongs(&trial, attach) => Standing::Over(ATTACHED_ANEW),
            Ok(Some(trial)) => Standing::Pending(Box::new(trial)),
            Ok(None) if !belongs(held, attach) => Standing::Over(ATTACHED_ANEW),
            Ok(None) | Err(_) => Standing::Lost,
        }
    }

    /// True if the mark says that the trial `id` is over. An unreadable mark counts for every trial: it comes from a
    /// damaged record.
    fn is_ended(&self, id: &str) -> bool {
        match self.read::<Trial>(ENDED) {
            Ok(ended) => ended.is_some_and(|ended| ended.id == id),
            Err(_) => true,
        }
    }

    /// Removes the mark of a trial that is over, after the trial's guard has seen the mark.
    ///
    /// # Errors
    /// If the mark can't be removed.
    pub fn has_seen_end(&self) -> Result<(), Error> {
        self.remove(ENDED)?;
        remove_empty(&self.path, Path::new(RUNTIME));
        Ok(())
    }

    /// Starts a guard of this version for `trial`, and ends the guard of the version that began the trial.
    ///
    /// # Errors
    /// If the new guard can't be started or recorded. In this case, the former guard keeps waiting.
    pub fn guard_anew(&self, trial: Trial) -> Result<(), Error> {
        let guard = Guard::start(&trial, self)?;
        let before = trial.guard.clone();
        self.record(&Trial { guard: Some(guard), ..trial })?;
        if let Some(before) = before
            && !before.end()
        {
            tracing::warn!(
                "the guard of the previous version keeps running, and will find no trial"
            );
        }
        Ok(())
    }

    /// Writes the trial's record, with its present phase.
    ///
    /// # Errors
    /// If the record can't be written, and [`Self::prepare`] has not written the same record.
    pub fn record(&self, trial: &Trial) -> Result<(), Error> {
        let prepared = match trial.phase {
            Phase::Applying => None,
            Phase::Applied => Some(APPLIED),
            Phase::GoingBack => Some(GOING_BACK),
        };
        self.write_json(TRIAL, trial).or_else(|failure| {
            let is_there =
                |name| self.read::<Trial>(name).is_ok_and(|it| it.as_ref() == Some(trial));
            match prepared {
                _ if is_there(TRIAL) => Ok(()),
                Some(name) if is_there(name) => self.rename(name, TRIAL),
                _ => Err(failure),
            }
        })
    }

    /// Records that a trial was rolled back, and ends the trial.
    ///
    /// # Errors
    /// The errors of [`Self::record_roll_back`] and [`Self::end_trial`].
    pub fn roll_back(&self, last: &RolledBack, guard: Option<&Guard>) -> Result<(), Error> {
        self.record_roll_back(last)?;
        self.end_trial(guard)
    }

    /// Records that a trial was rolled back.
    ///
    /// # Errors
    /// If the record can't be written, and [`Self::prepare`] has not written a record for the same subject.
    pub fn record_roll_back(&self, last: &RolledBack) -> Result<(), Error> {
        self.write_json(ROLLED_BACK, last).or_else(|failure| {
            match self.read::<RolledBack>(NEXT_ROLLED_BACK) {
                // The prepared record differs only in its time.
                Ok(Some(next)) if next.subject == last.subject => {
                    self.rename(NEXT_ROLLED_BACK, ROLLED_BACK)
                }
                _ => Err(failure),
            }
        })
    }

    /// Ends `guard`, and removes the trial's files except the record of the last trial that was rolled back. Needs no
    /// room in /run. A guard that keeps running finds the mark of the ended trial.
    ///
    /// # Errors
    /// If a file can't be removed.
    pub fn end_trial(&self, guard: Option<&Guard>) -> Result<(), Error> {
        self.clear()?;
        if guard.is_none_or(Guard::end) {
            self.remove(ENDED)?;
        }
        remove_empty(&self.path, Path::new(RUNTIME));
        Ok(())
    }

    /// Turns the trial's record into the mark that the trial is over, and removes the trial's other files.
    fn clear(&self) -> Result<(), Error> {
        if self.has_trial() {
            self.rename(TRIAL, ENDED)?;
        }
        for name in [TRIAL, BEFORE, LOG, APPLIED, GOING_BACK, NEXT_ROLLED_BACK] {
            self.remove(name)?;
        }
        Ok(())
    }

    /// Ends the trial's guard, if there is one, and removes all records. True if there was a trial with a guard, or a
    /// damaged record of a trial.
    ///
    /// # Errors
    /// If a file can't be removed.
    pub fn discard(&self) -> Result<bool, Error> {
        let trial = self.read::<Trial>(TRIAL);
        self.remove(ROLLED_BACK)?;
        match trial {
            Ok(trial) => {
                let guard = trial.and_then(|trial| trial.guard);
                self.end_trial(guard.as_ref())?;
                Ok(guard.is_some())
            }
            Err(_) => {
                // A damaged record names no guard to end. The guard finds the mark instead.
                self.clear()?;
                Ok(true)
            }
        }
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let path = self.path.join(name);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.context(|| format!("reading {}", path.display()))?,
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            let help = match name {
                ROLLED_BACK | NEXT_ROLLED_BACK => {
                    "the next attach removes it: rewrite attach IFACE"
                }
                _ => {
                    "the guard has a copy, and rolls the trial back by itself; detach ends the \
                     trial at once"
                }
            };
            Error::refused(format!("{} is damaged: {error}", path.display()), help)
        })
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(value).context(|| format!("writing {name}"))?;
        self.write(name, &text)
    }

    /// Replaces the file atomically, and syncs it to the disk.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        let path = self.path.join(name);
        let new = self.path.join(format!("{name}.new"));
        let write = || -> io::Result<()> {
            let mut file = File::create(&new)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.path)?.sync_all()
        };
        in_folder(&self.path, write).map_err(|error| {
            // If /run has no room for the whole file, remove the part that was written: it takes room from other files.
            let _ = fs::remove_file(&new);
            remove_empty(&self.path, Path::new(RUNTIME));
            Error::kernel(format!("writing {}", path.display()), error)
        })
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        let path = self.path.join(from);
        fs::rename(&path, self.path.join(to))
            .context(|| format!("renaming {} to {to}", path.display()))
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        for path in [self.path.join(name), self.path.join(format!("{name}.new"))] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result.context(|| format!("removing {}", path.display()))?,
            }
        }
        Ok(())
    }
}

/// True if the trial belongs to this attach. An incomplete attach belongs to the trial of a first attach.
fn belongs(trial: &Trial, attach: Option<AttachId>) -> bool {
    match attach {
        Some(attach) => trial.attach.is(attach),
        None => trial.way_back == Rollback::Detach,
    }
}

#[cfg(test)]
mod tests;
