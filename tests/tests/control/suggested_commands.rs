//! The commands that rewrite suggests work as they stand, and the report of an attach says what has changed.

use anyhow::{Context, Result, ensure};
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;

use crate::apply_comes_back::{members, require_members};
use crate::scenario::{Ended, NOTHING_MORE, Scenario, end};

/// Another cluster, which lacks srvb. The drain is zero, so that a suggested undo command leaves no former address.
const OTHER: &str = "\
drain = \"0s\"
bypass = [\"tcp/22\"]
revision = 8

[[member]]
name    = \"srva\"
private = \"10.0.0.1\"
public  = \"198.51.100.2\"

[[member]]
name    = \"srvd\"
private = \"10.0.0.4\"
public  = \"192.0.2.4\"
";

/// Runs `rewrite --netns NAME`, and returns its unchanged output.
fn raw(scenario: &Scenario, host: &Namespace, words: &[&str]) -> Result<Ended> {
    end(&mut scenario.rewrite.command(host, words))
}

/// Runs a command that was suggested for this namespace.
fn pasted(scenario: &Scenario, host: &Namespace, command: &str) -> Result<String> {
    let own = format!("rewrite --netns {} ", host.name());
    let words = command.strip_prefix(&own).with_context(|| format!("{command}: not {own}"))?;
    scenario.rewrite.run(host, &words.split(' ').collect::<Vec<_>>())
}

#[test]
fn the_way_back_after_an_update_restores_what_ran() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.file("cluster.toml", format!("drain = \"0s\"\n{}", scenario.lab.cluster_toml()))?;
    scenario.attach(host, &["--no-routes", "--vlan", "7"])?;
    let add = "peer add srvc --private 10.0.0.3 --public 192.0.2.3 --bypass udp/53";
    scenario.rewrite.run(host, &add.split(' ').collect::<Vec<_>>())?;
    let before = members(&scenario)?;
    let other = scenario.file("other.toml", OTHER)?.display().to_string();
    let said = raw(&scenario, host, &["attach", PUBLIC_INTERFACE, "--config", &other])?.stdout;
    for wanted in [
        "  + peer srvd  10.0.0.4 at 192.0.2.4\n",
        "  - peer srvb  10.0.0.2 at 203.0.113.2\n",
        "  - peer srvc  10.0.0.3 at 192.0.2.3, bypass udp/53\n",
        "  ~ bypass none -> tcp/22\n",
        "  ~ routes set by: the operator -> rewrite\n",
        "  ~ revision: none -> 8\n",
    ] {
        ensure!(said.contains(wanted), "{wanted} is not in {said}");
    }
    ensure!(members(&scenario)? != before, "nothing has changed");
    let back =
        said.lines().find_map(|line| line.strip_prefix("  back: ")).context("no way back")?;
    pasted(&scenario, host, back)?;
    require_members(&scenario, &before)?;
    let options = ["--no-routes", "--vlan", "7"];
    scenario.rewrite.run(host, &["peer", "remove", "srvc"])?;
    let same = scenario.attach(host, &options)?;
    ensure!(same.contains("\n  no change\n") && !same.contains("back: "), "{same}");
    scenario.require_healthy(host)?;
    scenario.detach(host)?;
    crate::trial_state::require_nothing_left(host)
}

#[test]
fn a_suggested_command_has_the_namespace_and_the_file_and_works_as_it_stands() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let path = scenario.path("cluster.toml");
    let said = raw(&scenario, host, &["check", "--config", &path, "--self", "srva"])?.stdout;
    let line = said.lines().find(|line| line.contains("this host is srva")).context("no line")?;
    let attach = line.split_once("its interface is eth0: ").context("no command")?.1;
    ensure!(attach.ends_with(&format!(" attach --config {path} --self srva eth0")), "{attach}");
    let said = pasted(&scenario, host, attach)?;
    ensure!(said.contains("eth0: attached"), "{said}");

    let set = ["peer", "set", "srvb", "--public", "192.0.2.9", "--confirm-within", "60s"];
    let said = raw(&scenario, host, &set)?.stdout;
    let refused = raw(&scenario, host, &["attach", PUBLIC_INTERFACE, "--config", &path])?;
    let confirm = format!("rewrite --netns {} confirm --interface eth0", host.name());
    refused.require(4, &[&confirm])?;
    let revert = said.lines().find_map(|line| line.strip_prefix("  back at once: "));
    pasted(&scenario, host, revert.context("no way back")?)?;
    let said = raw(&scenario, host, &["diff", "--config", &path])?;
    said.require(0, &[])?;
    let back = raw(&scenario, host, &["peer", "set", "srvb", "--public", "192.0.2.9"])?.stdout;
    let back =
        back.lines().find_map(|line| line.strip_prefix("  back: ")).context("no way back")?;
    pasted(&scenario, host, back)?;
    raw(&scenario, host, &["diff", "--config", &path])?.require(0, &[])
}

#[test]
fn the_command_that_tries_again_is_the_one_that_was_typed() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let path = scenario.path("cluster.toml");
    let attach = format!(
        "attach eth0 --config {path} --self srva --no-routes --vlan 7 --confirm-within 90s"
    );
    let again =
        |command: &str| format!("try it again: rewrite --netns {} {command}\n", host.name());
    scenario.rewrite.run(host, &attach.split(' ').collect::<Vec<_>>())?;
    scenario.rewrite.run(host, &["apply", "--revert", "eth0"])?;
    let said = raw(&scenario, host, &["status"])?.stdout;
    ensure!(said.contains(&again(&attach)), "{said}");
    let json = scenario.json(host, &["status", "--json"])?;
    assert_eq!(json["rolled_back_attaches"][0]["again"], format!("rewrite {attach}"));
    pasted(&scenario, host, &format!("rewrite --netns {} {attach}", host.name()))?;
    scenario.rewrite.run(host, &["confirm"])?;

    for change in [
        "peer set srvb --public 192.0.2.9 --drain 5m --confirm-within 2m".to_owned(),
        format!("apply --config {path} --self srva --confirm-within 1h"),
    ] {
        scenario
            .file("cluster.toml", format!("drain = \"7m\"\n{}", scenario.lab.cluster_toml()))?;
        scenario.rewrite.run(host, &change.split(' ').collect::<Vec<_>>())?;
        scenario.rewrite.run(host, &["apply", "--revert", "eth0"])?;
        let refused = raw(&scenario, host, &["confirm"])?;
        refused.require(4, &["was rolled back at", again(&change).trim_end()])?;
    }
    Ok(())
}

#[test]
fn a_host_behind_a_nat_is_told_of_its_underlay_address() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let file = scenario.lab.cluster_toml().replace("\"198.51.100.2\"", "\"192.0.2.77\"");
    scenario.file("cluster.toml", file)?;
    let refused = scenario.try_attach(host, NOTHING_MORE)?;
    refused.require(4, &["this host is not a member", "1:1 NAT", "underlay = \"198.51.100.2\""])
}
