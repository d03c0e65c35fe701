//! Tests an interface that somebody renames while it is attached, and an interface with a dot in its name.

use anyhow::{Result, ensure};
use testkit::netns::Namespace;

use crate::host_state::HostState;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP, wait_until_up};
use crate::status::wrong;

/// Renames an interface while it is up: taking it down would remove its routes.
fn rename(host: &Namespace, from: &str, to: &str) -> Result<()> {
    host.run(&["ip", "link", "set", from, "name", to])?;
    Ok(())
}

fn refused_until_detached(hook: &[&str]) -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let never_attached = HostState::of(host)?;
    scenario.attach_both(hook)?;
    rename(host, "eth0", "wan0")?;
    let renamed = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    let words = ["attach", "wan0", "--config", &path];
    let said = "wan0 is already attached, by its former name eth0";
    scenario.try_run(host, &words)?.require(4, &[said, "rewrite detach eth0"])?;
    renamed.assert_unchanged(host, "after a refused attach");
    let ended = scenario.try_run(host, &["check", "--config", &path])?;
    ended.require(4, &[])?;
    ensure!(ended.stdout.contains(said), "{ended:?}");
    wrong(&scenario, host, "eth0 has the new name wan0: rewrite detach eth0")?;
    // The attached interface works as before.
    scenario.require_traffic()?;

    scenario.detach(host)?;
    rename(host, "wan0", "eth0")?;
    never_attached.assert_unchanged(host, "after detach");
    rename(host, "eth0", "wan0")?;
    scenario.rewrite.run(host, &words)?;
    scenario.require_healthy(host)?;
    scenario.require_traffic()?;
    scenario.rewrite.run(host, &["detach", "wan0"])?;
    rename(host, "wan0", "eth0")?;
    never_attached.assert_unchanged(host, "after the second detach");
    Ok(())
}

#[test]
fn an_interface_with_a_new_name_is_attached_once() -> Result<()> {
    refused_until_detached(NOTHING_MORE)
}

#[test]
fn an_interface_with_a_new_name_is_attached_once_by_clsact() -> Result<()> {
    refused_until_detached(CLSACT)
}

#[test]
fn an_interface_with_a_new_name_is_attached_once_by_xdp() -> Result<()> {
    refused_until_detached(XDP)
}

/// The name eth0.100 looks like a VLAN interface's name.
#[test]
fn an_interface_with_a_dot_in_its_name_is_attached_shown_and_detached() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let run = |words: &str| host.run(&words.split(' ').collect::<Vec<_>>());
    run("ip link set eth0 down")?;
    run("ip link set eth0 name eth0.100")?;
    run("ip link set eth0.100 up")?;
    run("ip route add default via 198.51.100.1")?;
    wait_until_up(host, "eth0.100")?;
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    for _ in 0..2 {
        scenario.rewrite.run(host, &["attach", "eth0.100", "--config", &path])?;
    }
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    scenario.require_traffic()?;
    scenario.require_healthy(host)?;
    let listed = scenario.rewrite.run(host, &["peer", "list"])?;
    ensure!(listed.contains("eth0.100: 1 peer\n"), "{listed}");
    let add = "peer add srvc --private 10.0.0.3 --public 192.0.2.3 --interface eth0.100";
    scenario.rewrite.run(host, &add.split(' ').collect::<Vec<_>>())?;
    scenario.rewrite.run(host, &["detach", "eth0.100"])?;
    before.assert_unchanged(host, "after detach");
    Ok(())
}
