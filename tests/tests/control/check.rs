//! `rewrite check` reports the faults that make attach fail, and changes nothing.

use anyhow::{Context, Result, ensure};
use testkit::lab::FAMILIES;

use crate::host_state::HostState;
use crate::scenario::{NOTHING_MORE, Scenario};
use crate::surroundings::{WITH_BPFFS_FOR_ROOT_ALONE, wrapped};

#[test]
fn a_right_file_on_a_member_is_right_and_nothing_changes() -> Result<()> {
    let scenario = Scenario::new()?;
    let path = scenario.path("cluster.toml");
    for (host, name, peer) in [
        (&scenario.lab.a, "srva", "srvb, 203.0.113.2"),
        (&scenario.lab.b, "srvb", "srva, 198.51.100.2"),
    ] {
        let before = HostState::of(host)?;
        let words = ["check", "--config", &path];
        let ended = wrapped(&scenario, host, WITH_BPFFS_FOR_ROOT_ALONE, &words)?;
        ended.require(0, &[])?;
        let said = ended.stdout;
        ensure!(said.lines().all(|line| line.starts_with("ok ")), "{said}");
        for words in [
            "is valid: 2 members",
            "verifier accepts the programs",
            "attach uses the hook tcx",
            &format!("this host is {name}, and its interface is eth0"),
            &format!("packets to {peer}, leave through eth0"),
        ] {
            ensure!(said.contains(words), "{words:?} is not in {said}");
        }
        before.assert_unchanged(host, "after check");
    }
    Ok(())
}

#[test]
fn what_would_make_attach_fail_is_found() -> Result<()> {
    for (command, said) in [
        ("ip route delete default", "no route to 203.0.113.2"),
        ("ip link set lo down", "lo is down"),
        ("ip address delete 198.51.100.2/24 dev eth0", "no member"),
        ("ip route add 10.0.0.2/32 via 198.51.100.1", "rewrite did not set it"),
    ] {
        let scenario = Scenario::new()?;
        let host = &scenario.lab.a;
        host.run(&command.split(' ').collect::<Vec<_>>())?;
        let attach = scenario.try_attach(host, NOTHING_MORE)?;
        attach.require(4, &[said]).context(command)?;
        let path = scenario.path("cluster.toml");
        let ended = scenario.try_run(host, &["check", "--config", &path])?;
        ended.require(4, &[]).context(command)?;
        let wrong =
            ended.stdout.lines().any(|line| line.starts_with("WRONG") && line.contains(said));
        ensure!(wrong, "{ended:?}");
    }
    Ok(())
}

#[test]
fn what_attach_refuses_of_a_host_with_both_families_is_found() -> Result<()> {
    for (command, said) in [
        ("sysctl -w net.ipv6.conf.lo.disable_ipv6=1", "IPv6 is disabled on lo"),
        ("ip -6 route delete default", "no route to 2001:db8:b::2"),
    ] {
        let scenario = Scenario::new()?;
        scenario.file("cluster.toml", scenario.lab.cluster_toml_of(&FAMILIES))?;
        let host = &scenario.lab.a;
        host.run(&command.split(' ').collect::<Vec<_>>())?;
        scenario.try_attach(host, NOTHING_MORE)?.require(4, &[said]).context(command)?;
        let path = scenario.path("cluster.toml");
        let ended = scenario.try_run(host, &["check", "--config", &path])?;
        ended.require(4, &[]).context(command)?;
        ensure!(ended.stdout.contains(said), "{ended:?}");
    }
    Ok(())
}

#[test]
fn a_change_on_trial_is_in_the_way_of_an_attach_and_found() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let path = scenario.path("cluster.toml");
    let moved = scenario.lab.cluster_toml().replace("203.0.113.2", "192.0.2.2");
    let moved = scenario.file("moved.toml", moved)?.display().to_string();
    scenario.rewrite.run(host, &["apply", "--config", &moved, "--confirm-within", "600s"])?;
    let attach = scenario.try_attach(host, NOTHING_MORE)?;
    attach.require(4, &["rewrite confirm"])?;
    let ended = scenario.try_run(host, &["check", "--config", &path])?;
    ended.require(4, &[])?;
    ensure!(ended.stdout.contains("rewrite confirm"), "{ended:?}");
    scenario.rewrite.run(host, &["confirm"])?;
    scenario.rewrite.run(host, &["check", "--config", &path])?;
    Ok(())
}

#[test]
fn a_wrong_file_is_wrong() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let path = scenario.file("wrong.toml", "\nmembers = 1\n")?.display().to_string();
    let ended = scenario.try_run(host, &["check", "--config", &path])?;
    ended.require(4, &[])?;
    let wrong = format!("WRONG  {path}:2: ");
    ensure!(ended.stdout.contains(&wrong), "{ended:?}");
    ensure!(ended.stdout.contains("help: "), "{ended:?}");
    let ended = scenario.try_run(host, &["check", "--config", "/nonexistent"])?;
    ended.require(4, &[])?;
    ensure!(ended.stdout.contains("no such file"), "{ended:?}");
    Ok(())
}

#[test]
fn what_is_attached_can_be_checked() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    scenario.rewrite.run(host, &["check", "--config", &path])?;
    before.assert_unchanged(host, "after check");
    scenario.require_traffic()
}

#[test]
fn a_name_tells_who_this_host_is() -> Result<()> {
    let scenario = Scenario::new()?;
    let path = scenario.path("cluster.toml");
    let check = |name| {
        let words = ["check", "--config", &path, "--self", name];
        scenario.try_run(&scenario.lab.a, &words)
    };
    check("srva")?.require(0, &[])?;
    check("srvb")?.require(4, &[])?;
    check("srvx")?.require(4, &[])
}
