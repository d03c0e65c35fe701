//! Writes a change of a peer to the cluster file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::attached::Running;
use super::load_file;
use crate::config::{ClusterText, DEFAULT_PATH, FileChange};
use crate::dataplane::instance;
use crate::error::Error;
use crate::host::file_replacement::{NotReplaced, Replacement};
use crate::interrupt::Interrupt;
use crate::plan::file_edit::{self, File, FileEdit};
use crate::plan::peer_edit::Edited;

/// The request to write a change to the file.
#[derive(Clone, Debug, Default)]
pub struct Save {
    /// The file. By default, the file that the interface's daemon follows; without a daemon, [`DEFAULT_PATH`].
    pub config: Option<PathBuf>,
}

/// A change of the file that is ready to be written.
#[derive(Debug)]
pub(crate) struct Prepared {
    saved: Saved,
    /// `None` if the file already has the peer's state.
    replacement: Option<Replacement>,
}

/// A change of the file.
#[derive(Clone, Debug)]
pub struct Saved {
    /// The file that has the peer's member, with symbolic links resolved.
    pub file: PathBuf,
    /// The new text, and the lines that differ.
    pub edit: FileEdit,
    former: String,
}

/// Prepares the change of the file: afterwards, only the rename is left. The caller holds the interface lock.
///
/// # Errors
/// If the file can't be read, is invalid or would become invalid; if its folder can't be written to; and if the daemon
/// of the interface follows another file.
pub(crate) async fn prepare(
    save: &Save,
    running: &Running,
    edited: &Edited,
    interrupt: &Interrupt,
) -> Result<Prepared, Error> {
    let interface = running.folder.interface();
    let followed = instance::follower(&running.folder).and_then(|follower| follower.file);
    let file = resolved(&choose(save.config.as_deref(), followed, interface)?);
    let (clusters, ClusterText { text, sources }) = load_file::load(&file, Some(interrupt)).await?;
    let network = running.network().and_then(|name| name.parse().ok());
    let cluster = clusters.on(interface, network.as_ref())?;
    let peer = edited.after.as_ref().or(edited.before.as_ref());
    let Some(name) = peer.map(|peer| &peer.name) else {
        return Err(Error::refused("the change names no peer", "name a peer"));
    };
    let place = File { sources: &sources, text: &text, clusters: &clusters, cluster };
    let edit = file_edit::save(&place, name, edited.after.as_ref())?;
    if edit.is_empty() {
        return Ok(Prepared { saved: Saved { file, edit, former: text }, replacement: None });
    }
    let change = sources.change(&text, &edit.text).ok_or_else(|| file_edit::uneditable(&file))?;
    let FileChange { path, former, text } = change;
    let (file, former) = (resolved(path), former.to_owned());
    let replacement = Replacement::prepare(&file, former.clone(), text)
        .map_err(|error| unwritable(&file, &error))?;
    let edit = FileEdit { text: text.to_owned(), ..edit };
    Ok(Prepared { saved: Saved { file, edit, former }, replacement: Some(replacement) })
}

/// The file to write. A daemon would undo a change in a file other than the daemon's own.
fn choose(
    config: Option<&Path>,
    followed: Option<PathBuf>,
    interface: &str,
) -> Result<PathBuf, Error> {
    match (config, followed) {
        (Some(config), Some(followed)) if resolved(config) != resolved(&followed) => {
            Err(Error::refused(
                format!(
                    "the daemon of {interface} follows {}, and would undo a change in {}",
                    followed.display(),
                    config.display()
                ),
                "leave out --config: --save then writes to the daemon's file",
            ))
        }
        (Some(config), _) => Ok(config.to_owned()),
        (None, followed) => Ok(followed.unwrap_or_else(|| DEFAULT_PATH.into())),
    }
}

/// The path without symbolic links. A missing file keeps its path: the later read reports it.
fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

impl Prepared {
    /// Writes the file.
    ///
    /// # Errors
    /// If another program has changed the file meanwhile, or the kernel refuses the rename.
    pub fn write(self) -> Result<Saved, Error> {
        let Self { saved, replacement } = self;
        match replacement.map(Replacement::commit).transpose() {
            Ok(_) => Ok(saved),
            Err(NotReplaced::Changed) => Err(Error::refused(
                format!("another program has changed {} meanwhile", saved.file.display()),
                "look at the file, and run the command again: nothing has changed",
            )),
            Err(NotReplaced::Io(error)) => Err(unwritable(&saved.file, &error)),
        }
    }
}

impl Saved {
    /// Writes the former text back, after the change of the running peers has failed.
    pub(crate) fn restore(&self) {
        if self.edit.is_empty() {
            return;
        }
        let replacement = Replacement::prepare(&self.file, self.edit.text.clone(), &self.former);
        let restored = replacement.map_err(NotReplaced::from).and_then(Replacement::commit);
        if let Err(error) = restored {
            tracing::error!(
                "{} keeps the change that has failed: {error}; undo it there by hand",
                self.file.display()
            );
        }
    }
}

fn unwritable(file: &Path, error: &io::Error) -> Error {
    let folder = file.parent().unwrap_or(Path::new("/"));
    Error::host(
        format!("rewrite can't replace {}: {error}", file.display()),
        format!(
            "let this process write to the folder {}, or leave out --save and change the file by hand: nothing has \
             changed",
            folder.display()
        ),
    )
}
