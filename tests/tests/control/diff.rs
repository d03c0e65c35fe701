//! `rewrite diff` prints the changes that attach would make, and makes none of them.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::bpffs::dump_without_notes;
use crate::host_state::HostState;
use crate::scenario::{NOTHING_MORE, Scenario};

const NEW: &str = "\
[[member]]
name    = \"srva\"
private = \"10.0.0.1\"
public  = \"198.51.100.2\"

[[member]]
name    = \"srvb\"
private = \"10.0.0.2\"
public  = \"192.0.2.2\"
direct  = true

[[member]]
name    = \"srvd\"
private = \"10.0.0.4\"
public  = \"192.0.2.4\"
";

/// The output of `rewrite diff` on A for `file`.
fn difference(scenario: &Scenario, file: &str) -> Result<String> {
    let path = scenario.path(file);
    let ended = scenario.try_run(&scenario.lab.a, &["diff", "--config", &path])?;
    ended.require(if ended.stdout.contains(": matches ") { 0 } else { 7 }, &[])?;
    Ok(ended.stdout)
}

#[test]
fn the_file_that_runs_is_no_difference() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let path = scenario.path("cluster.toml");
    assert_eq!(difference(&scenario, "cluster.toml")?, format!("eth0: matches {path}\n"));
    let output = scenario.json(host, &["diff", "--config", &path, "--json"])?;
    assert_eq!(output["same"], true);
    assert_eq!(output["peers"], json!({"added": [], "removed": []}));
    Ok(())
}

#[test]
fn what_would_come_go_and_move_is_told_and_nothing_changes() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let add = ["peer", "add", "srvc", "--private", "10.0.0.3", "--public", "192.0.2.3"];
    scenario.rewrite.run(host, &add)?;
    scenario.file("new.toml", NEW)?;
    let before = HostState::of(host)?;
    let table = dump_without_notes(&scenario.pin(host, "peers_v4")?)?;

    let path = scenario.path("new.toml");
    let output = difference(&scenario, "new.toml")?;
    let wanted = format!(
        "eth0: with {path}\n\
         \x20 + peer srvd  10.0.0.4 at 192.0.2.4\n\
         \x20 ~ peer srvb  10.0.0.2 at 203.0.113.2 -> srvb  10.0.0.2 at 192.0.2.2, direct\n\
         \x20 - peer srvc  10.0.0.3 at 192.0.2.3\n\
         \x20 + route 10.0.0.4 via 198.51.100.1 src 10.0.0.1\n\
         \x20 - route 10.0.0.3 via 198.51.100.1 src 10.0.0.1\n\
         \x20 make these changes: rewrite attach eth0 --config {path}\n"
    );
    assert_eq!(output, wanted);
    let output = scenario.json(host, &["diff", "--config", &path, "--json"])?;
    let peer = |name, private, public, direct| {
        json!({"name": name, "private": [private], "public": [public], "direct": direct,
            "bypass": []})
    };
    let route = |destination| format!("{destination} via 198.51.100.1 src 10.0.0.1");
    assert_eq!(
        output,
        json!({
            "interface": "eth0",
            "attached": true,
            "same": false,
            "local_members": null,
            "peers": {
                "added": [peer("srvd", "10.0.0.4", "192.0.2.4", false)],
                "removed": [peer("srvc", "10.0.0.3", "192.0.2.3", false)],
            },
            "changed_peers": [{
                "from": peer("srvb", "10.0.0.2", "203.0.113.2", false),
                "to": peer("srvb", "10.0.0.2", "192.0.2.2", true),
            }],
            "addresses": {"added": [], "removed": []},
            "routes": {"added": [route("10.0.0.4")], "removed": [route("10.0.0.3")]},
            "bypass": null,
            "settings": [],
        })
    );
    before.assert_unchanged(host, "after diff");
    assert_eq!(dump_without_notes(&scenario.pin(host, "peers_v4")?)?, table);

    scenario.attach_by(host, "new.toml", NOTHING_MORE)?;
    let output = difference(&scenario, "new.toml")?;
    ensure!(output.contains(": matches "), "{output}");
    Ok(())
}

#[test]
fn before_the_first_attach_all_that_it_brings_is_told_and_then_there() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    let words = ["diff", "--interface", "eth0", "--config", &path];
    let ended = scenario.try_run(host, &words)?;
    ended.require(7, &[])?;
    let output = ended.stdout;
    let wanted = format!(
        "eth0: with {path}\n\
         \x20 + this host: srva, 10.0.0.1 as 198.51.100.2\n\
         \x20 + peer srvb  10.0.0.2 at 203.0.113.2\n\
         \x20 + address 10.0.0.1/32 on lo\n\
         \x20 + route 10.0.0.2 via 198.51.100.1 src 10.0.0.1\n\
         \x20 make these changes: rewrite attach eth0 --config {path}\n"
    );
    assert_eq!(output, wanted);
    let json = scenario.json(host, &[&words[..], &["--json"]].concat())?;
    assert_eq!((&json["attached"], &json["same"]), (&json!(false), &json!(false)));
    assert_eq!(json["local_members"]["from"], json!([]));
    let checked = scenario.rewrite.run(host, &["check", "--config", &path])?;
    let plan = "an attach of eth0 changes: addresses on lo +1, peers +1, routes +1";
    let lists = format!("rewrite attach --config {path} eth0 --dry-run lists them");
    ensure!(checked.contains(plan) && checked.contains(&lists), "{checked}");
    before.assert_unchanged(host, "after diff and check");

    scenario.attach(host, NOTHING_MORE)?;
    assert_eq!(scenario.rewrite.run(host, &words)?, format!("eth0: matches {path}\n"));
    let checked = scenario.rewrite.run(host, &["check", "--config", &path])?;
    ensure!(checked.contains(&format!("eth0 matches {path}")), "{checked}");
    Ok(())
}

#[test]
fn a_host_that_becomes_another_member_is_told() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let text = scenario.lab.cluster_toml().replace("\"10.0.0.1\"", "\"10.0.0.9\"");
    scenario.file("renumbered.toml", text)?;
    let output = difference(&scenario, "renumbered.toml")?;
    for wanted in [
        "  ~ this host: srva, 10.0.0.1 as 198.51.100.2 -> srva, 10.0.0.9 as 198.51.100.2\n",
        "  + address 10.0.0.9/32 on lo\n",
        "  - address 10.0.0.1/32 on lo\n",
        "  + route 10.0.0.2 via 198.51.100.1 src 10.0.0.9\n",
    ] {
        ensure!(output.contains(wanted), "{wanted} is not in {output}");
    }
    Ok(())
}

#[test]
fn what_attach_would_refuse_is_refused() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let diff = |file: &str| scenario.try_run(host, &["diff", "--config", &scenario.path(file)]);
    diff("cluster.toml")?.require(4, &["no interface is attached", "help: "])?;
    scenario.attach(host, NOTHING_MORE)?;
    scenario.file("wrong.toml", "[[member]]\nname = \"srva\"\n")?;
    diff("wrong.toml")?.require(3, &["wrong.toml:", "private"])?;
    diff("missing.toml")?.require(3, &["missing.toml"])?;
    scenario
        .file("elsewhere.toml", scenario.lab.cluster_toml().replace("198.51.100.2", "192.0.2.7"))?;
    diff("elsewhere.toml")?.require(4, &["eth0"])?;
    Ok(())
}
