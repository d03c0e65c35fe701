//! An interface with a dot in its name, like a VLAN's.

use anyhow::{Result, ensure};

use crate::host_state::HostState;
use crate::scenario::{NOTHING_MORE, Scenario, wait_until_up};

#[test]
fn an_interface_with_a_dot_in_its_name_is_attached_shown_and_detached() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let run = |words: &str| host.run(&words.split(' ').collect::<Vec<_>>());
    run("ip link set eth0 down")?;
    run("ip link set eth0 name eth0.100")?;
    run("ip link set eth0.100 up")?;
    run("ip route add default via 198.51.100.1")?;
    wait_until_up(host, "eth0.100")?;
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    for _ in 0..2 {
        scenario.rewrite.run(host, &["attach", "eth0.100", "--config", &path])?;
    }
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    scenario.require_traffic()?;
    scenario.require_healthy(host)?;
    let listed = scenario.rewrite.run(host, &["peer", "list"])?;
    ensure!(listed.contains("eth0.100: 1 peer\n"), "{listed}");
    let add = "peer add srvc --private 10.0.0.3 --public 192.0.2.3 --interface eth0.100";
    scenario.rewrite.run(host, &add.split(' ').collect::<Vec<_>>())?;
    scenario.rewrite.run(host, &["detach", "eth0.100"])?;
    before.assert_unchanged(host, "after detach");
    Ok(())
}
