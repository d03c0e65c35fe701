//! Reports when a file, or the files of a folder, may have changed: by a write to the file, a rename over the file, or a
//! new target of a symbolic link on its path.
//!
//! Editors and configuration management write a new file and rename it. So the watches cover the file's folder, the
//! folders on the path to that folder, and the folders of every symbolic link on the path.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::future::pending;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::{Component, Path, PathBuf, absolute};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use tokio::io::unix::AsyncFd;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout};

use crate::error::{Context as _, Error};

/// The events to watch on a folder, about the folder itself and the names in it.
const IN_FOLDER: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_CLOSE_WRITE)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_MOVE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR);
/// The events to watch on the file itself: each write. The folder's watch reports a written file only when the writer
/// closes it (`IN_CLOSE_WRITE`), because another file in the folder may be a log with frequent writes.
const OF_FILE: AddWatchFlags = AddWatchFlags::IN_MODIFY;

/// The largest number of symbolic links on the path to a file (Linux, include/linux/namei.h, MAXSYMLINKS).
const LINKS_MAX: usize = 40;

/// The names on the path to a file, by the folder that contains them.
type Steps = BTreeMap<PathBuf, BTreeSet<OsString>>;

/// The longest wait for the file systems on the path. After this wait, the file counts as changed.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause between two attempts while the kernel has no room for a watch.
const INTERVAL: Duration = Duration::from_secs(1);

/// Listens for changes of one file, and of the files in one folder. A separate thread looks up the path to the file: on a file system that hangs, the
/// look-up may never end.
pub struct FileChanges {
    path: PathBuf,
    /// The folder whose files all count.
    folder: Option<PathBuf>,
    /// The inotify instance; `None` while the user has too many instances.
    inotify: Option<AsyncFd<Descriptor>>,
    watched: Watched,
    looking: Option<Looking>,
    /// The time of the next attempt to close a gap in the watches; `None` if the watches have no gap.
    tried_at: Option<Instant>,
}

/// The names whose events concern the file, by watch.
type Watched = BTreeMap<WatchDescriptor, Names>;

/// The names in a folder that count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names {
    these: BTreeSet<OsString>,
    /// True if every name counts.
    all: bool,
}

impl Names {
    fn contains(&self, name: &OsStr) -> bool {
        self.all || self.these.contains(name)
    }

    fn add(&mut self, other: Self) {
        self.these.extend(other.these);
        self.all |= other.all;
    }
}

/// A running look-up of the path to the file, on its own thread.
struct Looking {
    thread: JoinHandle<(Watched, Option<Error>)>,
    /// The time at which the caller gets a report even if the look-up has not ended; `None` if no report is due.
    reported_at: Option<Instant>,
    /// True if a new look-up must follow when this look-up ends.
    again: bool,
}

/// Lets tokio wait for inotify's events.
struct Descriptor(Arc<Inotify>);

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
    /// Starts to listen, now or as soon as the kernel has room: the kernel limits instances and watches
    /// (fs.inotify.max_user_instances and max_user_watches). The file and its folder need not exist. Needs a tokio
    /// runtime.
    ///
    /// # Errors
    /// If the path can't be made absolute.
    pub async fn listen(path: &Path) -> Result<Self, Error> {
        Self::listen_with_folder(path, None).await
    }

    /// Like [`Self::listen`], and also reports changes of all files in `folder`. The folder need not exist.
    ///
    /// # Errors
    /// If a path can't be made absolute.
    pub async fn listen_with_folder(path: &Path, folder: Option<&Path>) -> Result<Self, Error> {
        let whole = |path: &Path| absolute(path).context(|| format!("watching {}", path.display()));
        let mut changes = Self {
            path: whole(path)?,
            folder: folder.map(whole).transpose()?,
            inotify: None,
            watched: Watched::new(),
            looking: None,
            tried_at: None,
        };
        changes.look(None);
        if let Some(looking) = &mut changes.looking
            && let Ok(ended) = timeout(PATIENCE, &mut looking.thread).await
        {
            changes.take(ended);
        }
        Ok(changes)
    }

    /// Waits until the file may have changed.
    ///
    /// # Errors
    /// If the kernel's events can't be read.
    pub async fn changed(&mut self) -> Result<(), Error> {
        loop {
            let reported_at = self.looking.as_ref().and_then(|looking| looking.reported_at);
            let tried_at = self.tried_at.filter(|_| self.looking.is_none());
            tokio::select! {
                ended = end(self.looking.as_mut()) => {
                    let (was_reported, had_gaps) = (reported_at.is_none(), self.tried_at.is_some());
                    let again = self.looking.take().is_some_and(|looking| looking.again);
                    self.take(ended);
                    if again {
                        self.look(Some(PATIENCE));
                    } else if !was_reported || (had_gaps && self.tried_at.is_none()) {
                        return Ok(());
                    }
                }
                () = at(reported_at) => {
                    if let Some(looking) = &mut self.looking {
                        looking.reported_at = None;
                    }
                    return Ok(());
                }
                () = at(tried_at) => self.look(None),
                concerns = concerning(self.inotify.as_ref(), &self.watched) => match &mut self.looking {
                    _ if !concerns? => {}
                    Some(looking) => {
                        looking.again = true;
                        return Ok(());
                    }
                    None => self.look(Some(PATIENCE)),
                },
            }
            // Yield, so that a busy folder does not starve the caller's other events.
            tokio::task::yield_now().await;
        }
    }

    /// Begins a look-up, which watches the folders that currently lead to the file. With `report_within`, the caller
    /// of [`Self::changed`] gets a report when the look-up ends, and at the latest after `report_within`. With `None`,
    /// the caller gets a report only if the look-up closes a gap.
    fn look(&mut self, report_within: Option<Duration>) {
        if self.inotify.is_none() {
            match inotify() {
                Ok(inotify) => self.inotify = Some(inotify),
                Err(failure) => return self.note_gap(Some(failure)),
            }
        }
        let Some(inotify) = &self.inotify else { return };
        let inotify = Arc::clone(&inotify.get_ref().0);
        let (path, folder) = (self.path.clone(), self.folder.clone());
        self.looking = Some(Looking {
            thread: spawn_blocking(move || watch(&inotify, &path, folder.as_deref())),
            reported_at: report_within.map(|report_within| Instant::now() + report_within),
            again: false,
        });
    }

    /// Takes over the result of a look-up.
    fn take(&mut self, ended: Result<(Watched, Option<Error>), JoinError>) {
        self.looking = None;
        match ended {
            Ok((watched, gap)) => {
                if let Some(inotify) = &self.inotify {
                    for old in self.watched.keys().filter(|old| !watched.contains_key(old)) {
                        // If the folder is gone, the kernel has removed the watch already.
                        let _ = inotify.get_ref().0.rm_watch(*old);
                    }
                }
                self.watched = watched;
                self.note_gap(gap);
            }
            Err(error) => {
                let what = format!("watching {}", self.path.display());
                self.note_gap(Some(Error::kernel(what, error)));
            }
        }
    }

    /// Records a gap in the watches, or the end of a gap. Warns once of each gap.
    fn note_gap(&mut self, gap: Option<Error>) {
        if let Some(failure) = &gap
            && self.tried_at.is_none()
        {
            tracing::warn!(
                "the daemon can't watch {} and reads it every 30 seconds instead: {failure}",
                self.path.display()
            );
        }
        self.tried_at = gap.map(|_| Instant::now() + INTERVAL);
    }
}

fn inotify() -> Result<AsyncFd<Descriptor>, Error> {
    let what = || "asking for an inotify instance (fs.inotify.max_user_instances)".to_owned();
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).context(what)?;
    // SAFETY: the descriptor is owned, always the same, and closed when the last owner is dropped.
    unsafe { AsyncFd::register(Descriptor(Arc::new(inotify))) }.context(what)
}

/// Watches the folders that currently lead to the file and to the folder, and both. An error explains a gap: the kernel
/// refused a watch on an existing folder or file.
fn watch(inotify: &Inotify, path: &Path, folder: Option<&Path>) -> (Watched, Option<Error>) {
    let (mut watched, mut gap) = (Watched::new(), None);
    let steps = [Some(path), folder].into_iter().flatten();
    let steps = steps.flat_map(|path| steps_to(path, |path| fs::read_link(path)));
    let on_the_way =
        steps.map(|(path, these)| (path, IN_FOLDER, Names { these, ..Names::default() }));
    let file = (path.to_owned(), OF_FILE, Names::default());
    let folder = folder
        .map(|folder| (folder.to_owned(), IN_FOLDER, Names { all: true, ..Names::default() }));
    for (path, mask, names) in on_the_way.chain([file]).chain(folder) {
        match inotify.add_watch(&path, mask) {
            // Two paths to the same folder have the same watch.
            Ok(descriptor) => watched.entry(descriptor).or_default().add(names),
            // The parent folder's watch reports when this path becomes available.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES | Errno::ELOOP) => {}
            Err(errno) => {
                let what = format!("watching {} (fs.inotify.max_user_watches)", path.display());
                gap = Some(Error::kernel(what, errno));
            }
        }
    }
    (watched, gap)
}

/// Waits for the end of a look-up; without a look-up, waits for ever.
async fn end(looking: Option<&mut Looking>) -> Result<(Watched, Option<Error>), JoinError> {
    match looking {
        Some(looking) => (&mut looking.thread).await,
        None => pending().await,
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

/// Waits for events. True if at least one event concerns the file. Without inotify, waits for ever.
async fn concerning(
    inotify: Option<&AsyncFd<Descriptor>>,
    watched: &Watched,
) -> Result<bool, Error> {
    let what = || "waiting for changes of the file".to_owned();
    let Some(inotify) = inotify else { return pending().await };
    loop {
        let mut ready = inotify.readable().await.context(what)?;
        let events = match inotify.get_ref().0.read_events() {
            Ok(events) => events,
            Err(Errno::EAGAIN) => {
                ready.clear_ready();
                continue;
            }
            Err(errno) => return Err(errno).context(what),
        };
        return Ok(events.iter().any(|event| match &event.name {
            // The event concerns the folder itself, or the kernel has dropped events.
            None => true,
            Some(name) => watched.get(&event.wd).is_some_and(|names| names.contains(name)),
        }));
    }
}

/// The folders and names that lead to `path`, through the symbolic links that `read_link` resolves.
fn steps_to(path: &Path, read_link: impl Fn(&Path) -> io::Result<PathBuf>) -> Steps {
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
        let steps = steps_to(Path::new(path), read_link);
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
