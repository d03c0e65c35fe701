//! Concurrent commands wait for each other, and each command sees the changes made while it waited.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;

use crate::bpffs::BPFFS;
use crate::host_state::HostState;
use crate::process::Process;
use crate::scenario::{NOTHING_MORE, Scenario};
use crate::trial_state::{require_nothing_left, state};
use crate::two_networks::{SECOND, attach_second, goes_by, prepared};

/// The lock file's content while a test holds the lock: the holder's process ID and command.
const HOLDER: &str = "4711 rewrite of a test";

/// The lock file of commands that change `interface`.
pub fn interface_lock(host: &Namespace, interface: &str) -> Result<PathBuf> {
    Ok(state(host)?.join(format!("{interface}.change.lock")))
}

/// The lock file of commands that change the state shared by all interfaces of a host.
pub fn shared_lock(host: &Namespace) -> Result<PathBuf> {
    Ok(state(host)?.join(".shared.lock"))
}

/// Takes a lock and holds it, like a slow command.
pub fn hold(path: &Path) -> Result<File> {
    let folder = path.parent().context("no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(path)
        .with_context(|| format!("open {}", path.display()))?;
    file.try_lock().with_context(|| format!("lock {}", path.display()))?;
    writeln!(file, "{HOLDER}").context("write the holder")?;
    Ok(file)
}

/// Starts an attach, and returns when the attach waits for the shared lock.
fn wait_at_shared(scenario: &Scenario, host: &Namespace, interface: &str) -> Result<Process> {
    let path = scenario.path("cluster.toml");
    let process = scenario.start(host, &["attach", interface, "--config", &path])?;
    process.wait_for_line("changes the private addresses and the routes: process 4711")?;
    Ok(process)
}

fn require_success(process: Process) -> Result<()> {
    let (status, said) = process.end()?;
    ensure!(status.success(), "{status}: {said:?}");
    Ok(())
}

#[test]
fn whoever_can_open_the_bpf_file_system_holds_nobody_up() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    // Lock the root folder of the BPF file system, as any user can if the folder has its usual mode. The commands below
    // must not wait for this lock.
    let somebody = File::open(BPFFS).context("open the file system")?;
    somebody.lock().context("lock it")?;
    scenario.attach(host, NOTHING_MORE)?;
    let path = scenario.path("cluster.toml");
    let words = ["apply", "--config", &path, "--confirm-within", "60s"];
    scenario.rewrite.run(host, &["peer", "set", "srvb", "--direct", "true"])?;
    scenario.rewrite.run(host, &words)?;
    scenario.rewrite.run(host, &["apply", "--revert"])?;
    scenario.require_healthy(host)?;
    scenario.detach(host)?;
    drop(somebody);
    before.assert_unchanged(host, "after detach");
    require_nothing_left(host)
}

#[test]
fn a_command_waits_for_none_on_another_interface_or_in_another_network_namespace() -> Result<()> {
    let scenario = prepared()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    let path = scenario.path("cluster.toml");
    let slow = scenario.start(a, &["attach", PUBLIC_INTERFACE, "--config", &path])?;
    // Stop the attach at the start of its longest step: attach creates the folder of the pins just before the kernel
    // verifies the programs.
    let folder = scenario.pin(a, "")?;
    while !folder.exists() {
        ensure!(slow.runs(), "it has ended without pins");
    }
    slow.signal(Signal::SIGSTOP)?;
    attach_second(&scenario, a)?;
    scenario.attach(b, NOTHING_MORE)?;
    slow.signal(Signal::SIGCONT)?;
    require_success(slow)?;
    scenario.require_healthy(a)?;
    scenario.require_healthy(b)
}

#[test]
fn a_command_that_waits_says_which_process_it_waits_for() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let shared = hold(&shared_lock(host)?)?;
    let first = wait_at_shared(&scenario, host, PUBLIC_INTERFACE)?;
    let mode =
        fs::metadata(interface_lock(host, PUBLIC_INTERFACE)?).context("a lock")?.permissions();
    assert_eq!(mode.mode() & 0o777, 0o600, "who can open it can lock it");
    let second = scenario.start(host, &["detach", PUBLIC_INTERFACE])?;
    let said = format!("changes eth0: process {} (rewrite ", first.id());
    let line = second.wait_for_line(&said)?.pop().context("no line")?;
    ensure!(line.contains("attach eth0 --config"), "{line}");
    drop(shared);
    require_success(first)?;
    require_success(second)?;
    require_nothing_left(host)
}

#[test]
fn an_attach_sees_what_another_one_has_changed_while_it_waited() -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let shared = hold(&shared_lock(host)?)?;
    let second = wait_at_shared(&scenario, host, SECOND)?;
    second.signal(Signal::SIGSTOP)?;
    drop(shared);
    scenario.attach(host, NOTHING_MORE)?;
    second.signal(Signal::SIGCONT)?;
    require_success(second)?;
    scenario.require_healthy(host)?;
    assert_eq!(goes_by(host, "10.0.0.2")?, "eth0", "the file prefers it");
    // The second interface needs the private address until its own detach, which removes the address.
    scenario.detach(host)?;
    scenario.require_healthy(host)?;
    scenario.rewrite.run(host, &["detach", SECOND])?;
    before.assert_unchanged(host, "after both are detached");
    Ok(())
}

#[test]
fn an_address_that_was_left_to_an_interface_while_it_is_attached_again_is_not_forgotten()
-> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    scenario.attach(host, NOTHING_MORE)?;
    attach_second(&scenario, host)?;
    let shared = hold(&shared_lock(host)?)?;
    let second = wait_at_shared(&scenario, host, SECOND)?;
    second.signal(Signal::SIGSTOP)?;
    drop(shared);
    scenario.detach(host)?;
    second.signal(Signal::SIGCONT)?;
    require_success(second)?;
    scenario.require_healthy(host)?;
    scenario.rewrite.run(host, &["detach", SECOND])?;
    before.assert_unchanged(host, "after both are detached");
    Ok(())
}

#[test]
fn two_interfaces_are_attached_and_detached_at_once() -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    for round in 0..5 {
        let attach = |interface| scenario.start(host, &["attach", interface, "--config", &path]);
        let both = [attach(SECOND)?, attach(PUBLIC_INTERFACE)?];
        both.into_iter().try_for_each(require_success).with_context(|| format!("round {round}"))?;
        scenario.require_healthy(host)?;
        assert_eq!(goes_by(host, "10.0.0.2")?, "eth0", "the file prefers it");
        let detach = |interface| scenario.start(host, &["detach", interface]);
        let both = [detach(SECOND)?, detach(PUBLIC_INTERFACE)?];
        both.into_iter().try_for_each(require_success).with_context(|| format!("round {round}"))?;
        before.assert_unchanged(host, &format!("after round {round}"));
    }
    require_nothing_left(host)
}
