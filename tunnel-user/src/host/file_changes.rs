//! Tells when a file may be another one: written, renamed over, or reached through a symbolic link
//! that was set anew.
//!
//! Editors and configuration management write beside a file and rename, so its folder is watched;
//! and so are the folders that lead there, and those of every symbolic link on the way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::{Component, Path, PathBuf, absolute};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use tokio::io::unix::AsyncFd;

use crate::failure::{Context as _, Failure};

/// What happens to names in a folder, and to the folder.
const IN_FOLDER: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_CLOSE_WRITE)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_MOVE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR);
/// A file that is being written. Not asked of the folder: another file in it may be a log.
const OF_FILE: AddWatchFlags = AddWatchFlags::IN_MODIFY;

/// The most symbolic links on the way to a file (Linux, include/linux/namei.h, MAXSYMLINKS).
const LINKS_MAX: usize = 40;

/// The names that lead to a file, by the folder that each is in.
type Steps = BTreeMap<PathBuf, BTreeSet<OsString>>;

/// Listens for changes of one file.
pub struct FileChanges {
    path: PathBuf,
    inotify: AsyncFd<Descriptor>,
    watched: BTreeMap<WatchDescriptor, BTreeSet<OsString>>,
}

/// Lets tokio wait for it.
struct Descriptor(Inotify);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl FileChanges {
    /// Listens from now on. Neither the file nor its folder need be there. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the kernel gives no inotify instance (fs.inotify.max_user_instances).
    pub fn listen(path: &Path) -> Result<Self, Failure> {
        let what = || format!("watching {}", path.display());
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).doing(what)?;
        // SAFETY: the descriptor is owned, always the same, and closed when it is dropped.
        let inotify = unsafe { AsyncFd::register(Descriptor(inotify)) }.doing(what)?;
        let mut changes =
            Self { path: absolute(path).doing(what)?, inotify, watched: BTreeMap::new() };
        changes.watch()?;
        Ok(changes)
    }

    /// Waits until the file may be another one.
    ///
    /// # Errors
    /// If the kernel can't be listened to.
    pub async fn changed(&mut self) -> Result<(), Failure> {
        let what = || "listening for changes of the file".to_owned();
        loop {
            let mut ready = self.inotify.readable().await.doing(what)?;
            let events = match self.inotify.get_ref().0.read_events() {
                Ok(events) => events,
                Err(Errno::EAGAIN) => {
                    ready.clear_ready();
                    continue;
                }
                Err(errno) => return Err(errno).doing(what),
            };
            drop(ready);
            let concerns = events.iter().any(|event| match &event.name {
                // The folder itself; or so much has happened that events were dropped.
                None => true,
                Some(name) => self.watched.get(&event.wd).is_some_and(|names| names.contains(name)),
            });
            if concerns {
                self.watch()?;
                return Ok(());
            }
            // Whatever happens in the folder, the caller's other events have their turn.
            tokio::task::yield_now().await;
        }
    }

    /// Watches the folders that lead to the file now, and those no longer that have led there.
    fn watch(&mut self) -> Result<(), Failure> {
        let mut watched = BTreeMap::new();
        let steps = steps(&self.path, |path| fs::read_link(path));
        let folders = steps.into_iter().map(|(folder, names)| (folder, IN_FOLDER, names));
        let file = (self.path.clone(), OF_FILE, BTreeSet::new());
        for (path, mask, names) in folders.chain([file]) {
            match self.inotify.get_ref().0.add_watch(&path, mask) {
                Ok(descriptor) => watched.insert(descriptor, names),
                // The folder that it is in tells when it comes.
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES | Errno::ELOOP) => continue,
                Err(errno) => {
                    return Err(errno).doing(|| format!("watching {}", path.display()));
                }
            };
        }
        for old in self.watched.keys().filter(|old| !watched.contains_key(old)) {
            // The kernel has removed it already where the folder is gone.
            let _ = self.inotify.get_ref().0.rm_watch(*old);
        }
        self.watched = watched;
        Ok(())
    }
}

/// The folders and names that lead to `path`, through the symbolic links that `read_link` knows.
fn steps(path: &Path, read_link: impl Fn(&Path) -> io::Result<PathBuf>) -> Steps {
    let mut steps = Steps::new();
    let mut folder = PathBuf::from("/");
    let mut left: VecDeque<OsString> = names(path).collect();
    let mut links = 0;
    while let Some(name) = left.pop_front() {
        if name == OsStr::new("..") {
            folder.pop();
            continue;
        }
        let next = folder.join(&name);
        steps.entry(folder.clone()).or_default().insert(name);
        match read_link(&next) {
            Ok(target) if links < LINKS_MAX => {
                links += 1;
                if target.is_absolute() {
                    folder = PathBuf::from("/");
                }
                for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                    left.push_front(name);
                }
            }
            _ => folder = next,
        }
    }
    steps
}

fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(path: &str, links: &[(&str, &str)]) -> Vec<String> {
        let read_link = |path: &Path| {
            let found = links.iter().find(|(from, _)| Path::new(from) == path);
            found.map(|(_, to)| PathBuf::from(to)).ok_or_else(|| io::ErrorKind::InvalidInput.into())
        };
        let steps = steps(Path::new(path), read_link);
        let each = steps.iter().flat_map(|(folder, names)| names.iter().map(|n| folder.join(n)));
        each.map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn every_folder_on_the_way_is_a_step() {
        assert_eq!(
            walk("/etc/rewrite/c.toml", &[]),
            ["/etc", "/etc/rewrite", "/etc/rewrite/c.toml"]
        );
    }

    #[test]
    fn a_link_to_a_folder_that_is_exchanged_is_followed() {
        let links = [("/etc/c.toml", "data/c.toml"), ("/etc/data", "../srv/./1")];
        assert_eq!(
            walk("/etc/c.toml", &links),
            ["/etc", "/srv", "/etc/c.toml", "/etc/data", "/srv/1", "/srv/1/c.toml"]
        );
    }

    #[test]
    fn a_link_to_itself_ends() {
        assert_eq!(walk("/c", &[("/c", "c")]), ["/c"]);
    }
}
