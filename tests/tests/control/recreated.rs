//! Tests an interface that somebody deletes and creates again under the same name.

use anyhow::{Result, ensure};
use testkit::lab::Lab;

use crate::host_state::HostState;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario};

fn run(lab: &Lab, commands: &[&str]) -> Result<()> {
    for command in commands {
        lab.a.run(&command.split(' ').collect::<Vec<_>>())?;
    }
    Ok(())
}

/// Creates A's eth0 again, as the lab does.
pub fn make_eth0(lab: &Lab, index: &str) -> Result<()> {
    let router = lab.router.name();
    let add = format!("ip link add eth0{index} type veth peer name eth-a netns {router}");
    run(
        lab,
        &[&add, "ip link set eth0 addrgenmode none up", "ip address add 198.51.100.2/24 dev eth0"],
    )?;
    for command in
        ["ip link set eth-a addrgenmode none up", "ip address add 198.51.100.1/24 dev eth-a"]
    {
        lab.router.run(&command.split(' ').collect::<Vec<_>>())?;
    }
    run(lab, &["ip route add default via 198.51.100.1"])
}

fn recovered(hook: &[&str], same_index: bool) -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let index = if same_index { " index 77" } else { "" };
    run(&scenario.lab, &["ip link delete eth0"])?;
    make_eth0(&scenario.lab, index)?;
    scenario.attach_both(hook)?;
    scenario.require_traffic()?;

    run(&scenario.lab, &["ip link delete eth0"])?;
    let wrong = ["WRONG", "eth0", " FAULT"];
    for made in [false, true] {
        if made {
            make_eth0(&scenario.lab, index)?;
        }
        let ended = scenario.try_run(host, &["status"])?;
        ended.require(1, &[])?;
        ensure!(wrong.iter().all(|word| ended.stdout.contains(word)), "{ended:?}");
    }
    scenario.attach(host, hook)?;
    scenario.require_healthy(host)?;
    scenario.require_traffic()?;

    scenario.detach(host)?;
    let detached = HostState::of(host)?;
    for look in ["ip -json address", "ip -json route show table all", "pins"] {
        assert!(!detached.look(look).contains("10.0.0."), "{}", detached.look(look));
    }
    scenario.attach(host, hook)?;
    scenario.detach(host)?;
    detached.assert_unchanged(host, "after another attach and detach");
    Ok(())
}

#[test]
fn an_interface_made_anew_is_attached_again() -> Result<()> {
    recovered(NOTHING_MORE, false)
}

#[test]
fn an_interface_made_anew_is_attached_again_by_clsact() -> Result<()> {
    recovered(CLSACT, false)
}

#[test]
fn an_interface_made_anew_with_the_same_index_is_attached_again() -> Result<()> {
    recovered(NOTHING_MORE, true)
}

#[test]
fn an_interface_made_anew_with_the_same_index_is_attached_again_by_clsact() -> Result<()> {
    recovered(CLSACT, true)
}

#[test]
fn an_interface_made_anew_can_be_detached_as_well() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    for hook in [NOTHING_MORE, CLSACT] {
        scenario.attach(host, hook)?;
        run(&scenario.lab, &["ip link delete eth0"])?;
        make_eth0(&scenario.lab, "")?;
        scenario.detach(host)?;
        let detached = HostState::of(host)?;
        for look in ["ip -json address", "ip -json route show table all"] {
            assert!(!detached.look(look).contains("10.0.0."), "{}", detached.look(look));
        }
        assert_eq!(detached.look("pins"), "[]");
    }
    Ok(())
}
