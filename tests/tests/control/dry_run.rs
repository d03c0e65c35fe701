//! `rewrite attach --dry-run` prints the steps of the attach and the connections that it can end, and changes nothing.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::lab::{A_PRIVATE, A_PUBLIC, B_PRIVATE, B_PUBLIC, LabOptions, PUBLIC_INTERFACE};
use testkit::traffic::dial_from;

use crate::bpffs::dump_without_notes;
use crate::host_state::HostState;
use crate::scenario::{Ended, NOTHING_MORE, Scenario, end};
use crate::trial_state::require_nothing_left;

const NO_ROUTES: &[&str] = &["--no-routes"];
/// The longest wait for a byte.
const PATIENCE: Duration = Duration::from_secs(5);

fn dry_run(scenario: &Scenario, more: &[&str]) -> Result<Ended> {
    let path = scenario.path("cluster.toml");
    let words = ["attach", PUBLIC_INTERFACE, "--config", &path, "--dry-run"];
    scenario.try_run(&scenario.lab.a, &[&words, more].concat())
}

#[test]
fn the_steps_of_a_first_attach_are_told_in_their_order_and_none_is_made() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let ended = dry_run(&scenario, NOTHING_MORE)?;
    ended.require(7, &[])?;
    let steps = "\
        \x20    1. create the folder of the pins\n\
        \x20    2. mark the pins: attach under way\n\
        \x20    3. create the missing maps, and have the kernel verify the programs\n\
        \x20    4. record who this host is\n\
        \x20    5. record the attachment\n\
        \x20    6. set the sysctls of the interface to at least arp_announce=2, arp_ignore=1\n\
        \x20    7. set the entries of 1 peer\n";
    ensure!(ended.stdout.contains(steps), "{ended:?}");
    let behind = "add 1 private address to lo\n    10. set 1 route\n    11. unmark the pins\n";
    ensure!(ended.stdout.contains(behind), "{ended:?}");
    ensure!(ended.stdout.contains("+ route 10.0.0.2 via 198.51.100.1"), "{ended:?}");
    before.assert_unchanged(host, "after a dry run");
    require_nothing_left(host)?;

    let ended = dry_run(&scenario, &["--json"])?;
    let output: serde_json::Value = serde_json::from_str(&ended.stdout)?;
    assert_eq!((&output["attached"], &output["same"]), (&json!(false), &json!(false)));
    assert_eq!(output["steps"][0], "create the folder of the pins");
    assert_eq!(output["endangered"], json!([]));
    assert_eq!(ended.code, Some(7));
    before.assert_unchanged(host, "after a dry run as JSON");
    Ok(())
}

#[test]
fn a_later_attach_is_told_and_the_maps_stay_as_they_are() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let ended = dry_run(&scenario, NOTHING_MORE)?;
    ended.require(0, &[])?;
    ensure!(ended.stdout.contains("eth0: matches "), "{ended:?}");
    scenario.rewrite.run(host, &["peer", "set", "srvb", "--public", "192.0.2.9"])?;
    let maps = ["peers_v4", "prefixes_v4", "bypass", "attachment", "members"];
    let dumps = || -> Result<Vec<_>> {
        maps.iter().map(|name| dump_without_notes(&scenario.pin(host, name)?)).collect()
    };
    let (before, tables) = (HostState::of(host)?, dumps()?);
    let ended = dry_run(&scenario, NOTHING_MORE)?;
    ended.require(7, &[])?;
    ensure!(ended.stdout.contains("~ peer srvb  10.0.0.2 at 192.0.2.9"), "{ended:?}");
    ensure!(ended.stdout.contains("send from the current addresses\n"), "{ended:?}");
    before.assert_unchanged(host, "after a dry run");
    ensure!(dumps()? == tables, "a map has changed");
    Ok(())
}

#[test]
fn what_attach_refuses_a_dry_run_refuses_as_well() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    host.run(&["ip", "route", "add", "blackhole", "10.0.0.2/32"])?;
    dry_run(&scenario, NOTHING_MORE)?.require(4, &["10.0.0.2"])?;
    host.run(&["ip", "route", "del", "blackhole", "10.0.0.2/32"])?;
    host.run(&["ip", "link", "set", PUBLIC_INTERFACE, "down"])?;
    let words = ["eth0 is down", "ip link set eth0 up"];
    dry_run(&scenario, NOTHING_MORE)?.require(4, &words)?;
    scenario.try_attach(host, NOTHING_MORE)?.require(4, &words)?;
    let path = scenario.path("cluster.toml");
    let checked = scenario.try_run(host, &["check", "--config", &path])?;
    ensure!(
        checked.code == Some(4) && checked.stdout.contains("WRONG  eth0 is down"),
        "{checked:?}"
    );
    Ok(())
}

/// A connection from B's address `from` to A's address `to`, both ends open.
fn connected(scenario: &Scenario, from: IpAddr, to: SocketAddr) -> Result<[TcpStream; 2]> {
    let listener = scenario.lab.a.enter(|| TcpListener::bind(to))??;
    let client = scenario.lab.b.enter(|| dial_from(Some((from, 0).into()), to))??;
    Ok([client, listener.accept().context("accept")?.0])
}

#[test]
fn the_ssh_over_the_cable_is_named_before_it_ends_and_one_between_public_addresses_is_not()
-> Result<()> {
    let scenario = Scenario::with(LabOptions { cable: true, ..LabOptions::default() })?;
    let a = &scenario.lab.a;
    let cable = connected(&scenario, B_PRIVATE.into(), (A_PRIVATE, 2222).into())?;
    let public = connected(&scenario, B_PUBLIC.into(), (A_PUBLIC, 2223).into())?;
    let [client, other] = [&cable[0], &public[0]].map(|end| end.local_addr());
    let (client, other) = (client?, other?);
    let path = scenario.path("cluster.toml");
    let with_ssh = |words: &[&str], from: SocketAddr, to: SocketAddr| {
        let mut command = scenario.rewrite.command(a, words);
        let value = format!("{} {} {} {}", from.ip(), from.port(), to.ip(), to.port());
        end(command.env("SSH_CONNECTION", value))
    };
    let endangered = format!("your ssh, 10.0.0.1:2222 with {client} (srvb): srvb resets it");
    let at_cable = SocketAddr::from((A_PRIVATE, 2222));
    let attach = ["attach", PUBLIC_INTERFACE, "--config", &path];
    let dry = [&attach[..], &["--dry-run"]].concat();
    let said = with_ssh(&dry, client, at_cable)?;
    ensure!(said.stdout.contains(&endangered), "{said:?}");
    ensure!(!said.stdout.contains("2223"), "{said:?}");
    let said = with_ssh(&["check", "--config", &path], client, at_cable)?;
    let note = "note   an attach of eth0 can end ";
    let keep =
        format!("rewrite --netns {} attach --config {path} eth0 --confirm-within 60s", a.name());
    ensure!(said.stdout.contains(&keep), "{said:?}");
    ensure!(said.stdout.contains(note) && said.stdout.contains(&endangered), "{said:?}");
    let output = with_ssh(&[&dry[..], &["--json"]].concat(), client, at_cable)?.stdout;
    let output: serde_json::Value = serde_json::from_str(&output)?;
    assert_eq!(output["endangered"][0]["remote"], client.to_string());
    assert_eq!(output["endangered"][0]["ssh"], true);

    // Without routes, the packets stay on the cable.
    let said = with_ssh(&[&dry[..], &["--no-routes"]].concat(), client, at_cable)?;
    ensure!(!said.stdout.contains("can end"), "{said:?}");
    // The report names no ssh session between public addresses.
    let said = with_ssh(&dry, other, (A_PUBLIC, 2223).into())?;
    ensure!(!said.stdout.contains("your ssh"), "{said:?}");
    // Before its changes, attach warns that it can end the ssh session.
    let trial = [&attach[..], &["--confirm-within", "1h"]].concat();
    let said = with_ssh(&trial, client, at_cable)?;
    said.require(0, &["this attach can end your ssh, 10.0.0.1:2222"])?;
    scenario.rewrite.run(a, &["apply", "--revert"])?;
    drop((cable, public));
    Ok(())
}

#[test]
fn in_two_rounds_a_connection_over_the_cable_lives_on() -> Result<()> {
    let scenario = Scenario::with(LabOptions { cable: true, ..LabOptions::default() })?;
    let [mut client, mut server] =
        connected(&scenario, B_PRIVATE.into(), (A_PRIVATE, 2222).into())?;
    for end in [&client, &server] {
        end.set_read_timeout(Some(PATIENCE))?;
    }
    let mut require_alive = |when: &str| -> Result<()> {
        let mut byte = [0];
        server.write_all(b"a")?;
        client.read_exact(&mut byte).with_context(|| format!("to B, {when}"))?;
        client.write_all(b"b")?;
        server.read_exact(&mut byte).with_context(|| format!("to A, {when}"))
    };
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    for (host, more) in [(a, NO_ROUTES), (b, NO_ROUTES), (a, NOTHING_MORE), (b, NOTHING_MORE)] {
        scenario.attach(host, more)?;
        require_alive(&format!("{} attached with {more:?}", host.name()))?;
    }
    let route = a.run(&["ip", "route", "get", "10.0.0.2"])?;
    ensure!(route.contains("dev eth0"), "{route}");
    Ok(())
}
