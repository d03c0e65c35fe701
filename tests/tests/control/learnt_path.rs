//! Commands work while the kernel remembers a learnt path MTU for a peer: the learnt MTU does not count as a route.

use std::time::Duration;

use anyhow::Result;
use testkit::lab::{Addresses, FAMILIES, LabOptions};
use testkit::netns::Namespace;
use testkit::wait::wait_until;

use crate::scenario::{NOTHING_MORE, Scenario};

/// Sends packets that are too large for the path until the kernel has learnt the path's MTU.
pub fn learn(host: &Namespace, family: &Addresses) -> Result<()> {
    let (option, size) = if family.b_private.is_ipv4() { ("-4", "1472") } else { ("-6", "1452") };
    let (from, to) = (family.a_private.to_string(), family.b_private.to_string());
    let route = ["ip", "-d", option, "route", "get", &to, "from", &from];
    wait_until("the MTU of the path", Duration::from_secs(20), || {
        let ping = ["-n", option, "-c", "1", "-W", "1", "-M", "do", "-s", size, "-I", &from, &to];
        // The ping fails: its packet is too large.
        host.command("ping").args(ping).output()?;
        Ok(host.run(&route)?.contains("mtu 1400").then_some(()))
    })
}

#[test]
fn a_learnt_path_mtu_is_in_the_way_of_no_change() -> Result<()> {
    let scenario = Scenario::with(LabOptions { path_mtu: Some(1400), ..LabOptions::default() })?;
    scenario.file("cluster.toml", scenario.lab.cluster_toml_of(&FAMILIES))?;
    scenario.attach_both(NOTHING_MORE)?;
    let host = &scenario.lab.a;
    for family in &FAMILIES {
        learn(host, family)?;
    }
    let path = scenario.path("cluster.toml");
    for words in [
        &["check", "--config", &path][..],
        &["attach", "eth0", "--config", &path],
        &["diff", "--config", &path],
        &["peer", "set", "srvb", "--bypass", "tcp/22"],
        &["attach", "eth0", "--config", &path, "--no-routes"],
        &["attach", "eth0", "--config", &path],
    ] {
        scenario.try_run(host, words)?.require(0, &[])?;
    }
    scenario.require_healthy(host)?;
    scenario.require_traffic()
}
