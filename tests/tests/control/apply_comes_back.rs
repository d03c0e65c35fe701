//! Rewrite rolls back an unconfirmed change, even if somebody kills rewrite's processes during the change.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::maps::{HashMap, Map, MapData};
use serde_json::Value;
use testkit::lab::A_PUBLIC;
use testkit::wait::wait_until;
use tunnel_common::peers::Peer;

use crate::apply::crowd;
use crate::bpffs::dump_without_notes;
use crate::scenario::{NOTHING_MORE, Scenario, XDP_AND_CLSACT};
use crate::tcp_session::Session;
use crate::trial_state::{Guard, kill_rewrite, require_nothing_left, state_file};

type Entry = [u8; size_of::<Peer<[u8; 4]>>()];

/// A cluster without B, the operator's host.
pub const CLUSTER: &str = "\
[[member]]
name    = \"srva\"
private = \"10.0.0.1\"
public  = \"198.51.100.2\"

[[member]]
name    = \"srvc\"
private = \"10.0.0.3\"
public  = \"192.0.2.3\"
";

/// The timeout for opening a connection.
const PATIENCE: Duration = Duration::from_secs(2);

/// A member whose private address is the operator's own address: A then counts the operator's packets as spoofed.
const CUTS_OFF: &str = "\
[[member]]
name    = \"srvd\"
private = \"203.0.113.2\"
public  = \"192.0.2.4\"
";

/// A member whose public address is the operator's own address: A's ingress program then rewrites the operator's
/// packets.
const REWRITES: &str = "\
[[member]]
name    = \"srvd\"
private = \"10.0.0.4\"
public  = \"203.0.113.2\"
";

/// Opens the pinned map of A's peers directly, for fast lookups.
fn peers_v4(scenario: &Scenario) -> Result<HashMap<MapData, [u8; 4], Entry>> {
    let pin = scenario.pin(&scenario.lab.a, "peers_v4")?;
    let map = Map::HashMap(MapData::from_pin(pin).context("open the map of peers")?);
    map.try_into().context("the map of peers is another")
}

pub fn apply<'a>(path: &'a str, time: &'a str) -> [&'a str; 5] {
    ["apply", "--config", path, "--confirm-within", time]
}

/// The number of packets that A has counted as spoofed.
fn spoofed(scenario: &Scenario) -> Result<u64> {
    let stats = scenario.json(&scenario.lab.a, &["stats", "--json"])?;
    let reasons = stats["interfaces"][0]["not_rewritten"].as_array().context("no reasons")?;
    let counted = reasons.iter().filter(|reason| reason["reason"] == "spoofed");
    Ok(counted.filter_map(|reason| reason["packets"].as_u64()).sum())
}

/// All map entries and routes that describe A's peers, in sorted order: the maps have no fixed order.
pub fn members(scenario: &Scenario) -> Result<BTreeSet<String>> {
    let host = &scenario.lab.a;
    let mut lines = BTreeSet::new();
    for pin in ["peers_v4", "prefixes_v4", "peers_v6", "bypass"] {
        let table = dump_without_notes(&scenario.pin(host, pin)?)?;
        lines.extend(table.as_array().context("no table")?.iter().map(|e| format!("{pin} {e}")));
    }
    let list = scenario.json(host, &["peer", "list", "--json"])?;
    let peers = list["interfaces"][0]["peers"].as_array().context("no peers")?;
    lines.extend(peers.iter().map(ToString::to_string));
    let routes = host.run(&["ip", "route", "show", "proto", "114"])?;
    lines.extend(routes.lines().map(|line| format!("route {line}")));
    Ok(lines)
}

/// Requires that A has the same peers as in `before`.
pub fn require_members(scenario: &Scenario, before: &BTreeSet<String>) -> Result<()> {
    let now = members(scenario)?;
    let differs: Vec<_> = before.symmetric_difference(&now).take(10).collect();
    ensure!(differs.is_empty(), "not what it was: {differs:#?}");
    Ok(())
}

/// Attaches A with the cluster file `file`, and opens an operator's connection to A.
fn connected(file: &str) -> Result<(Scenario, Session)> {
    let scenario = Scenario::new()?;
    scenario.file("before.toml", file)?;
    scenario.attach_by(&scenario.lab.a, "before.toml", NOTHING_MORE)?;
    let session = Session::start(&scenario.lab)?;
    session.wait_for_more()?;
    Ok((scenario, session))
}

#[test]
fn an_operator_who_is_cut_off_by_the_change_comes_back() -> Result<()> {
    let (scenario, session) = connected(CLUSTER)?;
    let host = &scenario.lab.a;
    scenario.file("cuts-off.toml", format!("{CLUSTER}\n{CUTS_OFF}"))?;
    let before = members(&scenario)?;
    let path = scenario.path("cuts-off.toml");
    scenario.rewrite.run(host, &apply(&path, "3s"))?;
    let guard = Guard::of(host)?;
    wait_until("packets of the operator to be dropped", Duration::from_secs(3), || {
        Ok((spoofed(&scenario)? > 1).then_some(()))
    })?;
    ensure!(guard.runs(), "it was over before it could be seen");
    let stuck = session.count();
    guard.wait()?;
    require_members(&scenario, &before)?;
    session.wait_for_more()?;
    ensure!(session.count() > stuck, "{stuck}");
    session.end()?;

    let status = scenario.json(host, &["status", "--json"])?;
    let interface = &status["interfaces"][0];
    assert!(interface["trial"].is_null(), "{interface}");
    assert_eq!(interface["rolled_back"]["config"], path);
    scenario.detach(host)?;
    require_nothing_left(host)
}

#[test]
fn an_operator_whose_address_became_a_peers_public_one_gets_in_again() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.file("cluster.toml", CLUSTER)?;
    scenario.attach(host, NOTHING_MORE)?;
    let to: SocketAddr = SocketAddrV4::new(A_PUBLIC, 22).into();
    let _listener = host.enter(|| TcpListener::bind(to))?.context("listen on A")?;
    let dial = || scenario.lab.b.enter(|| TcpStream::connect_timeout(&to, PATIENCE));
    dial()?.context("before the change")?;
    scenario.file("rewritten.toml", format!("{CLUSTER}\n{REWRITES}"))?;
    let path = scenario.path("rewritten.toml");
    scenario.rewrite.run(host, &apply(&path, "3s"))?;
    let guard = Guard::of(host)?;
    ensure!(dial()?.is_err(), "the change has cut nobody off");
    ensure!(guard.runs(), "it was over before it could be seen");
    guard.wait()?;
    dial()?.context("after it came back")?;
    Ok(())
}

#[test]
fn it_comes_back_with_all_processes_of_rewrite_killed_in_the_middle_of_the_change() -> Result<()> {
    let (scenario, session) = connected(&crowd(20))?;
    let host = &scenario.lab.a;
    // The change gives each member of the crowd a new public address.
    scenario.file("moved.toml", format!("{}\n{CUTS_OFF}", crowd(21)))?;
    let before = members(&scenario)?;
    let path = scenario.path("moved.toml");
    let process = scenario.start(host, &apply(&path, "20s"))?;
    let guard = Guard::wait_until_recorded(host, &process)?;
    // Wait for a new public address: apply writes the entries of the new public addresses first.
    let table = peers_v4(&scenario)?;
    while table.get(&[172, 21, 0, 1], 0).is_err() {
        ensure!(process.runs(), "apply has ended and changed nothing");
    }
    let killed = kill_rewrite(host, scenario.rewrite.binary())?;
    assert_eq!(killed, 1, "apply had ended");
    let halfway = scenario.try_run(host, &["confirm"])?;
    halfway.require(4, &["the change was killed before it finished", "apply --revert"])?;
    let status = scenario.rewrite.run(host, &["status"]).unwrap_or_default();
    ensure!(!status.contains("DOES NOT"), "{status}");

    guard.wait()?;
    require_members(&scenario, &before)?;
    scenario.require_healthy(host)?;
    session.wait_for_more()?;
    session.end()
}

#[test]
fn what_comes_back_is_what_ran_and_not_the_file() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let file =
        scenario.lab.cluster_toml().replacen("[[member]]", "bypass = [\"tcp/22\"]\n[[member]]", 1);
    scenario.file("cluster.toml", file)?;
    let kept = [&["--no-routes"], XDP_AND_CLSACT].concat();
    scenario.attach(host, &kept)?;
    for words in [
        "peer add srvc --private 10.3.0.0/24 --public 192.0.2.0/24 --bypass udp/53,tcp/80",
        "peer set srvb --public 203.0.113.77 --direct true --drain 0s",
    ] {
        scenario.rewrite.run(host, &words.split(' ').collect::<Vec<_>>())?;
    }
    let before = members(&scenario)?;
    let attached = |scenario: &Scenario| -> Result<[Value; 4]> {
        let status = scenario.json(host, &["status", "--json"])?;
        let interface = &status["interfaces"][0];
        Ok(["hook", "ingress", "attached_at", "local_members"].map(|key| interface[key].clone()))
    };
    let runs = attached(&scenario)?;
    scenario.file("other.toml", CLUSTER)?;
    let path = scenario.path("other.toml");
    scenario.rewrite.run(host, &apply(&path, "8s"))?;
    let guard = Guard::of(host)?;
    ensure!(members(&scenario)? != before, "nothing was applied");
    // The revert also undoes a change made in the meantime.
    let add = "peer add late --private 10.0.0.9 --public 192.0.2.99";
    scenario.rewrite.run(host, &add.split(' ').collect::<Vec<_>>())?;
    guard.wait()?;
    require_members(&scenario, &before)?;
    assert_eq!(attached(&scenario)?, runs);
    let routes = before.iter().filter(|line| line.starts_with("route ")).count();
    assert_eq!(routes, 0, "--no-routes was not kept");
    scenario.require_healthy(host)
}

#[test]
fn a_host_that_became_another_is_who_it_was() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let renumbered = scenario.lab.cluster_toml().replace("\"10.0.0.1\"", "\"10.0.0.11\"");
    scenario.file("renumbered.toml", renumbered)?;
    let path = scenario.path("renumbered.toml");
    scenario.rewrite.run(host, &apply(&path, "2s"))?;
    let guard = Guard::of(host)?;
    let addresses = || host.run(&["ip", "-o", "address", "show", "dev", "lo"]);
    ensure!(addresses()?.contains(" 10.0.0.11/32"), "{}", addresses()?);
    guard.wait()?;
    ensure!(addresses()?.contains(" 10.0.0.1/32"), "{}", addresses()?);
    ensure!(!addresses()?.contains("10.0.0.11"), "{}", addresses()?);
    scenario.require_traffic()
}

#[test]
fn going_back_is_tried_again_when_it_fails() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let before = members(&scenario)?;
    scenario.file("other.toml", CLUSTER)?;
    let path = scenario.path("other.toml");
    // The time counts from the start of apply, which may take seconds on a busy machine: the route has to come first.
    scenario.rewrite.run(host, &apply(&path, "8s"))?;
    let guard = Guard::of(host)?;
    host.run(&["ip", "route", "add", "blackhole", "10.0.0.2/32"])?;
    let log = state_file(host, "guard.log")?;
    wait_until("a failure in the log", Duration::from_secs(20), || {
        let said = fs::read_to_string(&log).unwrap_or_default();
        Ok((said.contains("10.0.0.2") && said.contains("help: ")).then_some(()))
    })?;
    let status = scenario.rewrite.run(host, &["status"])?;
    ensure!(status.contains("overdue since"), "{status}");
    ensure!(guard.runs(), "it gave up");
    host.run(&["ip", "route", "del", "blackhole", "10.0.0.2/32"])?;
    guard.wait()?;
    require_members(&scenario, &before)?;
    Ok(())
}
