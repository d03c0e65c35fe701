//! Takes the locks of commands that change something: one lock for each interface, and one lock for the state that the
//! interfaces of a network namespace share. A command that needs both locks takes the interface's lock first. No
//! command holds the locks of two interfaces at once (docs/decisions/0036). The daemon's lock is separate
//! (`instance`).

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::bpffs::BPFFS;
use super::instance::unwritable;
use super::pins::{self, Folder};
use crate::error::{Context as _, Error};
use crate::host::lock_file::LockFile;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::runtime_folder::RUNTIME;
use crate::interrupt::Interrupt;

/// A held lock, which keeps other commands away until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: LockFile,
}

/// The pause between two attempts to take the lock.
const INTERVAL: Duration = Duration::from_millis(20);
/// The time for which a command waits before it prints a warning.
const SILENCE: Duration = Duration::from_secs(2);
/// The longest wait for a command of the previous version.
const PATIENCE_WITH_PREVIOUS: Duration = Duration::from_secs(10);

/// Takes the interface's lock. Waits until no other command holds the lock, or a signal arrives.
///
/// # Errors
/// If the file can't be locked, or a signal arrives.
pub async fn interface(folder: &Folder, interrupt: &Interrupt) -> Result<Lock, Error> {
    let path = folder.change_lock(Path::new(RUNTIME));
    wait(&path, folder.interface(), interrupt).await
}

/// Takes the lock of the state that the interfaces of `namespace` share: the private addresses on the loopback
/// interface, the records of the addresses that attach added, and the routes. Waits until no other command holds the
/// lock, or a signal arrives.
///
/// # Errors
/// If the file can't be locked, or a signal arrives.
pub async fn shared(namespace: NetworkNamespace, interrupt: &Interrupt) -> Result<Lock, Error> {
    wait(&shared_path(namespace), "the private addresses and the routes", interrupt).await
}

/// True while a command holds the lock of the interface.
///
/// # Errors
/// If the lock can't be read.
pub fn is_held(folder: &Folder) -> Result<bool, Error> {
    let path = folder.change_lock(Path::new(RUNTIME));
    let holder = LockFile::holder(&path).context(|| format!("inspecting {}", path.display()))?;
    Ok(holder.is_some())
}

async fn wait(path: &Path, what: &str, interrupt: &Interrupt) -> Result<Lock, Error> {
    let words: Vec<_> = env::args_os().skip(1).map(|w| w.to_string_lossy().into_owned()).collect();
    let command = format!("rewrite {}", words.join(" ")).replace(char::is_control, " ");
    let start = Instant::now();
    let mut reported = false;
    loop {
        match LockFile::try_lock(path, &command).map_err(|error| unwritable(path, &error))? {
            Ok(file) => return Ok(Lock { _file: file }),
            Err(holder) if !reported && start.elapsed() > SILENCE => {
                tracing::warn!("waiting for another command that changes {what}: {holder}");
                reported = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(INTERVAL).await;
        interrupt.check().await?;
    }
}

/// Waits for commands of the previous version, which lock the BPF file system itself, and keeps them away until the
/// result is dropped. Any user who can open the mount point can lock it, so the wait ends after
/// `PATIENCE_WITH_PREVIOUS`, with the result `None`.
///
/// # Errors
/// If the file system can't be locked, or a signal arrives.
pub async fn previous_version(interrupt: &Interrupt) -> Result<Option<Flock<File>>, Error> {
    let what = || format!("locking {BPFFS}");
    let mut file = File::open(BPFFS).context(what)?;
    let start = Instant::now();
    while start.elapsed() < PATIENCE_WITH_PREVIOUS {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => return Ok(Some(locked)),
            Err((unlocked, Errno::EWOULDBLOCK)) => file = unlocked,
            Err((_, errno)) => return Err(errno).context(what),
        }
        tokio::time::sleep(INTERVAL).await;
        interrupt.check().await?;
    }
    tracing::warn!(
        "another process holds a lock on {BPFFS} (see /proc/locks), for longer than any command \
         of the previous version: continuing without the lock"
    );
    Ok(None)
}

fn shared_path(namespace: NetworkNamespace) -> PathBuf {
    pins::folder_of(namespace, Path::new(RUNTIME)).join(".shared.lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_lock_is_one_for_each_network_namespace_and_no_interfaces() {
        let path = |path: &str| PathBuf::from(path);
        assert_eq!(shared_path(NetworkNamespace::Host), path("/run/rewrite/.shared.lock"));
        let other = NetworkNamespace::Other(7);
        assert_eq!(shared_path(other), path("/run/rewrite/netns-7/.shared.lock"));
        let of_interface = Folder::of(other, ".shared").instance(Path::new(RUNTIME));
        assert_ne!(shared_path(other), of_interface);
    }
}
