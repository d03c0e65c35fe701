//! Tests rewrite with real network managers: systemd-networkd, netplan, NetworkManager, and ifupdown with a
//! DHCP client. Each manager runs under its own systemd and performs acts that may remove routes. A table shows
//! the time without answers to a numbered stream, and the state at the end.

mod acts;
mod machine;
mod root;
mod stream;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::unistd::geteuid;
use testkit::lab::{Lab, LabOptions, PUBLIC_INTERFACE};
use testkit::rewrite_command::Rewrite;

use acts::{Act, MANAGERS, Manager};
use machine::Machine;
use stream::Stream;

/// The prefix of the lab's namespaces' names.
const PREFIX: &str = "rwnm";
/// The time from an act to the end of the act's stream: enough for a DHCP lease, which takes at most five seconds.
const AFTERWARDS: Duration = Duration::from_secs(8);

/// The mechanism that keeps the interface attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeptBy {
    /// `rewrite attach` alone.
    Attach,
    /// `rewrite attach` and the manager's hook from packaging/hooks.
    Hook,
    /// The daemon's unit from packaging/systemd.
    Daemon,
}

/// Runs every act of each manager whose name contains one of `words`. Without words, runs every act of all managers.
pub fn run(binary: &Path, words: &[String]) -> Result<()> {
    if !geteuid().is_root() {
        bail!("the machines are made of namespaces: run it as root (sudo -E cargo xtask managers)");
    }
    let root = root::folder()?;
    let chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    let mut failures = Vec::new();
    println!("| manager | act | kept by | unanswered | route at the end | status |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for manager in MANAGERS.iter().filter(|manager| chosen(manager.name)) {
        measure(binary, &root, manager, &mut failures)
            .with_context(|| format!("with {}", manager.name))?;
    }
    ensure!(failures.is_empty(), "the daemon has not repaired: {}", failures.join("; "));
    Ok(())
}

fn measure(
    binary: &Path,
    root: &Path,
    manager: &Manager,
    failures: &mut Vec<String>,
) -> Result<()> {
    let lab = Lab::new(&LabOptions { prefix: PREFIX.into(), ..LabOptions::default() })?;
    let rewrite = Rewrite::at(binary)?;
    let file = file_of_b(&lab)?;
    rewrite.run(&lab.b, &["attach", PUBLIC_INTERFACE, "--config", &file])?;
    let machine = Machine::boot(root, binary, &lab)?;
    let _lease = manager.lease.then(|| machine::Leases::serve(&lab)).transpose()?;
    for (path, content) in manager.files {
        // networkd reads its files as a user other than root; NetworkManager refuses profiles that other
        // users can read.
        let mode = if path.ends_with(".nmconnection") { 0o600 } else { 0o644 };
        machine.write(path, content, mode)?;
    }
    machine.write("/etc/rewrite/cluster.toml", &lab.cluster_toml(), 0o644)?;
    for command in manager.start {
        machine.run(command).with_context(|| format!("starting {}", manager.name))?;
    }
    machine.wait_for_address()?;
    for kept_by in [KeptBy::Attach, KeptBy::Hook, KeptBy::Daemon] {
        prepare(&machine, manager, kept_by)?;
        for act in manager.acts {
            let row = run_act(&machine, &lab, act, kept_by)?;
            println!("| {} | {} | {kept_by:?} | {row} |", manager.name, act.name);
            if kept_by == KeptBy::Daemon && !row.ends_with("works") {
                failures.push(format!("{}: {}", manager.name, act.name));
            }
        }
        if kept_by == KeptBy::Daemon {
            println!("\n{}", machine.run("journalctl -u rewrite@eth0 -o cat --no-pager")?);
        }
    }
    machine.run("systemctl stop rewrite@eth0")?;
    machine.run("rewrite detach eth0")?;
    fs::remove_file(&file).with_context(|| format!("removing {file}"))
}

fn prepare(machine: &Machine, manager: &Manager, kept_by: KeptBy) -> Result<()> {
    match kept_by {
        KeptBy::Attach => print!("{}", commented(&machine.run("rewrite attach eth0")?)),
        KeptBy::Hook => {
            let (source, destinations) = manager.hook;
            for destination in destinations {
                machine.write(destination, &packaged(source)?, 0o755)?;
            }
            machine.run(manager.hook_started)?;
        }
        KeptBy::Daemon => {
            for destination in manager.hook.1 {
                machine.run(&format!("rm {destination}"))?;
            }
            machine.run("systemctl start rewrite@eth0")?;
        }
    }
    Ok(())
}

/// Runs an act; returns the last cells of the act's row in the table.
fn run_act(machine: &Machine, lab: &Lab, act: &Act, kept_by: KeptBy) -> Result<String> {
    if kept_by != KeptBy::Daemon {
        machine.run("rewrite attach eth0")?;
    }
    let stream = Stream::start(lab)?;
    machine.run(act.command)?;
    std::thread::sleep(AFTERWARDS);
    let unanswered = stream.end()?;
    let routes = machine.run("ip route show proto 114")?;
    let route = if routes.is_empty() { "gone" } else { "there" };
    // `rewrite status` exits with 1 if it finds a fault.
    let status = machine.run("rewrite status --brief || true")?;
    let works = if status.contains("eth0: ") && !status.contains("FAULT") {
        "works"
    } else {
        "does not work"
    };
    Ok(format!("{:.2} s | {route} | {works}", unanswered.as_secs_f64()))
}

/// The content of a file in packaging/hooks.
fn packaged(name: &str) -> Result<String> {
    let path = crate::workspace().join("packaging/hooks").join(name);
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

/// Writes host B's cluster file; returns the file's path. Host B uses this process's file system.
fn file_of_b(lab: &Lab) -> Result<String> {
    let path = crate::workspace().join("target/managers/cluster.toml").display().to_string();
    fs::write(&path, lab.cluster_toml()).with_context(|| format!("writing {path}"))?;
    Ok(path)
}

/// Wraps each line in a comment, so that the text can stand between the table's rows.
fn commented(text: &str) -> String {
    text.lines().map(|line| format!("<!-- {line} -->\n")).collect()
}
