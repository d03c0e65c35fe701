//! `rewrite apply --guard`: becomes the guard, which waits for the deadline of a trial.

use std::convert::Infallible;

use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::network_namespace::NetworkNamespace;
use crate::trial::{State, become_guard};

/// Turns this process into the guard of the trial `id` on the interface.
///
/// # Errors
/// If this process can't become the guard.
pub fn run(interface: &str, id: &str) -> Result<Infallible, Error> {
    become_guard(&State::of(&Folder::of(NetworkNamespace::current()?, interface)), id)
}
