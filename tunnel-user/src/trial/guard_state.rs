//! Keeps a copy of the trial in the guard's memory: the trial's record, and the previous state as a cluster file. With
//! both, a rollback needs no file in /run.

use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::os::fd::{OwnedFd, RawFd};
use std::path::Path;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use super::record::Trial;
use crate::config::{self, Clusters};
use crate::error::{Context as _, Error};

/// A trial and the state before the trial, as of the moment when the guard began to wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardState {
    /// The trial.
    pub trial: Trial,
    /// The text of the cluster file with the state before the trial; `None` for a rollback without a file.
    pub before: Option<String>,
}

impl GuardState {
    /// The clusters before the trial; `None` for a rollback without a file.
    ///
    /// # Errors
    /// If the text is not a valid cluster file. The error names `path` as the file.
    pub fn clusters(&self, path: &Path) -> Result<Option<Clusters>, Error> {
        let before = self.before.as_deref();
        Ok(before.map(|before| config::parse(path, before)).transpose()?)
    }

    /// Writes the trial into sealed memory (memfd_create(2)). This process's children, and the programs that this
    /// process executes later, inherit the memory.
    ///
    /// # Errors
    /// If the memory can't be made.
    pub fn into_memory(self) -> Result<OwnedFd, Error> {
        let what = || "storing the rollback in memory".into();
        let text = serde_json::to_vec(&self).context(what)?;
        let memory = memfd_create("rewrite-trial", MFdFlags::MFD_ALLOW_SEALING).context(what)?;
        let mut file = File::from(memory);
        file.write_all(&text).context(what)?;
        file.rewind().context(what)?;
        let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals | SealFlag::F_SEAL_SEAL)).context(what)?;
        Ok(file.into())
    }

    /// Reads a trial from this process's file descriptor `number`.
    ///
    /// # Errors
    /// [`Error::Refused`] if the file descriptor holds no trial.
    pub fn inherited(number: RawFd) -> Result<Self, Error> {
        let path = format!("/proc/self/fd/{number}");
        let refused = |why: &dyn std::fmt::Display| {
            Error::refused(
                format!("{path} holds no trial: {why}"),
                "only the guard of a trial uses --held; roll back with: rewrite apply --revert",
            )
        };
        let text = fs::read(&path).map_err(|error| refused(&error))?;
        serde_json::from_slice(&text).map_err(|error| refused(&error))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::fd::AsRawFd as _;
    use std::path::PathBuf;

    use super::super::BootTime;
    use super::super::record::{AttachId, ContentHash, Phase, Rollback, RollbackOptions, Subject};
    use super::*;

    pub(in crate::trial) fn held() -> GuardState {
        let way_back = RollbackOptions {
            self_names: vec!["srva".into()],
            no_routes: false,
            hook: 0,
            ingress: 0,
            verbose: false,
            vlan: None,
        };
        let trial = Trial {
            id: "1".into(),
            interface: "eth0".into(),
            attach: AttachId { attached_at: 7, pins: Some(8) },
            subject: Subject::File {
                config: PathBuf::from("/etc/new.toml"),
                content: ContentHash::of(b"new"),
            },
            command: Some("rewrite apply --config /etc/new.toml --confirm-within 1m".into()),
            deadline: BootTime::now().unwrap(),
            way_back: Rollback::Attach(way_back),
            phase: Phase::Applying,
            guard: None,
        };
        GuardState { trial, before: Some("drain = \"1s\"\n".into()) }
    }

    #[test]
    fn what_is_in_memory_is_read_as_often_as_wanted_and_nobody_changes_it() {
        let held = held();
        let memory = held.clone().into_memory().unwrap();
        for _ in 0..2 {
            assert_eq!(GuardState::inherited(memory.as_raw_fd()).unwrap(), held);
        }
        let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
        let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
        let len = file.metadata().unwrap().len();
        assert!(file.write_all(b"x").is_err());
        for len in [len - 1, len + 1] {
            assert!(file.set_len(len).is_err(), "{len} bytes");
        }
        let seal = FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK);
        assert!(fcntl(&memory, seal).is_err(), "a seal on the seals");
    }

    #[test]
    fn a_file_that_is_no_trial_is_refused() {
        let file = tempfile::tempfile().unwrap();
        let failure = GuardState::inherited(file.as_raw_fd()).unwrap_err();
        assert_eq!(failure.exit_code(), 4);
    }
}
