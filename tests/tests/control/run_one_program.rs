//! `rewrite run` keeps one program in each direction and leaks no descriptors, whatever the daemon changes and whatever
//! somebody removes.

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::programs::{ProgramInfo, TcAttachType};
use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::lab::PUBLIC_INTERFACE;
use testkit::process::run;
use testkit::wait::wait_until;

use crate::bpffs::{bpftool, dump, dump_without_notes, tree};
use crate::daemon::Daemon;
use crate::dual_stack::MIXED;
use crate::hooks::{LINKS, hold_both, require_one_each, run_second, wait_for_one_each};
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};
use crate::unit::{capabilities, environment, limited};

/// The longest time for one change on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The number of changes that the daemon follows in CI, and the environment variable that overrides this number.
const CHANGES: usize = 200;
const CHANGES_VARIABLE: &str = "REWRITE_CHANGES";
/// The number of changes before the first measurement: by then, the allocator and tokio have settled.
const WARM_UP: usize = 20;
/// The number of reloads in each measurement. The test samples the daemon's descriptors and memory after each reload.
const LOOKS: usize = 10;
/// The number of measurements during the changes. Normal memory use levels off; a leak grows with each measurement.
const SAMPLES: usize = 10;
/// The limit of the daemon's anonymous memory at rest, in bytes. The limit holds after 200 changes and after 1,000
/// changes. An attach briefly takes 75 MB.
const MEMORY_MAX: u64 = (1 << 20) + (128 << 10);

/// The maps whose entries attach creates and bpftool can delete.
const ENTRIES: [&str; 9] = [
    "peers_v4",
    "peers_v6",
    "prefixes_v4",
    "prefixes_v6",
    "local_members",
    "local_v4",
    "local_v6",
    "members",
    "bypass",
];

/// A process's number of open files, and its anonymous memory in bytes.
#[derive(Debug, Clone, Copy)]
struct Held {
    descriptors: usize,
    memory: u64,
}

impl Held {
    fn by(process: u32) -> Result<Self> {
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).context("list")?.count();
        let status = fs::read_to_string(format!("/proc/{process}/status")).context("read")?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes =
            line.and_then(|line| line.trim().split(' ').next()).context("no RssAnon")?;
        Ok(Self { descriptors, memory: kilobytes.parse::<u64>()? << 10 })
    }

    /// The minimum over several reloads: a check in progress holds more, and the allocator returns some memory only
    /// after the next check.
    fn at_rest(scenario: &Scenario, daemon: &Daemon) -> Result<Self> {
        let mut least = Self::by(daemon.process().id())?;
        for _ in 0..LOOKS {
            settled(scenario, daemon)?;
            let now = Self::by(daemon.process().id())?;
            least.descriptors = least.descriptors.min(now.descriptors);
            least.memory = least.memory.min(now.memory);
        }
        Ok(least)
    }
}

/// Changes the file `changes` times. The daemon follows each change by one attach, which replaces the programs once:
/// the file's alternating versions need the same programs.
fn change(scenario: &Scenario, daemon: &Daemon, changes: usize) -> Result<()> {
    let right = scenario.lab.cluster_toml();
    let pin = scenario.pin(&scenario.lab.a, "rewrite_egress")?;
    let id = || ProgramInfo::from_pin(&pin).map(|info| info.id()).ok();
    for number in 0..changes {
        let before = id();
        let running = fs::read_to_string(scenario.path("cluster.toml")).context("read the file")?;
        let (name, host) = if running.contains("srvc") { ("srvd", 4) } else { ("srvc", 3) };
        let (private, public) = (format!("10.0.0.{host}"), format!("192.0.2.{host}"));
        let more = format!(
            "[[member]]\nname = \"{name}\"\nprivate = \"{private}\"\npublic = \"{public}\"\n"
        );
        // Replace the file atomically: on SIGHUP, the daemon would also read a half-written file.
        let new = scenario.file("cluster.toml.new", format!("{right}{more}"))?;
        fs::rename(&new, scenario.path("cluster.toml")).context("rename")?;
        // Empty the service manager's socket, which holds ten messages (net.unix.max_dgram_qlen).
        daemon.forget()?;
        // On SIGHUP, the daemon does not wait until the file is quiet.
        daemon.process().signal(Signal::SIGHUP)?;
        wait_until(&format!("change {number}"), PATIENCE, || {
            Ok(id().filter(|id| Some(*id) != before).map(drop))
        })
        .with_context(|| format!("the daemon said {:#?}", daemon.process().unread()))?;
    }
    settled(scenario, daemon)
}

/// Reloads the daemon, waits until it reports that eth0 matches the file, and requires that A is healthy.
fn settled(scenario: &Scenario, daemon: &Daemon) -> Result<()> {
    daemon.reload()?;
    scenario.require_healthy(&scenario.lab.a)
}

fn descriptors_stay(hook: &[&str], changes: usize) -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let (name, value) = environment()?;
    let mut command = Command::new(scenario.rewrite.binary());
    command.args(["--netns", host.name()]).env(name, value);
    let daemon = Daemon::start_command(&scenario, &mut command, hook)?;
    daemon.wait_for("READY=1")?;
    daemon.wait_for("STATUS=")?;
    // The first change adds a member to the original file, so the daemon may replace the programs twice.
    change(&scenario, &daemon, 1)?;
    change(&scenario, &daemon, WARM_UP + 1)?;
    let before = Held::at_rest(&scenario, &daemon)?;
    let start = Instant::now();
    let mut after = before;
    for sample in 1..=SAMPLES {
        change(&scenario, &daemon, changes / SAMPLES)?;
        after = Held::at_rest(&scenario, &daemon)?;
        let made = sample * changes / SAMPLES;
        println!("{made} changes in {:.1?}: {before:?} to {after:?}", start.elapsed());
    }
    ensure!(after.descriptors <= before.descriptors, "{before:?}, and {after:?} later");
    ensure!(after.memory <= MEMORY_MAX, "{before:?}, and {after:?} later");
    require_one_each(host, "after the changes")?;
    scenario.require_traffic()?;
    let (status, lines) = daemon.terminate()?;
    ensure!(status.success(), "{status}: {lines:#?}");
    Ok(())
}

#[test]
fn the_daemon_keeps_no_descriptors_however_often_it_changes() -> Result<()> {
    let changes = match env::var(CHANGES_VARIABLE) {
        Ok(text) => text.parse().with_context(|| format!("{CHANGES_VARIABLE}={text}"))?,
        Err(_) => CHANGES,
    };
    descriptors_stay(NOTHING_MORE, changes)
}

#[test]
fn the_daemon_keeps_no_descriptors_by_clsact_or_with_xdp() -> Result<()> {
    descriptors_stay(CLSACT, 20)?;
    descriptors_stay(XDP, 20)
}

/// The time limit for a repair, less than the 30 s until the daemon's periodic check.
const HEALED: Duration = Duration::from_secs(20);

/// Waits until the daemon has repaired somebody's change and all `pins` exist again. The repair must come before the
/// periodic check after 30 s.
fn healed(scenario: &Scenario, pins: &[PathBuf], start: Instant, what: &str) -> Result<()> {
    let host = &scenario.lab.a;
    wait_until(what, HEALED, || {
        let is_whole = pins.iter().all(|pin| pin.exists())
            && require_one_each(host, what).is_ok()
            && scenario.require_healthy(host).is_ok();
        Ok(is_whole.then_some(()))
    })?;
    println!("{what}: healed after {:.1?}", start.elapsed());
    scenario.require_traffic().with_context(|| what.to_owned())
}

/// Detaches each link and waits for the repair. `daemon` has just become ready.
fn detached_by_somebody(scenario: &Scenario, daemon: Daemon) -> Result<()> {
    let host = &scenario.lab.a;
    // First, the daemon replaces the programs that it attached.
    change(scenario, &daemon, 2)?;
    for link in LINKS {
        let start = Instant::now();
        let pin = scenario.pin(host, link)?.display().to_string();
        bpftool(&["link", "detach", "pinned", &pin])?;
        healed(scenario, &[], start, link)?;
        daemon.reload()?;
    }
    daemon.terminate()?;
    Ok(())
}

#[test]
fn a_link_that_somebody_detaches_is_put_back_and_runs_once() -> Result<()> {
    for hook in [NOTHING_MORE, XDP] {
        let scenario = Scenario::new()?;
        scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
        let daemon = Daemon::ready(&scenario, &scenario.lab.a, hook)?;
        detached_by_somebody(&scenario, daemon).with_context(|| format!("{hook:?}"))?;
    }
    Ok(())
}

#[test]
fn a_link_that_somebody_detaches_is_put_back_with_the_capabilities_of_the_unit() -> Result<()> {
    let scenario = Scenario::new()?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let binary = scenario.rewrite.binary().display().to_string();
    let mut command = limited(&scenario.lab.a, &capabilities()?, &binary);
    let daemon = Daemon::start_command(&scenario, &mut command, NOTHING_MORE)?;
    daemon.wait_for("READY=1")?;
    detached_by_somebody(&scenario, daemon)
}

#[test]
fn a_second_program_is_seen_by_the_daemon_and_taken_away() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    for attach_type in [TcAttachType::Egress, TcAttachType::Ingress] {
        let start = Instant::now();
        let second = run_second(&scenario, attach_type)?;
        healed(&scenario, &[], start, &format!("{attach_type:?}"))?;
        daemon.reload()?;
        drop(second);
    }
    daemon.require_attaches(3)
}

/// Removes each pin in turn, and then all pins at once, while the test holds the links.
fn pins_removed(hook: &[&str]) -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let daemon = Daemon::ready(&scenario, host, hook)?;
    let folder = scenario.pin(host, "")?;
    let pins = tree(&folder)?;
    ensure!(pins.len() > 15, "{pins:?}");
    // The first entry is the folder itself, which the loop removes last.
    for pin in pins.iter().rev() {
        let held = if hook == CLSACT { Vec::new() } else { hold_both(&scenario, host)? };
        let start = Instant::now();
        if pin.is_dir() { fs::remove_dir_all(pin) } else { fs::remove_file(pin) }
            .with_context(|| format!("remove {}", pin.display()))?;
        healed(&scenario, &pins, start, &format!("without {}", pin.display()))?;
        daemon.reload()?;
        ensure!(tree(&folder)? == pins, "{:?}", tree(&folder)?);
        drop(held);
    }
    daemon.terminate()?;
    Ok(())
}

#[test]
fn pins_that_somebody_removes_are_put_back_and_each_program_runs_once() -> Result<()> {
    pins_removed(NOTHING_MORE)
}

#[test]
fn pins_that_somebody_removes_are_put_back_by_clsact() -> Result<()> {
    pins_removed(CLSACT)
}

#[test]
fn entries_that_somebody_removes_are_put_back_at_the_next_look() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let more = "bypass = [\"tcp/22\"]\n[[member]]\nname = \"net\"\n\
                private = [\"10.0.7.0/24\", \"fd07::/120\"]\n\
                public = [\"192.0.2.0/24\", \"2001:db8:7::/120\"]\nbypass = [\"udp/53\"]\n";
    scenario.file("cluster.toml", format!("{MIXED}{more}"))?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    for map in ENTRIES {
        let pin = scenario.pin(host, map)?;
        let before = sorted(&dump_without_notes(&pin)?);
        ensure!(!before.is_empty(), "{map} is empty");
        for key in keys(&dump(&pin)?)? {
            remove_entry(&pin, &key)?;
            let what = format!("{map} without {key:?}");
            daemon.reload().with_context(|| what.clone())?;
            let after = sorted(&dump_without_notes(&pin)?);
            ensure!(after == before, "{what}: {before:?}\n{after:?}");
            scenario.require_healthy(host).with_context(|| what.clone())?;
        }
    }
    require_one_each(host, "after all entries were removed once")?;
    scenario.require_traffic()?;
    daemon.terminate()?;
    scenario.detach(host)?;
    Ok(())
}

/// The keys of all dumped entries, as lists of bytes.
fn keys(dumped: &Value) -> Result<Vec<Vec<String>>> {
    let entries = dumped.as_array().context("no list")?;
    let bytes = |entry: &Value| -> Result<Vec<String>> {
        let bytes = entry["key"].as_array().context("no key")?;
        bytes.iter().map(|byte| Ok(byte.as_str().context("no byte")?.to_owned())).collect()
    };
    entries.iter().map(bytes).collect()
}

/// The dumped entries as sorted text, with `loopback_address_added` cleared. The flag disappears with its record, and
/// the new record treats the address as the operator's.
fn sorted(dumped: &Value) -> Vec<String> {
    let text = |entry: &Value| {
        entry.to_string().replace("\"loopback_address_added\":1", "\"loopback_address_added\":0")
    };
    let mut entries: Vec<_> = dumped.as_array().into_iter().flatten().map(text).collect();
    entries.sort();
    entries
}

fn remove_entry(pin: &Path, key: &[String]) -> Result<()> {
    let pin = pin.display().to_string();
    let mut command = Command::new("bpftool");
    command.args(["map", "delete", "pinned", &pin, "key"]).args(key);
    run(&mut command).map(drop)
}

#[test]
fn a_filter_that_somebody_adds_a_second_time_is_taken_away() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let daemon = Daemon::ready(&scenario, host, CLSACT)?;
    let pin = scenario.pin(host, "rewrite_egress")?.display().to_string();
    let start = Instant::now();
    let place = ["tc", "filter", "add", "dev", PUBLIC_INTERFACE, "egress", "prio", "7"];
    host.run(&[&place[..], &["bpf", "direct-action", "object-pinned", &pin]].concat())?;
    wait_for_one_each(host, "after the second filter")?;
    healed(&scenario, &[], start, "a second filter")?;
    daemon.reload()?;
    daemon.require_attaches(2)
}
