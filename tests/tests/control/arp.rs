//! Attach sets arp_announce and arp_ignore, which keep the private address out of ARP on the attached interface, and
//! detach restores both sysctls.

use anyhow::{Result, ensure};
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;

use crate::host_state::HostState;
use crate::scenario::{NOTHING_MORE, Scenario};

const SYSCTLS: [&str; 2] = ["arp_announce", "arp_ignore"];

fn key(sysctl: &str) -> String {
    format!("net.ipv4.conf.{PUBLIC_INTERFACE}.{sysctl}")
}

/// The values of arp_announce and arp_ignore on the interface.
fn values(host: &Namespace) -> Result<[String; 2]> {
    let read = |sysctl| anyhow::Ok(host.run(&["sysctl", "-n", &key(sysctl)])?.trim().to_owned());
    let [announce, ignore] = SYSCTLS.map(read);
    Ok([announce?, ignore?])
}

fn require(host: &Namespace, wanted: [&str; 2], when: &str) -> Result<()> {
    let values = values(host)?;
    ensure!(values == wanted, "{when}: {SYSCTLS:?} are {values:?}, not {wanted:?}");
    Ok(())
}

#[test]
fn attach_sets_both_and_detach_sets_back_what_was_there() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    for (announce, ignore, attached) in
        [("0", "0", ["2", "1"]), ("1", "0", ["2", "1"]), ("2", "3", ["2", "3"])]
    {
        host.sysctl(&key("arp_announce"), announce)?;
        host.sysctl(&key("arp_ignore"), ignore)?;
        let before = HostState::of(host)?;
        let said = scenario.attach(host, NOTHING_MORE)?;
        require(host, attached, "after attach")?;
        let is_told = said.contains("sysctl net.ipv4.conf.eth0.arp_ignore=1");
        ensure!(is_told == (ignore == "0"), "{said}");
        // A second attach keeps the recorded former values.
        scenario.attach(host, NOTHING_MORE)?;
        let said = scenario.detach(host)?;
        let is_told = said.contains("restored: sysctl net.ipv4.conf.eth0.arp_ignore=0");
        ensure!(is_told == (ignore == "0"), "{said}");
        before.assert_unchanged(host, "after detach");
    }
    Ok(())
}

#[test]
fn what_an_operator_sets_while_attached_stays() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    host.sysctl(&key("arp_ignore"), "2")?;
    scenario.rewrite.run(host, &["peer", "set", "srvb", "--direct", "true"])?;
    require(host, ["2", "2"], "with a direct peer")?;
    scenario.rewrite.run(host, &["peer", "set", "srvb", "--direct", "false"])?;
    scenario.detach(host)?;
    require(host, ["0", "2"], "after detach")
}

#[test]
fn what_is_missing_is_found_and_put_right() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    scenario.attach(host, NOTHING_MORE)?;
    host.sysctl(&key("arp_ignore"), "0")?;
    let ended = scenario.try_run(host, &["status"])?;
    ensure!(ended.code != Some(0) && ended.stdout.contains("ARP on eth0 can reveal"), "{ended:?}");
    scenario.attach(host, NOTHING_MORE)?;
    require(host, ["2", "1"], "after another attach")?;
    scenario.require_healthy(host)?;
    scenario.detach(host)?;
    before.assert_unchanged(host, "after detach");
    Ok(())
}

/// A direct peer sends ARP requests for the private address and needs an answer.
#[test]
fn with_a_direct_peer_arp_is_answered_for_the_private_address() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    scenario.attach(host, NOTHING_MORE)?;
    for (direct, ignore) in [("true", "0"), ("false", "1"), ("true", "0")] {
        scenario.rewrite.run(host, &["peer", "set", "srvb", "--direct", direct])?;
        require(host, ["2", ignore], &format!("direct is {direct}"))?;
        scenario.require_healthy(host)?;
    }
    // The file does not set `direct`, so this attach sets arp_ignore to 1 again.
    scenario.attach(host, NOTHING_MORE)?;
    require(host, ["2", "1"], "by the file")?;
    scenario.file("direct.toml", scenario.lab.cluster_toml() + "direct = true\n")?;
    scenario.attach_by(host, "direct.toml", NOTHING_MORE)?;
    require(host, ["2", "0"], "by a file with a direct peer")?;
    scenario.detach(host)?;
    before.assert_unchanged(host, "after detach");
    Ok(())
}

/// Reproduces a killed attach or detach. The record names both sysctls, but one sysctl or both have their former value:
/// attach records both sysctls before it sets the first one, and detach restores the sysctls one by one before it
/// removes the record.
#[test]
fn what_a_killed_attach_has_set_and_not_set_is_put_back() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    for set in [["0", "0"], ["2", "0"], ["0", "1"]] {
        scenario.attach(host, NOTHING_MORE)?;
        for (sysctl, value) in SYSCTLS.iter().zip(set) {
            host.sysctl(&key(sysctl), value)?;
        }
        scenario.detach(host)?;
        before.assert_unchanged(host, &format!("after detach with {set:?}"));
    }
    Ok(())
}
