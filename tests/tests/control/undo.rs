//! Detach undoes exactly attach's changes.

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::lab::{A_PRIVATE, CABLE_INTERFACE, LabOptions, PUBLIC_INTERFACE};
use testkit::wait::wait_until;

use crate::dual_stack;
use crate::host_state::HostState;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP, XDP_AND_CLSACT, XDP_GENERIC};

/// Attaches both hosts, requires traffic, detaches, and requires that both hosts are as before.
fn comes_and_goes(scenario: &Scenario, more: &[&str]) -> Result<()> {
    let hosts = [&scenario.lab.a, &scenario.lab.b];
    let mut before = Vec::new();
    for host in hosts {
        before.push(HostState::of(host)?);
    }
    scenario.attach_both(more)?;
    for (host, before) in hosts.into_iter().zip(&before) {
        let attached = HostState::of(host)?;
        ensure!(!before.changes(&attached).is_empty(), "attach changed nothing");
        scenario.require_healthy(host)?;
    }
    scenario.require_traffic()?;
    for (host, before) in hosts.into_iter().zip(&before) {
        scenario.detach(host)?;
        before.assert_unchanged(host, "after detach");
    }
    Ok(())
}

#[test]
fn detach_leaves_the_host_as_it_was() -> Result<()> {
    comes_and_goes(&Scenario::new()?, NOTHING_MORE)
}

#[test]
fn detach_leaves_the_host_as_it_was_with_clsact() -> Result<()> {
    comes_and_goes(&Scenario::new()?, CLSACT)
}

#[test]
fn detach_leaves_the_host_as_it_was_with_xdp() -> Result<()> {
    comes_and_goes(&Scenario::new()?, XDP)
}

#[test]
fn detach_leaves_the_host_as_it_was_with_generic_xdp() -> Result<()> {
    comes_and_goes(&Scenario::new()?, XDP_GENERIC)
}

#[test]
fn detach_leaves_the_host_as_it_was_with_xdp_and_clsact() -> Result<()> {
    comes_and_goes(&Scenario::new()?, XDP_AND_CLSACT)
}

#[test]
fn detach_leaves_a_host_of_both_families_as_it_was() -> Result<()> {
    let scenario = Scenario::new()?;
    dual_stack::prepare(&scenario)?;
    comes_and_goes(&scenario, NOTHING_MORE)
}

#[test]
fn a_private_address_that_was_on_lo_before_stays() -> Result<()> {
    let scenario = Scenario::new()?;
    let address = format!("{A_PRIVATE}/32");
    scenario.lab.a.run(&["ip", "address", "add", &address, "dev", "lo"])?;
    comes_and_goes(&scenario, NOTHING_MORE)?;
    // Repeated attaches do not claim an address that was there before.
    scenario.attach(&scenario.lab.a, NOTHING_MORE)?;
    scenario.attach(&scenario.lab.a, NOTHING_MORE)?;
    scenario.detach(&scenario.lab.a)?;
    let addresses = scenario.lab.a.run(&["ip", "address", "show", "dev", "lo"])?;
    assert!(addresses.contains(&address), "{addresses}");
    Ok(())
}

#[test]
fn a_private_address_on_a_cable_without_carrier_stays_with_its_route() -> Result<()> {
    let scenario = Scenario::with(LabOptions { cable: true, ..LabOptions::default() })?;
    scenario.lab.cut_cable()?;
    for host in [&scenario.lab.a, &scenario.lab.b] {
        // The kernel notices the cut after a moment.
        wait_until("the cable to be without carrier", Duration::from_secs(10), || {
            let link = host.run(&["ip", "link", "show", CABLE_INTERFACE])?;
            Ok((!link.contains("LOWER_UP")).then_some(()))
        })?;
    }
    comes_and_goes(&scenario, NOTHING_MORE)?;
    let host = &scenario.lab.a;
    let address = host.run(&["ip", "address", "show", "dev", CABLE_INTERFACE])?;
    assert!(address.contains(&format!("inet {A_PRIVATE}/24")));
    let route = host.run(&["ip", "route", "show", "10.0.0.0/24"])?;
    assert!(route.contains(&format!("dev {CABLE_INTERFACE}")), "{route}");

    scenario.lab.plug_cable()?;
    scenario.require_traffic()
}

#[test]
fn attach_with_a_cable_that_works_takes_the_traffic_over_and_detach_gives_it_back() -> Result<()> {
    let scenario = Scenario::with(LabOptions { cable: true, ..LabOptions::default() })?;
    scenario.require_traffic()?;
    comes_and_goes(&scenario, NOTHING_MORE)?;
    scenario.require_traffic()
}

#[test]
fn attach_after_attach_leaves_nothing_more_to_undo() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    for _ in 0..3 {
        scenario.attach(host, NOTHING_MORE)?;
    }
    scenario.attach(host, &["--no-routes"])?;
    scenario.attach(host, NOTHING_MORE)?;
    scenario.detach(host)?;
    before.assert_unchanged(host, "after detach");
    Ok(())
}

#[test]
fn without_routes_detach_leaves_the_host_as_it_was() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    scenario.attach(host, &["--no-routes"])?;
    let routes = host.run(&["ip", "route", "show", "10.0.0.2"])?;
    assert_eq!(routes, "", "--no-routes");
    scenario.require_healthy(host)?;
    scenario.detach(host)?;
    before.assert_unchanged(host, "after detach");
    Ok(())
}

#[test]
fn detach_all_takes_everything_away() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    scenario.attach(host, NOTHING_MORE)?;
    let said = scenario.rewrite.run(host, &["detach", "--all"])?;
    assert!(said.contains("eth0: detached"), "{said}");
    before.assert_unchanged(host, "after detach --all");
    let said = scenario.rewrite.run(host, &["detach", "--all"])?;
    assert!(said.contains("no interface is attached"), "{said}");
    Ok(())
}

#[test]
fn a_detach_of_nothing_is_done() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let require_nothing = |interface: &str, hint: &str| -> Result<()> {
        let said = scenario.rewrite.run(host, &["detach", interface])?;
        let is_told = said.starts_with(&format!("{interface}: nothing was attached\n"));
        ensure!(is_told && said.contains(hint), "{said}");
        Ok(())
    };
    require_nothing(PUBLIC_INTERFACE, "--netns NAME")?;
    before.assert_unchanged(host, "after a detach of nothing");

    scenario.attach(host, NOTHING_MORE)?;
    require_nothing("eth1", "attached interfaces: eth0")?;
    scenario.require_healthy(host)?;
    scenario.detach(host)?;
    require_nothing(PUBLIC_INTERFACE, "--netns NAME")?;
    before.assert_unchanged(host, "after detaching twice");
    Ok(())
}

#[test]
fn detach_after_the_interface_is_gone_takes_the_rest_away() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    for hook in [NOTHING_MORE, CLSACT] {
        host.run(&["ip", "link", "add", "eth9", "type", "veth"])?;
        host.run(&["ip", "address", "add", "192.0.2.2/24", "dev", "eth9"])?;
        let before = HostState::of(host)?;
        host.run(&["ip", "link", "set", "eth9", "up"])?;
        scenario.file(
            "eth9.toml",
            "[[member]]\nname = \"x\"\nprivate = \"10.9.0.1\"\npublic = \"192.0.2.2\"\n\
             [[member]]\nname = \"y\"\nprivate = \"10.9.0.2\"\npublic = \"192.0.2.9\"\n",
        )?;
        let path = scenario.path("eth9.toml");
        let words = ["attach", "eth9", "--config", &path];
        scenario.rewrite.run(host, &[&words, hook].concat())?;
        host.run(&["ip", "link", "delete", "eth9"])?;
        scenario.rewrite.run(host, &["detach", "eth9"])?;
        let after = HostState::of(host)?;
        for look in ["pins", "tcx ingress", "tcx egress"] {
            assert_eq!(after.look(look), before.look(look));
        }
        assert!(!after.look("ip -json address").contains("10.9.0.1"));
    }
    Ok(())
}
