//! `rewrite apply --guard`: becomes who waits for the end of a trial.

use std::convert::Infallible;

use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::network_namespace::NetworkNamespace;
use crate::trial::{State, become_guard};

/// Waits for the end of the trial `id` on the interface, in the place of this process.
///
/// # Errors
/// If nobody waits then.
pub fn run(interface: &str, id: &str) -> Result<Infallible, Error> {
    become_guard(&State::of(&Folder::of(NetworkNamespace::current()?, interface)), id)
}
