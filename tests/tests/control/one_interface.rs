//! Each command that shows attached interfaces shows a named interface alone, and refuses one that is not attached.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::scenario::{NOTHING_MORE, Scenario};
use crate::two_networks::{SECOND, attach_second, prepared};

/// The commands, each with the place of the interfaces' names in its JSON.
const COMMANDS: [(&[&str], &str, &str); 4] = [
    (&["status"], "interfaces", "interface"),
    (&["stats"], "interfaces", "interface"),
    (&["peer", "list"], "interfaces", "interface"),
    (&["doctor"], "interfaces", ""),
];

fn both_attached() -> Result<Scenario> {
    let scenario = prepared()?;
    scenario.attach_both(NOTHING_MORE)?;
    for host in [&scenario.lab.a, &scenario.lab.b] {
        attach_second(&scenario, host)?;
    }
    Ok(scenario)
}

/// The interfaces that the output of a command lists.
fn interfaces(json: &Value, list: &str, name: &str) -> Result<Vec<String>> {
    let list = json[list].as_array().context("no list")?;
    let names = list.iter().map(|entry| if name.is_empty() { entry } else { &entry[name] });
    names.map(|name| Ok(name.as_str().context("no name")?.to_owned())).collect()
}

#[test]
fn a_named_interface_is_shown_alone() -> Result<()> {
    let scenario = both_attached()?;
    let host = &scenario.lab.a;
    for (words, list, name) in COMMANDS {
        let shown = |more: &[&str]| {
            let json = scenario.json(host, &[words, &["--json"], more].concat())?;
            interfaces(&json, list, name)
        };
        assert_eq!(shown(&[])?, ["eth0", SECOND], "{words:?}");
        for only in ["eth0", SECOND] {
            assert_eq!(shown(&[only])?, [only], "{words:?}");
            assert_eq!(shown(&["--interface", only])?, [only], "{words:?}");
        }
        let unknown = scenario.try_run(host, &[words, &["eth9"]].concat())?;
        unknown.require(4, &["eth9 is not attached", "attached interfaces: eth0, ib0"])?;
    }
    Ok(())
}

#[test]
fn a_ping_sends_by_the_entries_of_the_named_interface() -> Result<()> {
    let scenario = both_attached()?;
    let host = &scenario.lab.a;
    let pinged = |more: &[&str]| {
        let words = [&["ping", "--count", "1", "--json"], more].concat();
        let ended = scenario.try_run(host, &words)?;
        let json: Value = serde_json::from_str(&ended.stdout)?;
        interfaces(&json, "peers", "interface")
    };
    assert_eq!(pinged(&[])?, ["eth0", "eth0"], "the kernel sends both families by eth0");
    assert_eq!(pinged(&["--interface", SECOND])?, [SECOND, SECOND]);
    let unknown = scenario.try_run(host, &["ping", "srvb", "--interface", "eth9"])?;
    unknown.require(4, &["eth9 is not attached"])
}

#[test]
fn a_check_looks_at_the_named_interface() -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    let path = scenario.path("cluster.toml");
    let checked = |more: &[&str], code: i32, wanted: &[&str]| {
        let ended = scenario.try_run(host, &[&["check", "--config", &path], more].concat())?;
        ended.require(code, &[])?;
        for wanted in wanted {
            ensure!(ended.stdout.contains(wanted), "{wanted} is not in {}", ended.stdout);
        }
        anyhow::Ok(ended.stdout)
    };
    checked(&[], 0, &["its interface is eth0", "its interface is ib0"])?;
    for form in [&[SECOND][..], &["--interface", SECOND]] {
        let said = checked(form, 0, &["its interface is ib0: rewrite"])?;
        ensure!(!said.contains("its interface is eth0"), "{said}");
    }
    checked(&["eth9"], 4, &["does not say which network eth9 is on"])?;
    scenario.file("cluster.toml", scenario.lab.cluster_toml())?;
    checked(&["eth0"], 0, &["this host is srva, and its interface is eth0"])?;
    checked(&["eth9"], 4, &["there is no interface eth9", "the interfaces are: "])?;
    // srva's addresses are on eth0, so an attach of ib0 is refused.
    let attach = scenario.try_run(host, &["attach", SECOND, "--config", &path])?;
    let (refusal, _) = attach.stderr.split_once('\n').context("no refusal")?;
    let refusal = refusal.trim_start_matches("rewrite: ");
    checked(&[SECOND], 4, &[refusal])?;
    Ok(())
}
