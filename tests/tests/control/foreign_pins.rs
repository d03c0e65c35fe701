//! Commands refuse to run if foreign pins or pins of a different version are at the paths of our pins.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;
use tunnel_common::ABI_VERSION;

use crate::bpffs::{ATTACHMENT_ABI_VERSION, bpftool, pins, set_attachment_byte, tree};
use crate::host_state::HostState;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario};

/// Creates another program's map and pins it at `pin`.
fn foreign_map(pin: &Path) -> Result<()> {
    let folder = pin.parent().context("no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let pin = pin.display().to_string();
    let words = "type hash key 4 value 12 entries 8 name somebodys";
    let words: Vec<_> = ["map", "create", &pin].into_iter().chain(words.split(' ')).collect();
    bpftool(&words)?;
    Ok(())
}

/// Requires that every command that uses the pins refuses and changes nothing.
fn all_refused(scenario: &Scenario, host: &Namespace, on_stderr: &[&str]) -> Result<()> {
    let path = scenario.path("cluster.toml");
    for words in [
        &["attach", PUBLIC_INTERFACE, "--config", &path][..],
        &["detach", PUBLIC_INTERFACE],
        &["detach", "--all"],
    ] {
        refused(scenario, host, words, on_stderr)?;
    }
    uses_refused(scenario, host, on_stderr)
}

/// Requires that `status`, `stats` and `peer` refuse and change nothing.
fn uses_refused(scenario: &Scenario, host: &Namespace, on_stderr: &[&str]) -> Result<()> {
    for words in [&["status"][..], &["stats"], &["peer", "list"], &["peer", "remove", "srvb"]] {
        refused(scenario, host, words, on_stderr)?;
    }
    Ok(())
}

fn refused(
    scenario: &Scenario,
    host: &Namespace,
    words: &[&str],
    on_stderr: &[&str],
) -> Result<()> {
    let before = HostState::of(host)?;
    let ended = scenario.try_run(host, words)?;
    ended.require(6, on_stderr)?;
    ended.require(6, &["help: ", PUBLIC_INTERFACE])?;
    before.assert_unchanged(host, &ended.line);
    Ok(())
}

#[test]
fn a_foreign_pin_in_an_empty_folder_is_left_alone() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    foreign_map(&scenario.pin(host, "somebodys")?)?;
    all_refused(&scenario, host, &["pins of another program: somebodys", "rewrite changed nothing"])
}

#[test]
fn a_foreign_pin_among_ours_is_left_alone() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    foreign_map(&scenario.pin(host, "somebodys")?)?;
    all_refused(&scenario, host, &["pins of another program: somebodys"])?;
    scenario.require_traffic()?;
    fs::remove_file(scenario.pin(host, "somebodys")?).context("unpin")?;
    scenario.require_healthy(host)
}

#[test]
fn a_map_of_another_shape_under_the_name_of_ours_is_not_used() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let pin = scenario.pin(host, "peers_v4")?;
    fs::remove_file(&pin).context("unpin")?;
    foreign_map(&pin)?;
    all_refused(&scenario, host, &["another version", "peers_v4", "12"])
}

#[test]
fn a_map_of_another_shape_that_is_alone_under_the_name_of_ours_is_left_alone() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    foreign_map(&scenario.pin(host, "peers_v4")?)?;
    all_refused(&scenario, host, &[])
}

#[test]
fn what_is_no_map_under_the_name_of_one_is_left_alone() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let pin = scenario.pin(host, "flows_v4")?;
    fs::remove_file(&pin).context("unpin")?;
    let program = scenario.pin(host, "rewrite_egress")?.display().to_string();
    let pin = pin.display().to_string();
    bpftool(&["prog", "pin", "pinned", &program, &pin])?;
    all_refused(&scenario, host, &["flows_v4"])
}

#[test]
fn pins_of_another_abi_version_are_recognised() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let record = scenario.pin(host, "attachment")?;
    set_attachment_byte(&record, ATTACHMENT_ABI_VERSION, 77)?;
    all_refused(&scenario, host, &["ABI version 77", "detach with the version"])?;
    scenario.require_traffic()?;
    set_attachment_byte(&record, ATTACHMENT_ABI_VERSION, u8::try_from(ABI_VERSION)?)?;
    scenario.require_healthy(host)
}

#[test]
fn ours_without_one_map_are_not_used_put_back_by_attach_and_taken_away_by_detach() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let before = HostState::of(host)?;
    for hook in [NOTHING_MORE, CLSACT] {
        scenario.attach(host, hook)?;
        fs::remove_file(scenario.pin(host, "members")?).context("unpin")?;
        let said = ["lacks the maps members", "rewrite attach eth0 restores"];
        uses_refused(&scenario, host, &said)?;
        scenario.attach(host, hook)?;
        scenario.require_healthy(host)?;
        scenario.require_traffic()?;
        fs::remove_file(scenario.pin(host, "peers_v6")?).context("unpin")?;
        scenario.detach(host)?;
        before.assert_unchanged(host, "after detach");
    }
    Ok(())
}

#[test]
fn ours_without_one_map_and_of_another_abi_version_are_left_alone() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    set_attachment_byte(&scenario.pin(host, "attachment")?, ATTACHMENT_ABI_VERSION, 77)?;
    fs::remove_file(scenario.pin(host, "members")?).context("unpin")?;
    all_refused(&scenario, host, &["lacks the maps members"])
}

#[test]
fn a_folder_of_somebody_else_beside_ours_stays() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let other = pins(host)?.join("eth5").join("somebodys");
    foreign_map(&other)?;
    let before = tree(&pins(host)?)?;
    scenario.attach(host, NOTHING_MORE)?;
    scenario.detach(host)?;
    assert_eq!(tree(&pins(host)?)?, before);
    Ok(())
}
