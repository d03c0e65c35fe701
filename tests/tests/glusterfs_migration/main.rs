//! Tests a whole migration, as docs/migrate-glusterfs.md describes it. Two GlusterFS servers know each
//! other by 10.0.0.1 and 10.0.0.2 over a cable: B moves, then A, and then the servers get a cable again.
//! A client writes all the while.
//!
//! Run as root, with the binary `rewrite` built (see `testkit::rewrite_command`) and with Debian's
//! `glusterfs-server` installed. `--nocapture` shows the measured times.

mod client;
mod migration;
mod sites;

use std::time::Duration;

use anyhow::Result;
use testkit::gluster::PING_TIMEOUT;

use crate::migration::Migration;
use crate::sites::{A_FIRST, A_SECOND, B_SECOND};

/// The longest wait of a write when a server vanishes: twice the time after which the volume gives up on a silent
/// brick, plus 5 s. No write may fail.
const AN_OUTAGE: Duration = Duration::from_secs(2 * PING_TIMEOUT.as_secs() + 5);
/// The longest wait of a write when no server vanishes: shorter than the time after which the volume gives up on a
/// silent brick.
const NO_OUTAGE: Duration = Duration::from_secs(PING_TIMEOUT.as_secs() / 2);

#[test]
fn both_servers_move_and_get_a_cable_again_under_a_client_that_writes() -> Result<()> {
    let mut migration = Migration::begin()?;
    play(&mut migration).inspect_err(|_| migration.complain())
}

fn play(migration: &mut Migration) -> Result<()> {
    migration.phase("over the cable", NO_OUTAGE, Migration::prepare)?;
    migration.phase("B moves", NO_OUTAGE, |migration| migration.move_b(&B_SECOND))?;
    migration.phase("attached and healed", NO_OUTAGE, Migration::attach_both)?;
    migration.phase("A moves", AN_OUTAGE, |migration| migration.move_a(&A_FIRST, &A_SECOND))?;
    migration.phase("followed and healed", NO_OUTAGE, |migration| migration.follow_a(&A_SECOND))?;
    migration.phase("A moves back, with both addresses for a while", NO_OUTAGE, |migration| {
        migration.renumber_a(&A_SECOND, &A_FIRST)
    })?;
    migration.phase("a cable again", NO_OUTAGE, Migration::plug_cable)?;
    migration.phase("rewriting taken out", NO_OUTAGE, Migration::detach_both)?;
    migration.end()
}
