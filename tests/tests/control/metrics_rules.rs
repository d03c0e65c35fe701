//! Tests packaging/prometheus and packaging/grafana: promtool accepts the metrics and the alert rules, and every metric
//! that the rules and the dashboard name exists in a scrape.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::lab::B_PRIVATE;
use testkit::traffic::ping;
use testkit::wait::wait_until;
use tunnel_common::outcome::Reason;

use crate::daemon::Daemon;
use crate::metrics::scrape;
use crate::scenario::{NOTHING_MORE, Scenario, end};

/// The columns of Grafana's grid.
const GRID_COLUMNS: u64 = 24;
const PACKAGING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging");
const RULES: &str = include_str!("../../../packaging/prometheus/rewrite.rules.yml");
const DASHBOARD: &str = include_str!("../../../packaging/grafana/rewrite.json");
const MONITORING: &str = include_str!("../../../docs/monitoring.md");

/// A scrape of a daemon that has all kinds of metrics.
fn scraped(scenario: &Scenario) -> Result<String> {
    let host = &scenario.lab.a;
    let path = scenario.path("metrics.sock");
    let _daemon = Daemon::ready(scenario, host, &["--metrics", &format!("unix:{path}")])?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    ensure!(ping(host, B_PRIVATE, 1, 56)?.returned == 1);
    wait_until("the socket", Duration::from_secs(20), || {
        UnixStream::connect(&path).ok().map(scrape).transpose()
    })
}

/// The names of the metrics in a scrape.
fn exposed(scrape: &str) -> BTreeSet<&str> {
    let types = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split(' ').next()).collect()
}

/// The names of metrics in other text.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("rewrite_")).collect()
}

fn has_promtool() -> bool {
    let is_there = Command::new("promtool").arg("--version").output().is_ok();
    if !is_there {
        eprintln!("SKIPPED: there is no promtool here, so it checked nothing");
    }
    is_there
}

fn panels() -> Result<Vec<Value>> {
    let mut dashboard: Value = serde_json::from_str(DASHBOARD).context("the dashboard")?;
    serde_json::from_value(dashboard["panels"].take()).context("the panels")
}

/// The labels of a metric in a scrape.
fn labels<'a>(scrape: &'a str, metric: &str) -> BTreeSet<&'a str> {
    let series = scrape.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix('{'));
    let labels = series.flat_map(|labels| labels.split("\","));
    labels.filter_map(|label| Some(label.split_once("=\"")?.0)).collect()
}

/// Fails if two series of a query can have the same legend.
fn check_legends(panels: &[Value], scrape: &str) -> Result<()> {
    for panel in panels {
        for target in panel["targets"].as_array().context("no queries")? {
            let query = target["expr"].as_str().context("no query")?;
            let legend = target["legendFormat"].as_str().context("no legend")?;
            let left = match query.split_once(" by (") {
                Some((_, rest)) => rest.split(')').next().unwrap_or_default().split(", ").collect(),
                None => {
                    let metrics = named(query);
                    let mut all: BTreeSet<_> =
                        metrics.iter().flat_map(|metric| labels(scrape, metric)).collect();
                    all.insert("instance");
                    all
                }
            };
            for label in left {
                let is_fixed = query.contains(&format!("{label}=\""));
                let is_told = legend.contains(&format!("{{{{{label}}}}}"));
                ensure!(is_fixed || is_told, "{}: the legend lacks {label}", panel["title"]);
            }
        }
    }
    Ok(())
}

#[test]
fn every_metric_of_the_rules_and_the_dashboard_exists_and_every_metric_is_documented() -> Result<()>
{
    let scenario = Scenario::new()?;
    let text = scraped(&scenario)?;
    let exposed = exposed(&text);
    for (place, text) in [("rules", RULES), ("dashboard", DASHBOARD), ("docs", MONITORING)] {
        let named = named(text);
        ensure!(named.len() > 5, "{place} names {named:?}");
        let missing: Vec<_> = named.difference(&exposed).collect();
        ensure!(missing.is_empty(), "the {place} name {missing:?}, which no scrape has");
    }
    let documented = named(MONITORING);
    let missing: Vec<_> = exposed.difference(&documented).collect();
    ensure!(missing.is_empty(), "the docs lack {missing:?}");
    // A family without a series would hide a wrong label.
    for name in exposed {
        let has_series =
            |line: &str| line.strip_prefix(name).is_some_and(|l| l.starts_with(['{', ' ']));
        ensure!(text.lines().any(has_series), "{name} has no series in {text}");
    }
    Ok(())
}

#[test]
fn promtool_finds_no_fault_in_the_metrics() -> Result<()> {
    if !has_promtool() {
        return Ok(());
    }
    let scenario = Scenario::new()?;
    let path = scenario.file("scrape", scraped(&scenario)?)?;
    let ended =
        end(Command::new("promtool").args(["check", "metrics"]).stdin(fs::File::open(path)?))?;
    ended.require(0, &[])?;
    ensure!(ended.stdout.is_empty() && ended.stderr.is_empty(), "{ended:?}");
    Ok(())
}

#[test]
fn promtool_accepts_the_rules_and_each_alert_fires_when_it_should() -> Result<()> {
    if !has_promtool() {
        return Ok(());
    }
    for (words, file) in
        [("check rules", "rewrite.rules.yml"), ("test rules", "rewrite.rules.test.yml")]
    {
        let mut command = Command::new("promtool");
        command.args(words.split(' ')).arg(format!("{PACKAGING}/prometheus/{file}"));
        end(&mut command)?.require(0, &[])?;
    }
    let tests = fs::read_to_string(format!("{PACKAGING}/prometheus/rewrite.rules.test.yml"))?;
    for alert in RULES.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let fires = format!("alertname: {alert}\n        exp_alerts:");
        ensure!(tests.contains(&fires), "no test lets {alert} fire");
    }
    Ok(())
}

#[test]
fn the_rules_leave_out_the_reasons_that_harm_nobody() -> Result<()> {
    let (_, rest) = RULES.split_once("reason!~\"").context("no list of reasons")?;
    let left_out: BTreeSet<_> = rest.split('"').next().unwrap_or_default().split('|').collect();
    let harmless = Reason::ALL.iter().filter(|reason| reason.remedy().is_none());
    assert_eq!(left_out, harmless.map(|reason| reason.name()).collect());
    Ok(())
}

#[test]
fn the_dashboard_is_json_and_each_panel_has_a_query() -> Result<()> {
    let panels = panels()?;
    ensure!(panels.len() > 10, "{} panels", panels.len());
    for panel in panels {
        let query = panel["targets"][0]["expr"].as_str().context("no query")?;
        ensure!(query.contains("rewrite_"), "{panel:#}");
    }
    Ok(())
}

#[test]
fn a_legend_tells_the_series_of_many_hosts_and_interfaces_apart() -> Result<()> {
    let scenario = Scenario::new()?;
    check_legends(&panels()?, &scraped(&scenario)?)
}

#[test]
fn no_panel_covers_another_or_leaves_the_grid() -> Result<()> {
    let mut taken = BTreeSet::new();
    for panel in panels()? {
        let place = |key: &str| panel["gridPos"][key].as_u64().context("no place in the grid");
        let (x, y, w, h) = (place("x")?, place("y")?, place("w")?, place("h")?);
        ensure!(w > 0 && h > 0 && x + w <= GRID_COLUMNS, "{}", panel["title"]);
        for cell in (x..x + w).flat_map(|column| (y..y + h).map(move |row| (column, row))) {
            ensure!(taken.insert(cell), "{} covers another panel", panel["title"]);
        }
    }
    Ok(())
}
