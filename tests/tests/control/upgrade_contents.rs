//! Entries of all kinds survive the upgrade from the previous version to this version and the downgrade.

use anyhow::{Context, Result, ensure};
use aya::maps::{Map, MapData, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use serde_json::Value;
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;
use testkit::numbered_stream::Streams;

use crate::bpffs::require_in_filter;
use crate::dual_stack::{MIXED, prepare, require_answer};
use crate::previous::{Counts, Previous};
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario};

/// The number of reasons in ABI 2.
const REASONS: usize = 15;
/// The packet and byte counts of each reason.
type OldCounts = [u64; 2 * REASONS];

const MORE: &str = "\
direct = true
bypass = [\"tcp/2222\"]

[[member]]
name    = \"net\"
private = [\"10.7.0.0/24\", \"fd00:7::/64\"]
public  = [\"192.0.7.0/24\", \"2001:db8:7::/64\"]

[[member]]
name    = \"srvc\"
private = \"10.0.0.3\"
public  = \"192.0.2.3\"
";

/// Runs `confirm`, which takes over from the previous version. No trial is pending, so `confirm` changes nothing else.
fn take_over(scenario: &Scenario, host: &Namespace) -> Result<()> {
    let ended = scenario.try_run(host, &["confirm"])?;
    ended.require(4, &["took over", "no trial is pending"])
}

/// The peers and settings in `status --json`, without the remaining seconds of drains.
fn members(json: &str) -> Result<Value> {
    let status: Value = serde_json::from_str(json).with_context(|| format!("no JSON: {json}"))?;
    let interface = &status["interfaces"][0];
    let mut members = serde_json::Map::new();
    for field in ["gateway", "bypass", "peers", "hook", "ingress", "network", "attached_at"] {
        members.insert(field.to_owned(), interface[field].clone());
    }
    for peer in members["peers"].as_array_mut().into_iter().flatten() {
        // The previous version has no awaited addresses, and reports no unconfirmed moves.
        for field in ["awaited", "unconfirmed"] {
            if let Some(found) = peer.as_object_mut().and_then(|peer| peer.remove(field)) {
                ensure!(found == Value::Array(Vec::new()), "{field}: {found}");
            }
        }
        // The previous version does not report traffic, router errors or pings either.
        for field in ["last_sent", "last_heard", "traffic", "router_errors", "pings"] {
            if let Some(peer) = peer.as_object_mut() {
                peer.remove(field);
            }
        }
        for draining in peer["draining"].as_array_mut().into_iter().flatten() {
            draining["seconds"] = Value::Null;
        }
    }
    Ok(Value::Object(members))
}

fn status(scenario: &Scenario, host: &Namespace) -> Result<Value> {
    members(&scenario.try_run(host, &["status", "--json"])?.stdout)
}

fn status_of_before(previous: &Previous, host: &Namespace) -> Result<Value> {
    members(&previous.try_run(host, &["status", "--json"])?.stdout)
}

fn members_go_along(hook: &[&str]) -> Result<()> {
    let previous = Previous::locate()?;
    let scenario = Scenario::new()?;
    prepare(&scenario)?;
    scenario.file("cluster.toml", format!("{MIXED}{MORE}"))?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    previous.attach_both(&scenario, hook)?;
    // The peer srvc moves, and its former address drains.
    previous.run(a, &["peer", "set", "srvc", "--public", "192.0.2.33", "--drain", "1h"])?;
    for address in ["10.0.0.2", "fd00::2"] {
        require_answer(a, address)?;
    }
    let before = status_of_before(&previous, a)?;
    ensure!(before["peers"][2]["draining"].as_array().is_some_and(|d| !d.is_empty()), "{before}");

    let streams = Streams::between(&scenario.lab, "fd00::1".parse()?, "fd00::2".parse()?)?;
    for host in [a, b] {
        take_over(&scenario, host)?;
    }
    assert_eq!(status(&scenario, a)?, before, "after the upgrade");
    let singles = ["10.0.0.2", "fd00::2", "10.0.0.3", "192.0.2.3", "192.0.2.33"];
    let singles = singles.map(|address| address.parse().expect("an address"));
    require_in_filter(&scenario.pin(a, "peer_filter")?, &singles)?;
    for (host, address) in [(a, "10.0.0.2"), (a, "fd00::2"), (b, "10.0.0.1"), (b, "fd00::1")] {
        require_answer(host, address)?;
    }
    for host in [a, b] {
        scenario.rewrite.run(host, &["downgrade", PUBLIC_INTERFACE])?;
    }
    assert_eq!(status_of_before(&previous, a)?, before, "after the way back");
    for (host, address) in [(a, "10.0.0.2"), (a, "fd00::2"), (b, "10.0.0.1"), (b, "fd00::1")] {
        require_answer(host, address)?;
    }
    streams.require_none_lost()
}

#[test]
fn members_of_all_kinds_go_along() -> Result<()> {
    members_go_along(NOTHING_MORE)
}

#[test]
fn members_of_all_kinds_go_along_by_clsact() -> Result<()> {
    members_go_along(CLSACT)
}

#[test]
fn each_count_stays_with_its_reason() -> Result<()> {
    let previous = Previous::locate()?;
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    previous.attach(&scenario, host, NOTHING_MORE)?;
    let pin = scenario.pin(host, "reason_counters")?;
    let map = Map::PerCpuArray(MapData::from_pin(&pin).context("open the counters")?);
    let mut map: PerCpuArray<_, OldCounts> = map.try_into().context("the counters are others")?;
    let cpus = nr_cpus().map_err(|(file, error)| anyhow::anyhow!("{file}: {error}"))?;
    for direction in 0..2 {
        let mut counts: OldCounts = [0; 2 * REASONS];
        for (count, number) in counts.iter_mut().zip(1000_u64..) {
            *count = number * u64::from(1 + direction);
        }
        let values = PerCpuValues::try_from(vec![counts; cpus]).context("values of each CPU")?;
        map.set(direction, values, 0).context("count")?;
    }
    let before = previous.counts(host)?;
    take_over(&scenario, host)?;
    let after = Counts::of_new(&scenario, host)?;
    after.require_no_less_than(&before)?;
    before.require_no_less_than(&after)?;
    scenario.rewrite.run(host, &["downgrade", PUBLIC_INTERFACE])?;
    assert_eq!(previous.counts(host)?, before);
    Ok(())
}

/// On a host with two networks, a command for one interface also reads the other interface's pins.
#[test]
fn all_interfaces_are_taken_over_together() -> Result<()> {
    let previous = Previous::locate()?;
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    previous.attach(&scenario, host, NOTHING_MORE)?;
    host.run(&["ip", "link", "add", "eth1", "type", "veth", "peer", "name", "far"])?;
    for command in
        ["ip link set eth1 up", "ip link set far up", "ip address add 192.0.2.50/24 dev eth1"]
    {
        host.run(&command.split(' ').collect::<Vec<_>>())?;
    }
    let path = scenario.path("cluster.toml");
    let words = ["attach", "eth1", "--config", &path, "--self", "srva", "--no-routes"];
    previous.run(host, &words)?;
    let ended = scenario.try_attach(host, NOTHING_MORE)?;
    ended.require(0, &["eth0: took over", "eth1: took over"])?;
    scenario.rewrite.run(host, &["detach", "--all"])?;
    Ok(())
}
