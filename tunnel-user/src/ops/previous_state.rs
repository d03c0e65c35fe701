//! Saves the running state of an attached interface before a change, so that an attach can restore the state.

use std::path::PathBuf;

use super::attached::{self, Running};
use super::lost_pins;
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::model::Drain;
use crate::plan::cluster_file::{self, Inexpressible, RunningMembership};
use crate::trial::{RollbackOptions, State};

/// The largest number of peers whose state is saved before a change without a trial. A file with more peers takes too
/// long.
const PEERS_MAX: usize = 10_000;

/// The reason why the state before a change is not saved. `Display` prints the reason as a clause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSaved {
    /// More peers ran than rewrite saves.
    #[error("more than {PEERS_MAX} peers ran")]
    TooManyPeers,
    /// No file can express the running state.
    #[error(transparent)]
    Inexpressible(#[from] Inexpressible),
    /// The file can't be written under /run; the log has the error.
    #[error("{} can't be written", .0.display())]
    Unwritable(PathBuf),
}

/// The state before a change.
#[derive(Debug)]
pub(crate) struct Previous {
    text: String,
    options: RollbackOptions,
    is_gateway: bool,
}

/// A saved state, and the options of the attach that restores the state.
#[derive(Clone, Debug)]
pub struct Saved {
    /// The path of the cluster file with the state.
    pub path: PathBuf,
    /// The options of the attach.
    pub options: RollbackOptions,
    /// True if this host is a gateway: the attach can't identify it by its addresses, and needs --self.
    pub is_gateway: bool,
}

impl Previous {
    /// The running state, or the reason why it can't be saved.
    ///
    /// # Errors
    /// If the maps can't be read.
    pub fn of(running: &Running) -> Result<Result<Self, NotSaved>, Error> {
        if running.maps.names()?.len() > PEERS_MAX {
            return Ok(Err(NotSaved::TooManyPeers));
        }
        let is_gateway = running.local.identity.is_gateway();
        let text = file(running)?.map_err(NotSaved::from);
        Ok(text.map(|text| Self { text, options: options(running), is_gateway }))
    }

    /// Saves the state under /run. Logs a failure.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn save(self, state: &State) -> Result<Saved, NotSaved> {
        let Self { text, options, is_gateway } = self;
        match state.save_previous(&text) {
            Ok(path) => Ok(Saved { path, options, is_gateway }),
            Err(failure) => {
                tracing::warn!("the previous state is not saved: {failure}");
                Err(NotSaved::Unwritable(state.previous()))
            }
        }
    }
}

/// The interface's attachment, if the interface is attached and runs the programs. The caller holds the interface lock,
/// or reads within [`attached::undisturbed`].
///
/// # Errors
/// If the pins can't be used.
pub(crate) async fn running(
    folder: &Folder,
    link: u32,
    netlink: &Netlink,
) -> Result<Option<Running>, Error> {
    if lost_pins::are_lost(folder)? {
        return Ok(None);
    }
    let running = Running::open(folder.clone())?;
    let place = attached::place(folder, link, &running.attachment, netlink).await;
    Ok(place.map(|_| running))
}

/// The text of a cluster file with the running state.
///
/// # Errors
/// If the maps can't be read. The inner error if no file can express the running state.
pub(crate) fn file(running: &Running) -> Result<Result<String, Inexpressible>, Error> {
    Ok(cluster_file::of_running(&RunningMembership {
        membership: running.membership()?,
        peers: running.maps.peers()?,
        local: running.maps.local_tables()?,
        names: running.maps.names()?,
        bypass: running.maps.bypass()?,
        drain: Drain::from_seconds(running.attachment.drain),
        revision: Some(running.attachment.revision).filter(|revision| *revision != 0),
        network: running.network().map(|name| (name, running.folder.interface().to_owned())),
    }))
}

/// The options of the attach that restores the running state.
#[must_use]
pub(crate) fn options(running: &Running) -> RollbackOptions {
    let attachment = &running.attachment;
    RollbackOptions {
        self_names: running.local.identity.names().map(ToString::to_string).collect(),
        no_routes: attachment.routes_managed == 0,
        hook: attachment.hook,
        ingress: attachment.ingress,
        verbose: attachment.verbose == 1,
        vlan: Some((attachment.settings.vlan, attachment.settings.vlan_id)),
    }
}
