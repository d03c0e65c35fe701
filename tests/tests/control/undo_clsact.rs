//! Attach and detach leave somebody else's clsact qdisc and filters alone.

use anyhow::{Result, ensure};
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;

use crate::host_state::HostState;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario};

/// A classic BPF program that matches no packet, so that the filters after it run.
const MATCH_NONE: &str = "1,6 0 0 0";

fn add_clsact(host: &Namespace) -> Result<()> {
    host.run(&["tc", "qdisc", "add", "dev", PUBLIC_INTERFACE, "clsact"])?;
    Ok(())
}

pub fn filter(host: &Namespace, hook: &str, priority: &str) -> Result<()> {
    let place = ["tc", "filter", "add", "dev", PUBLIC_INTERFACE, hook, "prio", priority];
    let what = ["protocol", "ip", "bpf", "bytecode", MATCH_NONE, "classid", "1:1"];
    host.run(&[&place[..], &what].concat())?;
    Ok(())
}

#[test]
fn a_clsact_qdisc_that_was_there_before_stays() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    add_clsact(host)?;
    let before = HostState::of(host)?;
    for hook in [CLSACT, NOTHING_MORE] {
        scenario.attach(host, hook)?;
        scenario.require_healthy(host)?;
        scenario.detach(host)?;
        before.assert_unchanged(host, "after detach");
    }
    Ok(())
}

#[test]
fn filters_of_somebody_else_stay_as_they_are() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    add_clsact(host)?;
    for hook in ["ingress", "egress"] {
        filter(host, hook, "10")?;
    }
    let before = HostState::of(host)?;
    for hook in [CLSACT, NOTHING_MORE] {
        scenario.attach(host, hook)?;
        scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
        scenario.require_healthy(host)?;
        scenario.require_traffic()?;
        scenario.detach(host)?;
        before.assert_unchanged(host, "after detach");
    }
    Ok(())
}

#[test]
fn a_filter_added_later_to_our_qdisc_keeps_it() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    scenario.attach(host, CLSACT)?;
    filter(host, "egress", "10")?;
    scenario.detach(host)?;

    let after = HostState::of(host)?;
    let egress = after.look("tc filter show dev eth0 egress");
    ensure!(egress.contains("pref 10 bpf"), "{egress}");
    ensure!(!egress.contains("rewrite"), "{egress}");
    let ingress = after.look("tc filter show dev eth0 ingress");
    ensure!(ingress.is_empty(), "{ingress}");
    host.run(&["tc", "qdisc", "del", "dev", PUBLIC_INTERFACE, "clsact"])?;
    before.assert_unchanged(host, "after the qdisc went as well");
    Ok(())
}

#[test]
fn an_ingress_qdisc_is_not_taken_for_a_clsact_qdisc() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    // The ingress qdisc takes clsact's place and has no egress hook: the kernel would run egress filters at ingress.
    host.run(&["tc", "qdisc", "add", "dev", PUBLIC_INTERFACE, "ingress"])?;
    let before = HostState::of(host)?;
    let ended = scenario.try_attach(host, CLSACT)?;
    ensure!(ended.code != Some(0), "{ended:?}");
    before.assert_unchanged(host, "after a failed attach");
    scenario.attach_both(NOTHING_MORE)?;
    scenario.require_traffic()?;
    scenario.detach(host)?;
    before.assert_unchanged(host, "after detach");
    Ok(())
}

#[test]
fn a_filter_of_somebody_else_in_our_place_at_ingress_is_no_trap() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    add_clsact(host)?;
    filter(host, "ingress", "1")?;
    let before = HostState::of(host)?;
    let ended = scenario.try_attach(host, CLSACT)?;
    if ended.code == Some(0) {
        scenario.require_healthy(host)?;
        scenario.detach(host)?;
    }
    before.assert_unchanged(host, "after attach, and detach if that worked");
    Ok(())
}
