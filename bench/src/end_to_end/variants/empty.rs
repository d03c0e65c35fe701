//! Attaches empty programs at the attach points of rewrite's programs, for traffic between public addresses. The
//! cost of the empty programs is the lower bound of rewrite's cost.

use anyhow::Result;
use testkit::lab::Lab;

use super::Endpoints;
use crate::empty_program::{self, AttachPoint};

/// Attaches the programs on both hosts in both directions.
pub fn set_up(lab: &Lab) -> Result<Endpoints> {
    let mut links = Vec::new();
    for host in [&lab.a, &lab.b] {
        for place in [AttachPoint::TcxEgress, AttachPoint::TcxIngress] {
            links.push(empty_program::attach(host, place, "empty")?);
        }
    }
    Ok(Endpoints { _running: Some(Box::new(links)), ..Endpoints::public() })
}
