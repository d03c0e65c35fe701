//! Tests the lines of `rewrite status` about the things beside the dataplane: the file, the programs of other tools, and
//! peers that may still send to a former address of this host.

use std::time::Duration;

use anyhow::{Result, ensure};
use aya::programs::{LinkOrder, TcAttachType};
use serde_json::{Value, json};
use testkit::netns::Namespace;
use testkit::wait::wait_until;

use crate::daemon::Daemon;
use crate::in_front::pass_all;
use crate::scenario::{NOTHING_MORE, Scenario};
use crate::status::keys;

const PATIENCE: Duration = Duration::from_secs(10);

/// The interface of the host in `status --json`.
fn interface(scenario: &Scenario, host: &Namespace) -> Result<Value> {
    Ok(scenario.json(host, &["status", "--json"])?["interfaces"][0].clone())
}

/// The line of `status` that begins with a label.
fn line(scenario: &Scenario, host: &Namespace, label: &str) -> Result<String> {
    let said = scenario.try_run(host, &["status"])?.stdout;
    let line = said.lines().find(|line| line.trim_start().starts_with(label));
    Ok(line.unwrap_or_default().to_owned())
}

#[test]
fn the_attached_file_is_compared_with_what_runs() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let path = scenario.path("cluster.toml");
    let text = format!("revision = 7\n{}", scenario.lab.cluster_toml());
    scenario.file("cluster.toml", &text)?;
    scenario.attach_both(NOTHING_MORE)?;
    let file = interface(&scenario, host)?["file"].clone();
    let wanted = ["digest", "known_by", "path", "problem", "revision", "self_names", "state"];
    assert_eq!(keys(&file), wanted);
    assert_eq!(file["self_names"], json!([]));
    let sum = host.run(&["sha256sum", &path])?;
    assert_eq!(file["digest"], sum[..12]);
    assert_eq!(file["path"], path);
    assert_eq!((&file["revision"], &file["known_by"]), (&json!(7), &json!("attach")));
    let same = format!("  file      {path}, revision 7, sha256 {}: same as what runs", &sum[..12]);
    assert_eq!(line(&scenario, host, "file ")?, same);

    // A change without --save is allowed: it is no fault.
    scenario.rewrite.run(host, &["peer", "set", "srvb", "--bypass", "tcp/22"])?;
    let differs = line(&scenario, host, "file ")?;
    let wanted = format!(": differs: rewrite diff eth0 --config {path}");
    ensure!(differs.ends_with(&wanted), "{differs}");
    scenario.require_healthy(host)?;
    let suggested = scenario.try_run(host, &["diff", "eth0", "--config", &path])?;
    suggested.require(7, &[])?;
    scenario.attach(host, NOTHING_MORE)?;
    assert_eq!(interface(&scenario, host)?["file"]["state"], "same");
    Ok(())
}

/// The interface has the addresses of two members: the attach names one of them.
#[test]
fn the_suggested_comparison_names_the_member_that_the_attach_named() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let path = scenario.path("cluster.toml");
    host.run(&["ip", "address", "add", "198.51.100.9/32", "dev", "eth0"])?;
    let other = "[[member]]\nname = \"srvd\"\nprivate = \"10.0.0.4\"\npublic = \"198.51.100.9\"\n";
    scenario.file("cluster.toml", format!("{}\n{other}", scenario.lab.cluster_toml()))?;
    scenario.attach(host, &["--self", "srva", "--no-routes"])?;
    assert_eq!(interface(&scenario, host)?["file"]["state"], "same");
    scenario.rewrite.run(host, &["peer", "set", "srvb", "--bypass", "tcp/22"])?;
    let said = line(&scenario, host, "file ")?;
    let wanted = format!(": differs: rewrite diff eth0 --config {path} --self srva");
    ensure!(said.ends_with(&wanted), "{said}");
    assert_eq!(interface(&scenario, host)?["file"]["self_names"], json!(["srva"]));
    let words = ["diff", "eth0", "--config", &path];
    scenario.try_run(host, &words)?.require(4, &["--self"])?;
    scenario.try_run(host, &[&words[..], &["--self", "srva"]].concat())?.require(7, &[])?;

    // eth0 has srvd's address alone; another interface has srva's.
    host.run(&["ip", "address", "del", "198.51.100.2/24", "dev", "eth0"])?;
    host.run(&["ip", "address", "add", "198.51.100.2/32", "dev", "lo"])?;
    let file = interface(&scenario, host)?["file"].clone();
    assert_eq!(file["self_names"], json!(["srva"]), "{file:#}");
    Ok(())
}

#[test]
fn a_file_that_is_wrong_or_gone_or_of_other_hosts_is_told_without_a_fault() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let right = scenario.lab.cluster_toml();
    for (text, state, said) in [
        ("[[member]]\nname = 7\n".to_owned(), "unreadable", "unreadable: "),
        (right.replace("198.51.100.2", "198.51.100.9"), "refused", "attach would refuse it: "),
    ] {
        scenario.file("cluster.toml", text)?;
        assert_eq!(interface(&scenario, host)?["file"]["state"], state);
        let line = line(&scenario, host, "file ")?;
        ensure!(line.contains(said), "{line}");
        scenario.require_healthy(host)?;
    }
    std::fs::remove_file(scenario.path("cluster.toml"))?;
    let file = interface(&scenario, host)?["file"].clone();
    assert_eq!((&file["state"], &file["digest"]), (&json!("unreadable"), &Value::Null));
    scenario.require_healthy(host)
}

#[test]
fn a_file_on_trial_is_the_file_until_the_trial_ends() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let text = format!("bypass = [\"tcp/22\"]\n{}", scenario.lab.cluster_toml());
    scenario.file("new.toml", text)?;
    let [first, new] = ["cluster.toml", "new.toml"].map(|name| scenario.path(name));
    let apply = ["apply", "--config", &new, "--confirm-within", "5m"];
    let told = || -> Result<_> {
        let file = interface(&scenario, host)?["file"].clone();
        Ok((file["path"].clone(), file["known_by"].clone(), file["state"].clone()))
    };
    scenario.rewrite.run(host, &apply)?;
    assert_eq!(told()?, (json!(new), json!("trial"), json!("same")));
    scenario.rewrite.run(host, &["apply", "--revert"])?;
    assert_eq!(told()?, (json!(first), json!("attach"), json!("same")));
    scenario.rewrite.run(host, &apply)?;
    scenario.rewrite.run(host, &["confirm"])?;
    assert_eq!(told()?, (json!(new), json!("attach"), json!("same")));
    Ok(())
}

#[test]
fn the_file_of_a_daemon_is_told_as_followed() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    let file = interface(&scenario, host)?["file"].clone();
    assert_eq!((&file["known_by"], &file["state"]), (&json!("daemon"), &json!("same")));
    // The daemon reads the file again only when the file or the network changes.
    scenario.rewrite.run(host, &["peer", "set", "srvb", "--bypass", "tcp/22"])?;
    let differs = line(&scenario, host, "file ")?;
    ensure!(differs.contains(": differs, and the daemon follows it: rewrite diff"), "{differs}");
    daemon.terminate()?;
    assert_eq!(interface(&scenario, host)?["file"]["known_by"], "attach");
    Ok(())
}

#[test]
fn programs_of_other_tools_are_listed_in_their_order() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    assert_eq!(interface(&scenario, host)?["other_programs"], json!([]));
    assert_eq!(line(&scenario, host, "programs ")?, "");
    let first = pass_all(host, TcAttachType::Egress, LinkOrder::first())?;
    let _last = pass_all(host, TcAttachType::Egress, LinkOrder::last())?;
    let _ingress = pass_all(host, TcAttachType::Ingress, LinkOrder::last())?;
    let programs = interface(&scenario, host)?["other_programs"].clone();
    assert_eq!(keys(&programs[0]), ["by", "direction", "id", "name", "order"]);
    let all = programs.as_array().cloned().unwrap_or_default();
    let order: Vec<_> = all
        .iter()
        .map(|one| ["direction", "order", "name", "by"].map(|key| one[key].as_str().unwrap_or("")))
        .collect();
    let wanted = [
        ["egress", "before", "pass_all", "tcx"],
        ["egress", "after", "pass_all", "tcx"],
        ["ingress", "after", "pass_all", "tcx"],
    ];
    assert_eq!(order, wanted);
    let ids: Vec<_> = all.iter().map(|one| one["id"].to_string()).collect();
    let wanted = format!(
        "  programs  egress, in this order: pass_all (id {}, tcx), rewrite, pass_all (id {}, tcx)",
        ids[0], ids[1]
    );
    assert_eq!(line(&scenario, host, "programs  egress")?, wanted);
    drop(first);
    scenario.require_healthy(host)
}

/// This host moves, and keeps its former address. A peer that has not got the file goes on sending to it.
#[test]
fn a_peer_that_has_not_confirmed_a_move_of_this_host_may_send_to_the_former_address() -> Result<()>
{
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.attach_both(NOTHING_MORE)?;
    let unconfirmed =
        || -> Result<_> { Ok(interface(&scenario, a)?["peers"][0]["unconfirmed"].clone()) };
    assert_eq!(unconfirmed()?, json!([]));
    a.run(&["ip", "address", "add", "198.51.100.3/24", "dev", "eth0"])?;
    let there = scenario.lab.cluster_toml().replace("198.51.100.2", "198.51.100.3");
    scenario.file("there.toml", there)?;
    scenario.attach_by(a, "there.toml", NOTHING_MORE)?;
    scenario.require_traffic()?;
    let status = interface(&scenario, a)?;
    let wanted = json!([{
        "former_underlay": "198.51.100.2", "underlay": "198.51.100.3", "since": status["changed_at"],
    }]);
    assert_eq!(status["peers"][0]["unconfirmed"], wanted);
    let said = line(&scenario, a, "may still send")?;
    let wanted = "may still send to 198.51.100.2, our former address: it has not confirmed \
                  198.51.100.3 since 2";
    ensure!(said.contains(wanted), "{said}");

    scenario.attach_by(b, "there.toml", NOTHING_MORE)?;
    wait_until("the peer's confirmation", PATIENCE, || {
        Ok((unconfirmed()? == json!([])).then_some(()))
    })?;
    assert_eq!(line(&scenario, a, "may still send")?, "");
    scenario.require_traffic()
}
