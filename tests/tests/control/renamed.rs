//! An interface that gets another name while it is attached.

use anyhow::{Result, ensure};
use testkit::netns::Namespace;

use crate::host_state::HostState;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};
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
