//! Public addresses, and programs that do nothing where rewrite has its own: what is left to save.

use std::io;
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result};
use nix::net::if_::if_nametoindex;
use tests::lab::{A_PUBLIC, B_PUBLIC, Lab, PUBLIC_INTERFACE};

use super::Way;
use crate::empty_program::{self, Place};

/// On both hosts, both ways.
pub fn set_up(lab: &Lab) -> Result<Way> {
    let mut links = Vec::new();
    for host in [&lab.a, &lab.b] {
        for place in [Place::TcxEgress, Place::TcxIngress] {
            let link = host.enter(|| -> io::Result<OwnedFd> {
                let program = empty_program::load(place.of(), c"empty")?;
                empty_program::attach(&program, if_nametoindex(PUBLIC_INTERFACE)?, place)
            })?;
            links.push(link.context("attach the empty program (tcx: Linux 6.6)")?);
        }
    }
    Ok(Way { a: A_PUBLIC, b: B_PUBLIC, _running: Some(Box::new(links)) })
}
