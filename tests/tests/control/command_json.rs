//! Every command that prints a result takes --json, and IFACE alone or after --interface.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::rewrite_command::Rewrite;

use crate::scenario::{Scenario, end};
use crate::status::keys;

/// The commands that the help of the command `words` lists.
fn commands(rewrite: &Rewrite, words: &[&str]) -> Result<Vec<String>> {
    let ended = end(Command::new(rewrite.binary()).args(words).arg("--help"))?;
    let list = ended.stdout.split_once("Commands:\n").context("no commands")?.1;
    let lines = list.lines().take_while(|line| !line.is_empty());
    // The second line of a wrapped description has a deeper indentation.
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    Ok(names.filter(|name| *name != "help").map(str::to_owned).collect())
}

fn help(rewrite: &Rewrite, words: &[&str]) -> Result<String> {
    Ok(end(Command::new(rewrite.binary()).args(words).arg("--help"))?.stdout)
}

#[test]
fn every_command_but_the_daemon_and_the_screen_takes_json() -> Result<()> {
    let rewrite = Rewrite::locate()?;
    let mut seen = 0;
    for name in commands(&rewrite, &[])? {
        let lines = match &name[..] {
            "run" | "top" => continue,
            "peer" => commands(&rewrite, &["peer"])?
                .into_iter()
                .map(|sub| vec![name.clone(), sub])
                .collect(),
            _ => vec![vec![name]],
        };
        for line in lines {
            let words: Vec<_> = line.iter().map(String::as_str).collect();
            ensure!(help(&rewrite, &words)?.contains("--json"), "{words:?} lacks --json");
            seen += 1;
        }
    }
    ensure!(seen >= 15, "only {seen} commands were found");
    Ok(())
}

/// The lab's file, with one more member.
fn with_another_member(scenario: &Scenario) -> String {
    let more = "[[member]]\nname = \"srvd\"\nprivate = \"10.0.0.4\"\npublic = \"192.0.2.4\"\n";
    format!("{}{more}", scenario.lab.cluster_toml())
}

#[test]
fn an_interface_stands_alone_or_behind_its_option() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let path = scenario.path("cluster.toml");
    let config = ["--config", &path];
    let more = scenario.file("more.toml", with_another_member(&scenario))?.display().to_string();
    let more = ["--config", &more];
    let peer = ["--private", "10.0.0.3", "--public", "192.0.2.3"];
    for form in [&["eth0"][..], &["--interface", "eth0"]] {
        let run = |words: &[&str]| scenario.rewrite.run(host, words);
        run(&[&["attach"], form, &config].concat())?;
        run(&[&["diff"], form, &config].concat())?;
        run(&[&["peer", "add", "srvc"], form, &peer].concat())?;
        run(&[&["peer", "set", "srvc"], form, &["--direct", "true"]].concat())?;
        run(&[&["peer", "remove", "srvc"], form].concat())?;
        let other = scenario.try_run(host, &["peer", "remove", "srvb", "eth9"])?;
        other.require(4, &["eth9 is not attached"])?;
        run(&[&["apply"], form, &more, &["--confirm-within", "60s"]].concat())?;
        run(&[&["confirm"], form].concat())?;
        run(&[&["apply", "--revert"], form].concat())?;
        run(&[&["downgrade"], form].concat())?;
        run(&[&["detach"], form].concat())?;
    }
    for verb in ["attach", "run", "downgrade", "detach"] {
        scenario.try_run(host, &[verb])?.require(2, &["required"])?;
        let both = scenario.try_run(host, &[verb, "eth0", "--interface", "eth0"])?;
        both.require(2, &["cannot be used with"])?;
    }
    scenario.try_run(host, &["detach", "eth0", "--all"])?.require(2, &["cannot be used with"])?;
    Ok(())
}

#[test]
fn each_command_prints_one_object_with_the_documented_fields() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let path = scenario.path("cluster.toml");
    let more = scenario.file("more.toml", with_another_member(&scenario))?.display().to_string();
    let changed = "interface before after awaited routes saved daemon trial";
    let add = "peer add srvc --private 10.0.0.3 --public 192.0.2.3 --save --config FILE";
    for (line, wanted) in [
        ("check --config FILE", "ok findings"),
        (
            "attach eth0 --config FILE",
            "interface updated hook ingress local_members peers changed_entries addresses sysctls \
             routes former_underlay awaited notes unit_to_enable difference trial",
        ),
        ("status", "version abi_version interfaces left_behind rolled_back_attaches"),
        ("stats", "interfaces"),
        ("ping --count 1", "network peers networks"),
        ("doctor", "findings interfaces pinged reached"),
        (
            "diff --config FILE",
            "interface attached same local_members peers changed_peers addresses routes bypass settings",
        ),
        (add, changed),
        ("peer set srvc --direct true", changed),
        ("peer list", "interfaces"),
        ("peer remove srvc --save --config FILE", changed),
        ("apply --config MORE --confirm-within 60s", "interface difference trial"),
        ("confirm", "interface config subject"),
        ("apply --revert", "reverted why config subject attached detached routes"),
        ("downgrade eth0", "interface abi_version changed handles_tags unguarded dropped_counts"),
        ("detach eth0", "interfaces left_addresses gone failures"),
    ] {
        let line = line.replace("FILE", &path).replace("MORE", &more) + " --json";
        let words: Vec<_> = line.split(' ').collect();
        let ended = scenario.try_run(host, &words)?;
        let value: Value =
            serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))?;
        let mut wanted: Vec<_> = wanted.split_whitespace().collect();
        wanted.sort_unstable();
        assert_eq!(keys(&value), wanted, "{line}: {ended:?}");
        if line.starts_with("peer add") {
            assert_eq!(value["before"], Value::Null);
            assert_eq!(value["after"]["public"][0], "192.0.2.3");
            assert_eq!(value["saved"]["file"], *path, "{value:#}");
            ensure!(value["saved"]["added"].to_string().contains("srvc"), "{value:#}");
        }
        if line.starts_with("attach") {
            assert_eq!(value["routes"]["added"][0], "10.0.0.2 via 198.51.100.1 src 10.0.0.1");
            assert_eq!((&value["updated"], &value["peers"]), (&Value::Bool(false), &1.into()));
        }
        if line.starts_with("detach") {
            assert_eq!(value["interfaces"][0]["addresses"][0], "10.0.0.1/32");
        }
    }
    Ok(())
}
