//! With `--verbose`, the programs report the packets that they do not rewrite.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use crate::scenario::{CLSACT, NOTHING_MORE, Scenario};

/// Pings a peer's private address from a source address that belongs to no member.
const FOREIGN_SOURCE: &str = "ping -n -c 1 -W 1 -I 198.51.100.77 10.0.0.2";
const ADD_SOURCE: &str = "ip address add 198.51.100.77/24 dev eth0";
const WATCH: &[&str] = &["stats", "--watch", "--verbose"];

fn said_of_a_foreign_source(hook: &[&str]) -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, &[&["--verbose"], hook].concat())?;
    let process = scenario.start(host, WATCH)?;
    process.wait_for_line("srvb")?;
    host.run(&ADD_SOURCE.split(' ').collect::<Vec<_>>())?;
    let _ = host.run(&FOREIGN_SOURCE.split(' ').collect::<Vec<_>>());
    let lines = process.wait_for_line("198.51.100.77 to 10.0.0.2")?;
    ensure!(lines.iter().any(|line| line.contains("not rewritten")), "{lines:?}");
    ensure!(!lines.iter().any(|line| line.contains('\u{1b}')), "{lines:?}");
    process.signal(Signal::SIGINT)?;
    ensure!(process.end()?.0.success(), "interrupted");
    Ok(())
}

#[test]
fn a_packet_of_a_foreign_source_is_said() -> Result<()> {
    said_of_a_foreign_source(NOTHING_MORE)
}

#[test]
fn a_packet_of_a_foreign_source_is_said_with_clsact() -> Result<()> {
    said_of_a_foreign_source(CLSACT)
}

#[test]
fn without_it_at_attach_the_watch_says_how_to_get_messages() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, &["--verbose"])?;
    scenario.attach(host, NOTHING_MORE)?;
    let process = scenario.start(host, WATCH)?;
    process.wait_for_line("attach it again with --verbose")?;
    process.wait_for_line("srvb")?;
    Ok(())
}

#[test]
fn what_attach_does_is_said_without_colours_where_nobody_sees_them() -> Result<()> {
    let scenario = Scenario::new()?;
    let ended = scenario.try_attach(&scenario.lab.a, &["--verbose"])?;
    ended.require(0, &[])?;
    ensure!(!ended.stderr.contains('\u{1b}'), "{ended:?}");
    ensure!(!ended.stdout.contains('\u{1b}'), "{ended:?}");
    Ok(())
}
