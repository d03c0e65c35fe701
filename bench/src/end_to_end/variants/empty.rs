//! Public addresses, and programs that do nothing where rewrite has its own: what is left to save.

use anyhow::Result;
use testkit::lab::{A_PUBLIC, B_PUBLIC, Lab};

use super::Way;
use crate::empty_program::{self, Place};

/// On both hosts, both ways.
pub fn set_up(lab: &Lab) -> Result<Way> {
    let mut links = Vec::new();
    for host in [&lab.a, &lab.b] {
        for place in [Place::TcxEgress, Place::TcxIngress] {
            links.push(empty_program::attach(host, place, "empty")?);
        }
    }
    Ok(Way { a: A_PUBLIC, b: B_PUBLIC, _running: Some(Box::new(links)) })
}
