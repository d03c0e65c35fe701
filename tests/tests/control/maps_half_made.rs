//! Tests the state after a command was killed between pinning larger maps and attaching programs that use these maps.
//! The running programs still use the old maps, so writes to the pinned maps have no effect. The next change of peers
//! repairs this.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use testkit::lab::B_PRIVATE;
use testkit::netns::Namespace;
use testkit::traffic::ping;

use crate::bpffs::bpftool;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};
use crate::unit;

/// Pins a copy of a map in place of the map, as a resize does.
fn exchange(pin: &Path) -> Result<()> {
    let (path, new) = (pin.display().to_string(), format!("{}_new", pin.display()));
    let shown: serde_json::Value =
        serde_json::from_str(&bpftool(&["-j", "map", "show", "pinned", &path])?)?;
    let entries = shown["max_entries"].to_string();
    let [key, value] = ["bytes_key", "bytes_value"].map(|name| shown[name].to_string());
    bpftool(&[
        "map", "create", &new, "type", "hash", "key", &key, "value", &value, "entries", &entries,
        "name", "peers_v4",
    ])?;
    let dump: serde_json::Value =
        serde_json::from_str(&bpftool(&["-j", "map", "dump", "pinned", &path])?)?;
    for entry in dump.as_array().into_iter().flatten() {
        let bytes = |name: &str| -> Vec<String> {
            let bytes = entry[name].as_array().into_iter().flatten();
            bytes.filter_map(|byte| byte.as_str().map(str::to_owned)).collect()
        };
        let mut words: Vec<String> =
            ["map", "update", "pinned", &new, "key"].map(str::to_owned).to_vec();
        words.extend(bytes("key"));
        words.push("value".into());
        words.extend(bytes("value"));
        bpftool(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    fs::rename(new, pin)?;
    Ok(())
}

fn sees(host: &Namespace) -> Result<bool> {
    let report = ping(host, B_PRIVATE, 1, 56)?;
    Ok(report.returned == report.sent)
}

/// Pins a copy in place of the map of peers, moves a peer away and back, and requires that the traffic follows.
fn a_change_is_seen(more: &[&str]) -> Result<()> {
    let scenario = Scenario::new()?;
    let a = &scenario.lab.a;
    scenario.attach_both(more)?;
    scenario.require_traffic()?;
    exchange(&scenario.pin(a, "peers_v4")?)?;
    let status = scenario.try_run(a, &["status"])?;
    ensure!(status.code == Some(1), "{status:?}");
    ensure!(status.stdout.contains("other maps than the pinned ones (peers_v4)"), "{status:?}");
    scenario.require_traffic()?;
    // The commands run with only the systemd unit's capabilities.
    let capabilities = unit::capabilities()?;
    let set = |public: &str| -> Result<_> {
        let words = ["peer", "set", "srvb", "--public", public, "--drain", "0s"];
        let ended = unit::run(&scenario, a, &capabilities, &words)?;
        ended.require(0, &[])?;
        Ok(ended)
    };
    let ended = set("203.0.113.77")?;
    ensure!(ended.stderr.contains("other maps than the pinned ones (peers_v4)"), "{ended:?}");
    ensure!(!sees(a)?, "packets go where they went before");
    let ended = set("203.0.113.2")?;
    ensure!(ended.stderr.is_empty(), "{ended:?}");
    scenario.require_traffic()?;
    scenario.require_healthy(a)
}

#[test]
fn a_change_of_peers_is_seen_by_programs_that_looked_into_other_maps() -> Result<()> {
    a_change_is_seen(NOTHING_MORE)
}

#[test]
fn a_change_of_peers_is_seen_by_programs_that_looked_into_other_maps_with_clsact() -> Result<()> {
    a_change_is_seen(CLSACT)
}

#[test]
fn a_change_of_peers_is_seen_by_programs_that_looked_into_other_maps_with_xdp() -> Result<()> {
    a_change_is_seen(XDP)
}
