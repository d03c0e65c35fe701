//! Reproduces rare states that a killed attach leaves behind, and requires that the next command repairs them.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;
use testkit::numbered_stream::Streams;

use crate::bpffs::{ATTACHMENT_HOOK, bpftool, set_attachment_byte};
use crate::host_state::HostState;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP, XDP_AND_CLSACT};
use crate::undo_clsact::filter;

/// Reproduces an attach that was killed before it added the address and the routes: the programs run, and the record
/// does not show them yet.
fn attached_but_not_recorded(scenario: &Scenario, host: &Namespace, hook: &[&str]) -> Result<()> {
    scenario.attach(host, hook)?;
    host.run(&["ip", "route", "delete", "10.0.0.2/32", "proto", "114"])?;
    host.run(&["ip", "address", "delete", "10.0.0.1/32", "dev", "lo"])?;
    let record = scenario.pin(host, "attachment")?;
    // Clear only the hook, and keep `clsact_added`: attach records the qdisc before it adds the qdisc.
    set_attachment_byte(&record, ATTACHMENT_HOOK, 0)
}

fn put_right_by_attach(first: &[&str], next: &[&str]) -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    attached_but_not_recorded(&scenario, host, first)?;
    scenario.attach(host, next)?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    scenario.require_healthy(host)?;
    scenario.require_traffic()?;
    scenario.detach(host)?;
    before.assert_unchanged(host, "after attach and detach");
    Ok(())
}

#[test]
fn programs_by_tcx_that_are_not_recorded_are_put_right_by_attach() -> Result<()> {
    put_right_by_attach(NOTHING_MORE, NOTHING_MORE)
}

#[test]
fn programs_by_clsact_that_are_not_recorded_are_put_right_by_attach() -> Result<()> {
    put_right_by_attach(CLSACT, CLSACT)
}

#[test]
fn programs_by_clsact_that_are_not_recorded_are_put_right_by_attach_by_tcx() -> Result<()> {
    put_right_by_attach(CLSACT, NOTHING_MORE)
}

#[test]
fn programs_by_xdp_that_are_not_recorded_are_put_right_by_attach() -> Result<()> {
    put_right_by_attach(XDP, XDP)
}

#[test]
fn programs_by_xdp_that_are_not_recorded_are_put_right_by_attach_by_tc() -> Result<()> {
    put_right_by_attach(XDP_AND_CLSACT, NOTHING_MORE)
}

#[test]
fn programs_that_are_not_recorded_are_taken_away_by_detach() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    for hook in [NOTHING_MORE, CLSACT, XDP, XDP_AND_CLSACT] {
        attached_but_not_recorded(&scenario, host, hook)?;
        scenario.detach(host)?;
        before.assert_unchanged(host, &format!("after detach, {hook:?}"));
    }
    Ok(())
}

/// Attaches repeatedly while a watcher counts how often a program's pin is missing.
fn always_pinned(hook: &[&str], ingress: &str) -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, hook)?;
    let pins = [scenario.pin(host, "rewrite_egress")?, scenario.pin(host, ingress)?];
    let stop = AtomicBool::new(false);
    let missed = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut missed = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                missed += pins.iter().map(|pin| u32::from(!pin.exists())).sum::<u32>();
            }
            missed
        });
        let attached = (0..10).try_for_each(|_| scenario.attach(host, hook).map(drop));
        stop.store(true, Ordering::Relaxed);
        let missed = watcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        attached.map(|()| missed)
    })?;
    assert_eq!(missed, 0, "killed at that moment, attach would have left a program without a pin");
    Ok(())
}

#[test]
fn an_attach_that_replaces_programs_leaves_none_without_a_pin() -> Result<()> {
    always_pinned(NOTHING_MORE, "rewrite_ingress")
}

#[test]
fn an_attach_that_replaces_programs_by_clsact_leaves_none_without_a_pin() -> Result<()> {
    always_pinned(CLSACT, "rewrite_ingress")
}

#[test]
fn an_attach_that_replaces_programs_with_xdp_leaves_none_without_a_pin() -> Result<()> {
    always_pinned(XDP, "rewrite_xdp")
}

/// Reproduces an attach that was killed after the kernel replaced the programs and before the new programs' pins
/// replaced the old pins.
fn exchanged_but_not_moved(hook: &[&str], ingress: &str) -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(hook)?;
    for name in ["rewrite_egress", ingress] {
        let pin = scenario.pin(host, name)?;
        let new = scenario.pin(host, &format!("{name}_new"))?;
        fs::rename(&pin, &new).context("move the pin")?;
        // B's program, which does not run on A, takes the pin's place.
        let other = scenario.pin(&scenario.lab.b, name)?.display().to_string();
        bpftool(&["prog", "pin", "pinned", &other, &pin.display().to_string()])?;
    }
    scenario.require_healthy(host)?;
    let streams = Streams::start(&scenario.lab)?;
    scenario.attach(host, hook)?;
    scenario.attach(host, hook)?;
    streams.require_none_lost()?;
    assert!(!scenario.pin(host, "rewrite_egress_new")?.exists());
    scenario.require_healthy(host)
}

#[test]
fn programs_that_were_exchanged_without_their_pins_go_on() -> Result<()> {
    exchanged_but_not_moved(NOTHING_MORE, "rewrite_ingress")
}

#[test]
fn programs_that_were_exchanged_without_their_pins_go_on_with_clsact() -> Result<()> {
    exchanged_but_not_moved(CLSACT, "rewrite_ingress")
}

#[test]
fn programs_that_were_exchanged_without_their_pins_go_on_with_xdp() -> Result<()> {
    exchanged_but_not_moved(XDP, "rewrite_xdp")
}

#[test]
fn a_program_whose_pin_is_gone_is_attached_anew() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    for hook in [NOTHING_MORE, CLSACT] {
        scenario.attach_both(NOTHING_MORE)?;
        fs::remove_file(scenario.pin(host, "rewrite_egress")?).context("unpin")?;
        let ended = scenario.try_run(host, &["status"])?;
        ended.require(1, &[])?;
        scenario.attach(host, hook)?;
        scenario.require_healthy(host)?;
        scenario.require_traffic()?;
        scenario.detach(host)?;
        before.assert_unchanged(host, "after detach");
    }
    Ok(())
}

#[test]
fn an_attach_that_fails_after_one_that_was_killed_leaves_nothing_behind() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    // A filter for a different protocol in our filter's place makes an attach with clsact fail late.
    host.run(&["tc", "qdisc", "add", "dev", PUBLIC_INTERFACE, "clsact"])?;
    filter(host, "ingress", "1")?;
    let before = HostState::of(host)?;
    // Reproduce an attach that was killed after it added the address and the routes.
    scenario.attach(host, NOTHING_MORE)?;
    set_attachment_byte(&scenario.pin(host, "attachment")?, ATTACHMENT_HOOK, 0)?;
    if scenario.try_attach(host, CLSACT)?.code == Some(0) {
        scenario.detach(host)?;
    }
    before.assert_unchanged(host, "after a failed attach, or attach and detach");
    Ok(())
}
