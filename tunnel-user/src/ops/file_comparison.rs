//! Compares the running state of the attached interfaces with their files, for `status`. Changes nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::attach::resolve::resolve;
use super::attached::{self, Running};
use super::{difference, load_file};
use crate::config::{ClusterText, Clusters, DEFAULT_PATH};
use crate::dataplane::pins::Folder;
use crate::dataplane::{brought, instance};
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::plan::identity::Identity;
use crate::trial;

/// The longest wait for a file: `status` should answer soon.
const PATIENCE: Duration = Duration::from_secs(10);
/// The number of hexadecimal digits of a digest.
const DIGITS: usize = 12;

/// The file of an interface, and the result of the comparison with the running state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileComparison {
    /// The absolute path of the file.
    pub path: String,
    /// The record that names the file.
    pub known_by: KnownBy,
    /// The file's revision; null if the file has none, or can't be read.
    pub revision: Option<u32>,
    /// The first 12 digits of the SHA-256 of the file's content, with the files of the folder beside it; null if the file
    /// can't be read.
    pub digest: Option<String>,
    /// The result of the comparison.
    pub state: FileState,
    /// The reason why the comparison failed, in one line; null if it succeeded.
    pub problem: Option<String>,
    /// The names of this host's members that a command with the file needs (`--self`); empty if the host's addresses
    /// identify them.
    pub self_names: Vec<String>,
}

/// The record that names an interface's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownBy {
    /// The interface's daemon follows the file.
    Daemon,
    /// A pending trial applied the file.
    Trial,
    /// The last attach or apply used the file.
    Attach,
    /// No record names a file, and the default file exists.
    Default,
}

/// The result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileState {
    /// `rewrite apply` with the file would change nothing.
    Same,
    /// `rewrite apply` with the file would change something.
    Differs,
    /// An attach would refuse the file on this host.
    Refused,
    /// The file can't be read, or is invalid.
    Unreadable,
}

/// Compares the interface `only` or, without a name, each attached interface with its file. The result has no entry for
/// an interface whose file is unknown, or whose pins are damaged.
///
/// # Errors
/// If the pins can't be listed, or the kernel refuses a query.
pub async fn of_attached(only: Option<&str>) -> Result<BTreeMap<String, FileComparison>, Error> {
    let is_wanted = |folder: &Folder| only.is_none_or(|only| folder.interface() == only);
    let netlink = Netlink::connect()?;
    let mut files: BTreeMap<PathBuf, File> = BTreeMap::new();
    for folder in attached::visible()?.into_iter().filter(is_wanted) {
        let Ok(running) = Running::open(folder) else { continue };
        if let Some((path, _)) = path(&running)
            && !files.contains_key(&path)
        {
            let file = File::load(&path).await;
            files.insert(path, file);
        }
    }
    attached::undisturbed(async |folders| {
        let mut all = BTreeMap::new();
        for folder in folders.into_iter().filter(is_wanted) {
            let Ok(running) = Running::open(folder) else { continue };
            let Some((path, known_by)) = path(&running) else { continue };
            let Some(file) = files.get(&path) else { continue };
            let compared = file.compare(&running, &path, known_by, &netlink).await;
            all.insert(running.folder.interface().to_owned(), compared);
        }
        Ok(all)
    })
    .await
}

/// The path of the interface's file, and the record that names it.
fn path(running: &Running) -> Option<(PathBuf, KnownBy)> {
    let folder = &running.folder;
    let followed = || instance::follower(folder).and_then(|follower| follower.file);
    let on_trial = || {
        let trial = trial::pending(folder, &running.attachment).ok().flatten();
        trial.and_then(|trial| trial.subject.config()).map(PathBuf::from)
    };
    let default = || Some(PathBuf::from(DEFAULT_PATH)).filter(|path| path.exists());
    None.or_else(|| Some((followed()?, KnownBy::Daemon)))
        .or_else(|| Some((on_trial()?, KnownBy::Trial)))
        .or_else(|| Some((brought::file(folder)?, KnownBy::Attach)))
        .or_else(|| Some((default()?, KnownBy::Default)))
}

/// A file that was read, or the reason why it can't be read.
struct File(Result<(Clusters, ClusterText), String>);

impl File {
    async fn load(path: &Path) -> Self {
        match timeout(PATIENCE, load_file::load(path, None)).await {
            Ok(Ok(loaded)) => Self(Ok(loaded)),
            Ok(Err(failure)) => Self(Err(first_line(&failure))),
            Err(_) => Self(Err("its file system does not answer".into())),
        }
    }

    async fn compare(
        &self,
        running: &Running,
        path: &Path,
        known_by: KnownBy,
        netlink: &Netlink,
    ) -> FileComparison {
        let comparison = FileComparison {
            path: path.display().to_string(),
            known_by,
            revision: None,
            digest: None,
            state: FileState::Unreadable,
            problem: None,
            self_names: Vec::new(),
        };
        let (clusters, ClusterText { text, .. }) = match &self.0 {
            Ok(loaded) => loaded,
            Err(problem) => return FileComparison { problem: Some(problem.clone()), ..comparison },
        };
        let network = running.network().and_then(|name| name.parse().ok());
        let cluster = clusters.on(running.folder.interface(), network.as_ref());
        let comparison = FileComparison {
            revision: cluster.ok().and_then(|cluster| cluster.revision()),
            digest: Some(digest(text)),
            ..comparison
        };
        match compare(running, path, clusters, netlink).await {
            Ok(Compared { is_same, self_names }) => {
                let state = if is_same { FileState::Same } else { FileState::Differs };
                FileComparison { state, self_names, ..comparison }
            }
            Err(failure) => FileComparison {
                state: FileState::Refused,
                problem: Some(first_line(&failure)),
                ..comparison
            },
        }
    }
}

/// The comparison with a valid file.
struct Compared {
    /// True if `rewrite apply` with the file would change nothing.
    is_same: bool,
    /// The names for `--self`; empty if the host's addresses identify its members.
    self_names: Vec<String>,
}

/// Compares the interface with the file. If the attach had `--self`, this host's addresses may identify no member of the
/// file, or another one: the names of the running members identify it then.
///
/// # Errors
/// The refusals of an attach; and an error if the host or the maps can't be read.
async fn compare(
    running: &Running,
    path: &Path,
    clusters: &Clusters,
    netlink: &Netlink,
) -> Result<Compared, Error> {
    let compare = async |self_names: Vec<String>| {
        let request = difference::request(running, path, &self_names);
        let resolved = resolve(&request, running.folder.clone(), clusters, netlink).await?;
        let is_same = difference::between(Some(running), &resolved)?.changes.is_empty();
        let found: Vec<_> = names(&resolved.membership.identity).collect();
        Ok((Compared { is_same, self_names }, found))
    };
    let running_names: Vec<_> = names(&running.local.identity).collect();
    match compare(Vec::new()).await {
        Ok((compared, found)) if found == running_names => Ok(compared),
        Ok((by_address, _)) => match compare(running_names).await {
            Ok((by_name, _)) => Ok(by_name),
            Err(Error::Refused { .. }) => Ok(by_address),
            Err(failure) => Err(failure),
        },
        Err(Error::Refused { .. }) => Ok(compare(running_names).await?.0),
        Err(failure) => Err(failure),
    }
}

fn names(identity: &Identity) -> impl Iterator<Item = String> {
    identity.names().map(ToString::to_string)
}

fn first_line(failure: &Error) -> String {
    failure.to_string().lines().next().unwrap_or_default().to_owned()
}

/// The first digits of the content's SHA-256, as `sha256sum` prints them.
fn digest(content: &str) -> String {
    let mut digits = String::new();
    for byte in Sha256::digest(content).iter().take(DIGITS / 2) {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_has_the_first_digits_of_sha256sum() {
        assert_eq!(digest("abcd"), "88d4266fd4e6");
    }
}
