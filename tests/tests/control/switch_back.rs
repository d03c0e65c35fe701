//! The way back from `rewrite peer set --all --network` restores what the command has changed, and nothing else.

use anyhow::{Result, ensure};
use testkit::lab::{add_address, join};
use testkit::netns::Namespace;

use crate::scenario::{NOTHING_MORE, Scenario, wait_until_up};
use crate::trial_state::Guard;
use crate::two_networks::goes_by;

/// The second and the third network's interfaces, each with the third octet of its addresses.
const MORE: [(&str, &str); 2] = [("ib0", "16"), ("slow0", "17")];
const FILE: &str = "\
[[network]]
name      = \"internet\"
interface = \"eth0\"

[[network]]
name      = \"ib\"
interface = \"ib0\"

[[network]]
name      = \"slow\"
interface = \"slow0\"

[[member]]
name    = \"srva\"
private = \"10.0.0.1\"
public  = { internet = \"198.51.100.2\", ib = \"172.16.16.1\", slow = \"172.16.17.1\" }

[[member]]
name    = \"srvb\"
private = \"10.0.0.2\"
public  = { internet = \"203.0.113.2\", ib = \"172.16.16.2\", slow = \"172.16.17.2\" }

[[member]]
name    = \"srvc\"
private = \"10.0.0.3\"
public  = { internet = \"203.0.113.3\", ib = \"172.16.16.3\", slow = \"172.16.17.3\" }
";

/// The lab with three networks, all of them attached on A.
fn attached() -> Result<Scenario> {
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.file("cluster.toml", FILE)?;
    scenario.attach(a, NOTHING_MORE)?;
    for (interface, octet) in MORE {
        join(a, interface, b, interface)?;
        for (host, last) in [(a, "1"), (b, "2")] {
            host.run(&["ip", "link", "set", interface, "up"])?;
            add_address(host, interface, format!("172.16.{octet}.{last}").parse()?)?;
            wait_until_up(host, interface)?;
        }
        let path = scenario.path("cluster.toml");
        scenario.rewrite.run(a, &["attach", interface, "--config", &path])?;
    }
    Ok(scenario)
}

fn switch(scenario: &Scenario, words: &[&str]) -> Result<String> {
    scenario.rewrite.run(&scenario.lab.a, &[&["peer", "set"], words].concat())
}

/// Requires that the packets to srvb and srvc leave by these interfaces.
fn require_by(host: &Namespace, [b, c]: [&str; 2]) -> Result<()> {
    let found = [goes_by(host, "10.0.0.2")?, goes_by(host, "10.0.0.3")?];
    ensure!(found == [b, c], "srvb and srvc go by {found:?}, not by {b} and {c}");
    Ok(())
}

#[test]
fn a_peer_that_was_on_the_network_before_stays_there() -> Result<()> {
    let scenario = attached()?;
    let host = &scenario.lab.a;
    switch(&scenario, &["srvc", "--network", "ib"])?;
    let said = switch(&scenario, &["--all", "--network", "ib"])?;
    require_by(host, ["ib0", "ib0"])?;
    let back: Vec<_> =
        said.lines().filter_map(|line| line.strip_prefix("  back: rewrite peer set ")).collect();
    assert_eq!(back, ["srvb --network internet"], "{said}");
    switch(&scenario, &back[0].split(' ').collect::<Vec<_>>())?;
    require_by(host, ["eth0", "ib0"])
}

#[test]
fn peers_of_several_networks_go_back_to_their_own() -> Result<()> {
    let scenario = attached()?;
    let host = &scenario.lab.a;
    switch(&scenario, &["srvc", "--network", "slow"])?;
    let said = switch(&scenario, &["--all", "--network", "ib"])?;
    require_by(host, ["ib0", "ib0"])?;
    for line in said.lines().filter_map(|line| line.strip_prefix("  back: rewrite peer set ")) {
        switch(&scenario, &line.split(' ').collect::<Vec<_>>())?;
    }
    require_by(host, ["eth0", "slow0"])?;
    let said = switch(&scenario, &["srvc", "--network", "internet"])?;
    ensure!(said.contains("  back: rewrite peer set srvc --network slow\n"), "{said}");
    let said = switch(&scenario, &["--all", "--network", "ib"])?;
    ensure!(said.contains("  back: rewrite peer set --all --network internet\n"), "{said}");
    Ok(())
}

#[test]
fn a_rollback_leaves_what_it_did_not_move_and_what_was_moved_since() -> Result<()> {
    let scenario = attached()?;
    let host = &scenario.lab.a;
    for (moved_since, after) in [
        (None, ["ib0", "eth0"]),
        (Some("srvb"), ["slow0", "eth0"]),
        (Some("srvc"), ["ib0", "slow0"]),
    ] {
        switch(&scenario, &["--all", "--network", "internet"])?;
        switch(&scenario, &["srvb", "--network", "ib"])?;
        switch(&scenario, &["--all", "--network", "internet", "--confirm-within", "1h"])?;
        let guard = Guard::of(host)?;
        require_by(host, ["eth0", "eth0"])?;
        if let Some(peer) = moved_since {
            switch(&scenario, &[peer, "--network", "slow"])?;
        }
        scenario.rewrite.run(host, &["apply", "--revert", "eth0"])?;
        guard.wait()?;
        require_by(host, after)?;
    }
    Ok(())
}
