//! Tests `detach --all` when the detach of some interfaces fails, and an interrupted detach.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use testkit::lab::PUBLIC_INTERFACE;

use crate::bpffs::{bpftool, pins};
use crate::host_state::HostState;
use crate::scenario::{NOTHING_MORE, Scenario};

/// The number of peers: enough that the removal of their routes takes a moment.
const PEERS: usize = 4_000;

#[test]
fn an_interface_that_can_not_be_detached_keeps_no_other_attached() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    scenario.attach(host, NOTHING_MORE)?;
    // In ascending or descending order, `detach --all` reaches one of these interfaces before eth0.
    for name in ["aaa0", "zzz0"] {
        let folder = pins(host)?.join(name);
        fs::create_dir_all(&folder)?;
        let pin = folder.join("somebodys").display().to_string();
        bpftool(&[
            "map", "create", &pin, "type", "hash", "key", "4", "value", "4", "entries", "1",
            "name", "x",
        ])?;
    }
    let ended = scenario.try_run(host, &["detach", "--all"])?;
    ended.require(6, &["aaa0", "zzz0", "pins of another program: somebodys"])?;
    ensure!(ended.stdout.contains("eth0: detached"), "{ended:?}");
    ensure!(!pins(host)?.join(PUBLIC_INTERFACE).exists(), "eth0 is attached");
    for name in ["aaa0", "zzz0"] {
        fs::remove_dir_all(pins(host)?.join(name))?;
    }
    fs::remove_dir(pins(host)?)?;
    before.assert_unchanged(host, "after detach --all");
    Ok(())
}

#[test]
fn a_detach_that_is_interrupted_stops_and_the_next_one_goes_on() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let mut text = scenario.lab.cluster_toml();
    for number in 0..PEERS {
        let (high, low) = (number / 250, number % 250);
        let _ = write!(
            text,
            "\n[[member]]\nname = \"m{number}\"\nprivate = \"10.7.{high}.{low}\"\npublic = \
             \"172.20.{high}.{low}\"\n"
        );
    }
    scenario.file("many.toml", text)?;
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        scenario.attach_by(host, "many.toml", NOTHING_MORE)?;
        let marker = scenario.pin(host, "detaching")?;
        let process = scenario.start(host, &["detach", PUBLIC_INTERFACE])?;
        while !marker.exists() {
            ensure!(process.runs(), "detach has ended, and nobody saw it begin");
        }
        process.signal(Signal::SIGSTOP)?;
        process.signal(signal)?;
        process.signal(Signal::SIGCONT)?;
        let (status, said) = process.end()?;
        ensure!(status.code() == Some(130), "{status}: {said:?}");
        ensure!(said.concat().contains("eth0 is partly detached"), "{said:?}");
        let finish = format!("rewrite --netns {} detach eth0", host.name());
        ensure!(said.concat().contains(&finish), "{said:?}");
        scenario.detach(host)?;
        before.assert_unchanged(host, "after detach went on");
    }
    Ok(())
}
