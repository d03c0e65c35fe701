//! `status` and `check` report an interface that is up and has no carrier.

use anyhow::{Result, ensure};

use crate::scenario::{NOTHING_MORE, Scenario, wait_until_up};
use crate::status::wrong;
use crate::two_networks::{SECOND, attach_second, prepared};

#[test]
fn status_and_check_find_that_the_carrier_is_gone() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    scenario.require_healthy(host)?;
    scenario.lab.router.run(&["ip", "link", "set", "eth-a", "down"])?;
    wrong(&scenario, host, "eth0 has no carrier")?;
    let path = scenario.path("cluster.toml");
    let ended = scenario.try_run(host, &["check", "--config", &path])?;
    ended.require(0, &[])?;
    ensure!(ended.stdout.contains("eth0 has no carrier"), "{ended:?}");
    scenario.lab.router.run(&["ip", "link", "set", "eth-a", "up"])?;
    wait_until_up(host, "eth0")?;
    scenario.require_healthy(host)
}

#[test]
fn a_network_without_a_carrier_is_wrong_on_each_interface_that_leaves_peers_to_it() -> Result<()> {
    let scenario = prepared()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.attach_both(NOTHING_MORE)?;
    for host in [a, b] {
        attach_second(&scenario, host)?;
        scenario.rewrite.run(host, &["peer", "set", "--all", "--network", "ib"])?;
    }
    scenario.require_healthy(a)?;
    b.run(&["ip", "link", "set", SECOND, "down"])?;
    let ended = scenario.try_run(a, &["status"])?;
    ended.require(1, &[])?;
    ensure!(ended.stdout.matches(" FAULT").count() == 2, "{ended:?}");
    ensure!(ended.stdout.contains("10.0.0.2 is routed through ib0, which is down"), "{ended:?}");
    // The remedy: all peers use the network `internet` again.
    scenario.rewrite.run(a, &["peer", "set", "--all", "--network", "internet"])?;
    let status = scenario.json(a, &["status", "--json"])?;
    assert_eq!(status["interfaces"][0]["interface"], "eth0");
    assert_eq!(status["interfaces"][0]["healthy"], true);
    assert_eq!(status["interfaces"][1]["healthy"], false);
    Ok(())
}
