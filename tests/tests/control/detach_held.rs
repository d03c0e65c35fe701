//! While a different process has the links open, detach removes the programs or reports the programs that still run.

use std::fs;

use anyhow::{Context, Result, ensure};
use aya::programs::TcAttachType;
use testkit::lab::PUBLIC_INTERFACE;

use crate::bpffs::bpftool;
use crate::hooks::{LINKS, foreign_pin, hold, hold_both, programs, require_one_each, run_second};
use crate::host_state::HostState;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP, XDP_AND_CLSACT};
use crate::unit::{capabilities, run};

#[test]
fn detach_takes_programs_away_whose_links_a_process_holds() -> Result<()> {
    for hook in [NOTHING_MORE, XDP] {
        let scenario = Scenario::new()?;
        let host = &scenario.lab.a;
        let before = HostState::of(host)?;
        scenario.attach(host, hook)?;
        let held = hold_both(&scenario, host)?;
        scenario.detach(host)?;
        before.assert_unchanged(host, &format!("{hook:?}, with held links"));
        // The next attach leaves one program in each direction while this process still has the old links open.
        scenario.attach_both(hook)?;
        require_one_each(host, "attached again")?;
        scenario.require_healthy(host)?;
        scenario.require_traffic()?;
        drop(held);
    }
    Ok(())
}

#[test]
fn detach_takes_programs_away_whose_links_have_another_pin() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    scenario.attach(host, NOTHING_MORE)?;
    let mut others = Vec::new();
    for name in LINKS {
        let other = foreign_pin(host, name)?;
        let words = [scenario.pin(host, name)?, other.clone()];
        let [link, path] = words.map(|path| path.display().to_string());
        bpftool(&["link", "pin", "pinned", &link, &path])?;
        others.push(other);
    }
    let said = scenario.detach(host);
    let after = HostState::of(host)?;
    for other in &others {
        fs::remove_file(other).context("unpin")?;
    }
    said?;
    let changes = before.changes(&after);
    ensure!(changes.is_empty(), "with links that have another pin: {changes:#?}");
    Ok(())
}

/// A process holds a link whose pin is gone. Finding such a link takes CAP_SYS_ADMIN, which the systemd unit does not
/// grant.
#[test]
fn a_program_that_detach_can_not_take_away_is_named() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let detach = ["detach", PUBLIC_INTERFACE];
    for (name, program) in [("egress_link", 0), ("ingress_link", 1)] {
        scenario.attach(host, NOTHING_MORE)?;
        let pin = scenario.pin(host, name)?;
        let held = hold(&pin)?;
        fs::remove_file(&pin).context("unpin")?;
        let id = held.info()?.id();
        let attached = HostState::of(host)?;
        let ended = run(&scenario, host, &capabilities()?, &detach)?;
        let wanted =
            format!("eth0 still runs programs of rewrite, at {}", ["egress", "ingress"][program]);
        ended.require(5, &[&wanted, "help: ", &format!("bpftool link detach id {id}")])?;
        ensure!(!ended.stdout.contains("detached"), "{ended:?}");
        attached.assert_unchanged(host, "after a detach that was refused");
        // Detach succeeds after `bpftool link detach`, or with the privilege to find the link.
        if program == 0 {
            bpftool(&["link", "detach", "id", &id.to_string()])?;
            run(&scenario, host, &capabilities()?, &detach)?.require(0, &[])?;
        } else {
            scenario.detach(host)?;
        }
        before.assert_unchanged(host, &format!("after the detach of {name}"));
    }
    Ok(())
}

#[test]
fn attach_takes_away_what_goes_on_though_its_pins_were_removed() -> Result<()> {
    for hook in [NOTHING_MORE, CLSACT] {
        let scenario = Scenario::new()?;
        let host = &scenario.lab.a;
        scenario.attach_both(hook)?;
        // Clsact filters stay attached without pins and without a holder.
        let held = if hook == CLSACT { Vec::new() } else { hold_both(&scenario, host)? };
        let folder = scenario.pin(host, "")?;
        fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
        require_one_each(host, "before")?;
        scenario.attach(host, hook)?;
        require_one_each(host, &format!("{hook:?}, attached anew"))?;
        scenario.require_healthy(host)?;
        scenario.require_traffic()?;
        drop(held);
    }
    Ok(())
}

#[test]
fn an_xdp_program_whose_pins_were_removed_is_named() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, XDP_AND_CLSACT)?;
    let held = hold(&scenario.pin(host, "ingress_link")?)?;
    fs::remove_file(scenario.pin(host, "ingress_link")?).context("unpin")?;
    // The program's own pin still exists, so attach recognizes the program as ours.
    scenario.attach_both(XDP_AND_CLSACT)?;
    require_one_each(host, "attached anew")?;
    scenario.require_healthy(host)?;
    scenario.require_traffic()?;
    drop(held);
    let held = hold(&scenario.pin(host, "ingress_link")?)?;
    fs::remove_dir_all(scenario.pin(host, "")?).context("remove the pins")?;
    let ended = scenario.try_attach(host, XDP_AND_CLSACT)?;
    ended.require(4, &["already runs another XDP program", "rewrite_xdp", "xdp off"])?;
    drop(held);
    Ok(())
}

#[test]
fn a_second_program_is_found_and_taken_away() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    for (attach_type, direction) in
        [(TcAttachType::Egress, "egress"), (TcAttachType::Ingress, "ingress")]
    {
        scenario.require_healthy(host)?;
        let second = run_second(&scenario, attach_type)?;
        let id = second.info()?.id();
        let said = format!("eth0 runs a stray program of rewrite, at {direction}: program id");
        crate::status::wrong(&scenario, host, &said)?;
        crate::status::wrong(&scenario, host, &format!("tcx link id {id}: rewrite attach eth0"))?;
        scenario.attach(host, NOTHING_MORE)?;
        require_one_each(host, "after attach")?;
        scenario.require_healthy(host)?;
        scenario.require_traffic()?;
        drop(second);
    }
    // Detach also removes a second program.
    let second = run_second(&scenario, TcAttachType::Egress)?;
    scenario.detach(host)?;
    ensure!(programs(host)?.iter().all(Vec::is_empty), "{:?}", programs(host)?);
    drop(second);
    Ok(())
}
