//! The folder of what is written down for one interface: `/run/rewrite/IFACE/`, in another network
//! namespace `/run/rewrite/netns-INODE/IFACE/`. It is gone with the boot, as the pins are.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tunnel_common::attachment::Attachment;

use super::boot_clock::BootTime;
use super::guard::Guard;
use super::record::{RolledBack, Trial};
use crate::dataplane::pins::Folder;
use crate::failure::{Context as _, Failure};
use crate::host::runtime_folder::{RUNTIME, in_folder, remove_empty};

const RUN: &str = "/run";
const TRIAL: &str = "trial.json";
const BEFORE: &str = "before.toml";
const ROLLED_BACK: &str = "rolled-back.json";
const LOG: &str = "guard.log";

/// The folder of one interface, whether it is there or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    path: PathBuf,
}

impl State {
    /// That of the interface whose pins are in `folder`.
    #[must_use]
    pub fn of(folder: &Folder) -> Self {
        Self { path: Path::new(RUN).join(folder.below_bpffs()) }
    }

    /// The cluster file of what ran before the trial.
    #[must_use]
    pub fn before(&self) -> PathBuf {
        self.path.join(BEFORE)
    }

    /// What the guard has to say.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// Whether a trial is written down.
    #[must_use]
    pub fn has_trial(&self) -> bool {
        self.path.join(TRIAL).exists()
    }

    /// The trial of what is attached with the record `attachment`. One that was killed before it
    /// had a guard has changed nothing, and is none.
    ///
    /// # Errors
    /// If the record can't be read.
    pub fn pending(&self, attachment: &Attachment) -> Result<Option<Trial>, Failure> {
        let trial: Option<Trial> = self.read(TRIAL)?;
        Ok(trial
            .filter(|trial| trial.attached_at == attachment.attached_at && trial.guard.is_some()))
    }

    /// The trial that was taken back last.
    ///
    /// # Errors
    /// If the record can't be read.
    pub fn rolled_back(&self) -> Result<Option<RolledBack>, Failure> {
        self.read(ROLLED_BACK)
    }

    /// Writes down what ran before, and then the trial.
    ///
    /// # Errors
    /// If that fails.
    pub fn begin(&self, trial: &Trial, before: &str) -> Result<(), Failure> {
        self.write(BEFORE, before.as_bytes())?;
        self.record(trial)
    }

    /// Has this version wait for the deadline of `trial`, in the place of the version that began it.
    ///
    /// # Errors
    /// If nobody would go back in time. The guard of before waits on then.
    pub fn guard_anew(&self, trial: Trial) -> Result<(), Failure> {
        let left = trial.deadline.left(BootTime::now()?).as_millis().div_ceil(1000);
        let left = u64::try_from(left).unwrap_or(u64::MAX);
        let guard = Guard::start(&trial, left, self)?;
        let before = trial.guard.clone();
        self.record(&Trial { guard: Some(guard), ..trial })?;
        if let Some(before) = before {
            before.end();
        }
        Ok(())
    }

    /// Writes down how far the trial has come.
    ///
    /// # Errors
    /// If that fails.
    pub fn record(&self, trial: &Trial) -> Result<(), Failure> {
        self.write_json(TRIAL, trial)
    }

    /// Writes down that a trial was taken back, and ends it.
    ///
    /// # Errors
    /// If that fails.
    pub fn roll_back(&self, rolled_back: &RolledBack) -> Result<(), Failure> {
        self.write_json(ROLLED_BACK, rolled_back)?;
        self.end_trial()
    }

    /// Removes what is written down of a trial; what was taken back before stays.
    ///
    /// # Errors
    /// If that fails.
    pub fn end_trial(&self) -> Result<(), Failure> {
        // Without the record, the rest means nothing.
        for name in [TRIAL, BEFORE, LOG] {
            self.remove(name)?;
        }
        remove_empty(&self.path, Path::new(RUNTIME));
        Ok(())
    }

    /// Ends the guard of a trial, if there is one, and removes all that is written down. Whether
    /// there was a trial.
    ///
    /// # Errors
    /// If that fails.
    pub fn forget(&self) -> Result<bool, Failure> {
        // What can't be read has no guard that could be found.
        let trial: Option<Trial> = self.read(TRIAL).unwrap_or_default();
        let guard = trial.and_then(|trial| trial.guard);
        self.end_trial()?;
        self.remove(ROLLED_BACK)?;
        remove_empty(&self.path, Path::new(RUNTIME));
        if let Some(guard) = &guard {
            guard.end();
        }
        Ok(guard.is_some())
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Failure> {
        let path = self.path.join(name);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.doing(|| format!("reading {}", path.display()))?,
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            Failure::refused(
                format!("{} is not what apply wrote: {error}", path.display()),
                "another version of rewrite may have written it: confirm or go back with that one; \
                 or detach the interface, which ends the trial",
            )
        })
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(value).doing(|| format!("writing {name}"))?;
        self.write(name, &text)
    }

    /// All of it or nothing, and on the disk, if it is one, before anything else happens.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), Failure> {
        let path = self.path.join(name);
        let new = self.path.join(format!("{name}.new"));
        let write = || -> io::Result<()> {
            let mut file = File::create(&new)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.path)?.sync_all()
        };
        in_folder(&self.path, write).doing(|| format!("writing {}", path.display()))
    }

    fn remove(&self, name: &str) -> Result<(), Failure> {
        for path in [self.path.join(name), self.path.join(format!("{name}.new"))] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result.doing(|| format!("removing {}", path.display()))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::network_namespace::NetworkNamespace;

    #[test]
    fn each_interface_has_a_folder_beside_those_of_the_pins() {
        for (namespace, interface, path) in [
            (NetworkNamespace::Host, "eth0", "/run/rewrite/eth0"),
            (NetworkNamespace::Other(42), "eth0.7", "/run/rewrite/netns-42/eth0%2e7"),
        ] {
            let state = State::of(&Folder::of(namespace, interface));
            assert_eq!(state.path, Path::new(path));
        }
    }
}
