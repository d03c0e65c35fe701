//! Larger maps took the place of the pins, and the command was killed before the programs looked into
//! them: what is written there changes no packet.

use std::fs;

use anyhow::{Result, ensure};

use crate::scenario::{NOTHING_MORE, Scenario, XDP};

fn no_change_is_reported_that_no_program_sees(more: &[&str]) -> Result<()> {
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.attach_both(more)?;
    scenario.require_traffic()?;
    // Another map of the same shape: as it is after the first of the renames.
    fs::rename(scenario.pin(b, "peers_v4")?, scenario.pin(a, "peers_v4")?)?;
    let path = scenario.path("cluster.toml");
    for words in [
        &["peer", "add", "srvc", "--private", "10.0.0.3", "--public", "192.0.2.3"][..],
        &["peer", "set", "srvb", "--public", "203.0.113.77"],
        &["peer", "remove", "srvb"],
    ] {
        let ended = scenario.try_run(a, words)?;
        ended.require(4, &["other maps than the pinned ones (peers_v4)", "rewrite attach eth0"])?;
    }
    let status = scenario.try_run(a, &["status"])?;
    ensure!(status.code == Some(1), "{status:?}");
    ensure!(status.stdout.contains("other maps than the pinned ones"), "{status:?}");
    // B's pin was lent for this.
    scenario.attach(b, NOTHING_MORE)?;
    scenario.rewrite.run(a, &["attach", "eth0", "--config", &path])?;
    scenario.require_healthy(a)?;
    scenario.rewrite.run(a, &["peer", "set", "srvb", "--direct", "true"])?;
    scenario.require_traffic()
}

#[test]
fn no_change_of_peers_is_reported_that_no_program_sees() -> Result<()> {
    no_change_is_reported_that_no_program_sees(NOTHING_MORE)
}

#[test]
fn no_change_of_peers_is_reported_that_no_program_sees_with_xdp() -> Result<()> {
    no_change_is_reported_that_no_program_sees(XDP)
}
