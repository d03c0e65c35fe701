//! A kill at any step of an ABI change never stops traffic, and the next command repairs the host.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;
use testkit::numbered_stream::Streams;

use crate::bpffs::tree;
use crate::host_state::HostState;
use crate::previous::{Counts, Previous};
use crate::process::Process;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};

const KILLS: u32 = 20;
/// The time limit for a step. On an overloaded host, an attach is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// A step of an ABI change, recognized by a pin that appears or disappears.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Comes(&'static str),
    Goes(&'static str),
}

/// The steps to ABI 3, in order.
const UPGRADE: [Moment; 9] = [
    Moment::Comes("next_abi3_new"),
    Moment::Comes("next_abi3_new/peers_v4"),
    Moment::Comes("next_abi3_new/rewrite_egress"),
    Moment::Comes("next_abi3"),
    Moment::Goes("next_abi3/rewrite_egress"),
    Moment::Comes("local_members"),
    Moment::Goes("next_abi3/attachment"),
    Moment::Goes("selves"),
    Moment::Goes("next_abi3"),
];

/// The steps back to ABI 2, in order.
const DOWNGRADE: [Moment; 6] = [
    Moment::Comes("next_abi2_new"),
    Moment::Comes("next_abi2"),
    Moment::Goes("next_abi2/rewrite_egress"),
    Moment::Comes("selves"),
    Moment::Goes("next_abi2/attachment"),
    Moment::Goes("next_abi2"),
];

/// Waits for `moment` without sleeping, because the moment is short, and kills the command.
fn kill_at(moment: Moment, folder: &Path, process: Process) -> Result<()> {
    let (pin, wanted) = match moment {
        Moment::Comes(pin) => (folder.join(pin), true),
        Moment::Goes(pin) => {
            let pin = folder.join(pin);
            wait(&pin, true, &process)?;
            (pin, false)
        }
    };
    wait(&pin, wanted, &process)?;
    process.signal(Signal::SIGKILL)?;
    process.kill().map(drop)
}

/// Waits until `pin` exists, or is gone if `wanted` is false. If the wait misses the moment, the wait ends with the
/// command.
fn wait(pin: &Path, wanted: bool, process: &Process) -> Result<()> {
    let start = Instant::now();
    let mut looks = 0_u32;
    while pin.exists() != wanted {
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(1000) {
            if !process.runs() {
                return Ok(());
            }
            ensure!(start.elapsed() < PATIENCE, "{} did not come or go", pin.display());
        }
    }
    Ok(())
}

fn attach_words(path: &str) -> [&str; 4] {
    ["attach", PUBLIC_INTERFACE, "--config", path]
}

/// Requires that the folder of the pins holds only this version's pins.
fn require_nothing_between(scenario: &Scenario, host: &Namespace) -> Result<()> {
    let pins = tree(&scenario.pin(host, "")?)?;
    let left = pins.iter().filter(|pin| {
        let name = pin.to_string_lossy();
        name.contains("next_abi") || name.contains("selves") || name.ends_with("_new")
    });
    ensure!(left.clone().count() == 0, "left: {:?}", left.collect::<Vec<_>>());
    Ok(())
}

fn upgrade_killed_at_each_step(hook: &[&str]) -> Result<()> {
    let previous = Previous::locate()?;
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    previous.attach_both(&scenario, hook)?;
    let path = scenario.path("cluster.toml");
    let folder = scenario.pin(host, "")?;
    let streams = Streams::start(&scenario.lab)?;
    for moment in UPGRADE {
        let when = || format!("{hook:?}, killed at {moment:?}");
        let counts = previous.counts(host).with_context(when)?;
        let process = scenario.start(host, &attach_words(&path))?;
        kill_at(moment, &folder, process).with_context(when)?;
        scenario.attach(host, NOTHING_MORE).with_context(when)?;
        scenario.require_healthy(host).with_context(when)?;
        require_nothing_between(&scenario, host).with_context(when)?;
        let later = Counts::of_new(&scenario, host)?;
        later.require_no_less_than(&counts).with_context(when)?;
        scenario.rewrite.run(host, &["downgrade", PUBLIC_INTERFACE]).with_context(when)?;
        previous.require_healthy(host).with_context(when)?;
    }
    streams.require_none_lost()?;
    previous.detach(host)?;
    before.assert_unchanged(host, "after all kills and a detach");
    Ok(())
}

#[test]
fn an_upgrade_that_is_killed_at_each_step_is_put_right() -> Result<()> {
    upgrade_killed_at_each_step(NOTHING_MORE)
}

#[test]
fn an_upgrade_by_clsact_that_is_killed_at_each_step_is_put_right() -> Result<()> {
    upgrade_killed_at_each_step(CLSACT)
}

#[test]
fn an_upgrade_with_xdp_that_is_killed_at_each_step_is_put_right() -> Result<()> {
    upgrade_killed_at_each_step(XDP)
}

#[test]
fn an_upgrade_that_is_killed_at_any_moment_is_put_right_by_attach_or_detach() -> Result<()> {
    let previous = Previous::locate()?;
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    previous.attach(&scenario, host, NOTHING_MORE)?;
    let path = scenario.path("cluster.toml");
    let start = Instant::now();
    scenario.attach(host, NOTHING_MORE)?;
    let life = start.elapsed();
    scenario.detach(host)?;
    for moment in 0..KILLS {
        let when = || format!("killed at {moment} of {KILLS}");
        previous.attach(&scenario, host, NOTHING_MORE).with_context(when)?;
        let process = scenario.start(host, &attach_words(&path))?;
        thread::sleep(life * moment / KILLS);
        process.kill()?;
        if moment % 2 == 0 {
            scenario.attach(host, NOTHING_MORE).with_context(when)?;
            scenario.require_healthy(host).with_context(when)?;
        }
        scenario.detach(host).with_context(when)?;
        before.assert_unchanged(host, &when());
    }
    Ok(())
}

#[test]
fn a_downgrade_that_is_killed_at_each_step_is_put_right() -> Result<()> {
    let previous = Previous::locate()?;
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    scenario.attach_both(NOTHING_MORE)?;
    let folder = scenario.pin(host, "")?;
    let downgrade = ["downgrade", PUBLIC_INTERFACE];
    let streams = Streams::start(&scenario.lab)?;
    for (moment, again) in DOWNGRADE.into_iter().flat_map(|m| [(m, true), (m, false)]) {
        let when = || format!("killed at {moment:?}, {again}");
        let counts = Counts::of_new(&scenario, host).with_context(when)?;
        kill_at(moment, &folder, scenario.start(host, &downgrade)?).with_context(when)?;
        if again {
            scenario.rewrite.run(host, &downgrade).with_context(when)?;
            previous.require_healthy(host).with_context(when)?;
            previous.counts(host)?.require_no_less_than(&counts).with_context(when)?;
        }
        scenario.attach(host, NOTHING_MORE).with_context(when)?;
        scenario.require_healthy(host).with_context(when)?;
        require_nothing_between(&scenario, host).with_context(when)?;
        Counts::of_new(&scenario, host)?.require_no_less_than(&counts).with_context(when)?;
    }
    streams.require_none_lost()?;
    scenario.detach(host)?;
    before.assert_unchanged(host, "after all kills and a detach");
    Ok(())
}

/// The previous version leaves unknown pins alone.
#[test]
fn the_version_before_does_not_touch_what_a_killed_upgrade_left() -> Result<()> {
    let previous = Previous::locate()?;
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    previous.attach_both(&scenario, NOTHING_MORE)?;
    let path = scenario.path("cluster.toml");
    let folder = scenario.pin(host, "")?;
    // Try repeatedly: a kill may come too late.
    for _ in 0..KILLS {
        let process = scenario.start(host, &attach_words(&path))?;
        kill_at(Moment::Comes("next_abi3"), &folder, process)?;
        if folder.join("next_abi3").exists() {
            break;
        }
        scenario.attach(host, NOTHING_MORE)?;
        scenario.rewrite.run(host, &["downgrade", PUBLIC_INTERFACE])?;
    }
    ensure!(folder.join("next_abi3").exists(), "killed too late each time");
    let between = HostState::of(host)?;
    let ended = previous.try_run(host, &["detach", PUBLIC_INTERFACE])?;
    ended.require(6, &["nothing was touched"])?;
    let ended = scenario.try_run(host, &["status"])?;
    ended.require(6, &["ABI 3 was killed halfway", "rewrite attach eth0"])?;
    between.assert_unchanged(host, "after commands that refuse");
    scenario.require_traffic()?;
    scenario.attach(host, NOTHING_MORE)?;
    scenario.require_healthy(host)
}
