//! The folder of what is written down for one interface: `/run/rewrite/IFACE/`, in another network
//! namespace `/run/rewrite/netns-INODE/IFACE/`. It is gone with the boot, as the pins are.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::guard::Guard;
use super::held::Held;
use super::record::{AttachId, Phase, RolledBack, Trial};
use crate::dataplane::pins::Folder;
use crate::error::{Context as _, Error};
use crate::host::runtime_folder::{RUNTIME, in_folder, remove_empty};
use serde::Serialize;
use serde::de::DeserializeOwned;

const RUN: &str = "/run";
const TRIAL: &str = "trial.json";
const BEFORE: &str = "before.toml";
const ROLLED_BACK: &str = "rolled-back.json";
const LOG: &str = "guard.log";
/// The mark of a trial that is over, for a guard that could not be ended.
const ENDED: &str = "ended.json";
/// The records of later, for a moment when /run has no room for new ones.
const APPLIED: &str = "trial.json.applied";
const GOING_BACK: &str = "trial.json.going-back";
const NEXT_ROLLED_BACK: &str = "rolled-back.json.next";

/// Why a guard has nothing to do whose trial is not the one that is pending.
pub const ANOTHER_BEGUN: &str = "another trial has begun";
/// Why there is nothing to do after a trial was confirmed or taken back.
pub const NOT_PENDING: &str = "no trial is pending any more";
const ATTACHED_ANEW: &str = "what was on trial was detached, and attached anew,";

/// The record of the trial that a guard holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is pending; so it was written down.
    Pending(Box<Trial>),
    /// Its record is gone or damaged, and nobody has ended it.
    Lost,
    /// It is over; why.
    Over(&'static str),
}

/// The folder of one interface, whether it is there or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    path: PathBuf,
}

impl State {
    /// The trial of the interface whose pins are in `folder`.
    #[must_use]
    pub fn of(folder: &Folder) -> Self {
        Self { path: Path::new(RUN).join(folder.below_bpffs()) }
    }

    /// The cluster file of what ran before the trial.
    #[must_use]
    pub fn before(&self) -> PathBuf {
        self.path.join(BEFORE)
    }

    /// The log of the guard.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// True if a trial is written down.
    #[must_use]
    pub fn has_trial(&self) -> bool {
        self.path.join(TRIAL).exists()
    }

    /// The trial of the attach `attach`. One that was killed before it
    /// had a guard has changed nothing, and is none.
    ///
    /// # Errors
    /// If the record can't be read.
    pub fn pending(&self, attach: AttachId) -> Result<Option<Trial>, Error> {
        let trial: Option<Trial> = self.read(TRIAL)?;
        Ok(trial.filter(|trial| trial.attach.is(attach) && trial.guard.is_some()))
    }

    /// The trial that was taken back last.
    ///
    /// # Errors
    /// If the record can't be read.
    pub fn rolled_back(&self) -> Result<Option<RolledBack>, Error> {
        self.read(ROLLED_BACK)
    }

    /// Writes down what ran before, and then the trial.
    ///
    /// # Errors
    /// If that fails.
    pub fn begin(&self, trial: &Trial, before: &str) -> Result<(), Error> {
        self.remove(ENDED)?;
        self.write(BEFORE, before.as_bytes())?;
        self.record(trial)
    }

    /// Writes down what the records will be later, so that these need no room in /run any more.
    ///
    /// # Errors
    /// If that fails.
    pub fn prepare(&self, trial: &Trial, rolled_back: &RolledBack) -> Result<(), Error> {
        for (name, phase) in [(APPLIED, Phase::Applied), (GOING_BACK, Phase::GoingBack)] {
            self.write_json(name, &Trial { phase, ..trial.clone() })?;
        }
        self.write_json(NEXT_ROLLED_BACK, rolled_back)
    }

    /// All that the guard of the trial `id` has to hold.
    ///
    /// # Errors
    /// If that trial is not written down, or can't be read.
    pub fn held(&self, id: &str) -> Result<Held, Error> {
        let trial: Option<Trial> = self.read(TRIAL)?;
        let Some(trial) = trial.filter(|trial| trial.id == id) else {
            return Err(Error::refused(
                format!("no trial {id} is written down in {}", self.path.display()),
                "begin one: rewrite apply --confirm-within 60s",
            ));
        };
        let before = self.before();
        let what = || format!("reading {}", before.display());
        Ok(Held { trial, before: fs::read_to_string(&before).context(what)? })
    }

    /// The record of the trial that a guard holds, while `attach` is what is attached.
    #[must_use]
    pub fn standing(&self, held: &Trial, attach: AttachId) -> Standing {
        if self.is_ended(&held.id) {
            return Standing::Over(NOT_PENDING);
        }
        match self.read::<Trial>(TRIAL) {
            Ok(Some(trial)) if trial.id != held.id => Standing::Over(ANOTHER_BEGUN),
            Ok(Some(trial)) if !trial.attach.is(attach) => Standing::Over(ATTACHED_ANEW),
            Ok(Some(trial)) => Standing::Pending(Box::new(trial)),
            Ok(None) if !held.attach.is(attach) => Standing::Over(ATTACHED_ANEW),
            Ok(None) | Err(_) => Standing::Lost,
        }
    }

    /// A mark that can't be read counts for every trial: what it was made from was damaged.
    fn is_ended(&self, id: &str) -> bool {
        match self.read::<Trial>(ENDED) {
            Ok(ended) => ended.is_some_and(|ended| ended.id == id),
            Err(_) => true,
        }
    }

    /// Removes the mark of a trial that is over: its guard has seen it.
    ///
    /// # Errors
    /// If that fails.
    pub fn has_seen_end(&self) -> Result<(), Error> {
        self.remove(ENDED)?;
        remove_empty(&self.path, Path::new(RUNTIME));
        Ok(())
    }

    /// Has this version wait for the deadline of `trial`, in the place of the version that began it.
    ///
    /// # Errors
    /// If nobody would go back in time. The guard of before waits on then.
    pub fn guard_anew(&self, trial: Trial) -> Result<(), Error> {
        let guard = Guard::start(&trial, self)?;
        let before = trial.guard.clone();
        self.record(&Trial { guard: Some(guard), ..trial })?;
        if let Some(before) = before
            && !before.end()
        {
            tracing::warn!("the guard of the version before goes on, and will find nothing to do");
        }
        Ok(())
    }

    /// Writes down how far the trial has come.
    ///
    /// # Errors
    /// If that fails, and it was not prepared either.
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

    /// Writes down that a trial was taken back, and ends it.
    ///
    /// # Errors
    /// If that fails, and it was not prepared either.
    pub fn roll_back(&self, last: &RolledBack, guard: Option<&Guard>) -> Result<(), Error> {
        self.write_json(ROLLED_BACK, last).or_else(|failure| {
            match self.read::<RolledBack>(NEXT_ROLLED_BACK) {
                // The moment alone is another.
                Ok(Some(next)) if next.content == last.content => {
                    self.rename(NEXT_ROLLED_BACK, ROLLED_BACK)
                }
                _ => Err(failure),
            }
        })?;
        self.end_trial(guard)
    }

    /// Ends `guard`, and removes what is written down of its trial; what was taken back before stays.
    /// Needs no room in /run. A guard that goes on finds a mark that tells it that the trial is over.
    ///
    /// # Errors
    /// If that fails.
    pub fn end_trial(&self, guard: Option<&Guard>) -> Result<(), Error> {
        self.clear()?;
        if guard.is_none_or(Guard::end) {
            self.remove(ENDED)?;
        }
        remove_empty(&self.path, Path::new(RUNTIME));
        Ok(())
    }

    /// Removes what is written down of a trial but the mark that it is over, which takes the record's
    /// place.
    fn clear(&self) -> Result<(), Error> {
        if self.has_trial() {
            self.rename(TRIAL, ENDED)?;
        }
        for name in [TRIAL, BEFORE, LOG, APPLIED, GOING_BACK, NEXT_ROLLED_BACK] {
            self.remove(name)?;
        }
        Ok(())
    }

    /// Ends the guard of a trial, if there is one, and removes all that is written down. Whether
    /// there was a trial.
    ///
    /// # Errors
    /// If that fails.
    pub fn forget(&self) -> Result<bool, Error> {
        let trial = self.read::<Trial>(TRIAL);
        self.remove(ROLLED_BACK)?;
        match trial {
            Ok(trial) => {
                let guard = trial.and_then(|trial| trial.guard);
                self.end_trial(guard.as_ref())?;
                Ok(guard.is_some())
            }
            Err(_) => {
                // Its guard can't be found, but finds the mark.
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
            Error::refused(
                format!("{} is not what apply wrote: {error}", path.display()),
                "a trial that it was about goes back by itself, as its guard has a copy; detach ends it \
                 at once",
            )
        })
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(value).context(|| format!("writing {name}"))?;
        self.write(name, &text)
    }

    /// All of it or nothing, and on the disk, if it is one, before anything else happens.
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
            // A file that there was no room for takes none from others.
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

#[cfg(test)]
mod tests;
