//! Attach refuses an interface that is part of a different interface, such as a bridge port: the bridge gets the port's
//! packets.

use anyhow::{Result, ensure};

use crate::bpffs::{pins, tree};
use crate::scenario::{NOTHING_MORE, Scenario, wait_until_up};

const ENSLAVE: [&str; 2] =
    ["ip link add br0 type bridge forward_delay 0", "ip link set eth0 master br0"];

#[test]
fn a_port_of_a_bridge_is_refused_and_the_bridge_is_attached() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let run = |words: &str| host.run(&words.split(' ').collect::<Vec<_>>());
    for words in ENSLAVE {
        run(words)?;
    }
    run("ip link set br0 up")?;
    wait_until_up(host, "br0")?;
    let path = scenario.path("cluster.toml");
    // The address and the routes are still on the port.
    for more in [NOTHING_MORE, &["--no-routes"], &["--ingress", "xdp"]] {
        let ended = scenario.try_attach(host, more)?;
        ended.require(4, &["eth0 is a port of the bridge br0", "help: attach br0 instead"])?;
    }
    let ended = scenario.try_run(host, &["check", "--config", &path])?;
    ended.require(4, &[])?;
    ensure!(ended.stdout.contains("WRONG  eth0 is a port of the bridge br0"), "{ended:?}");
    ensure!(tree(&pins(host)?)?.is_empty(), "pins are left");

    run("ip address delete 198.51.100.2/24 dev eth0")?;
    run("ip address add 198.51.100.2/24 dev br0")?;
    run("ip route add default via 198.51.100.1")?;
    scenario.rewrite.run(host, &["check", "--config", &path])?;
    scenario.rewrite.run(host, &["attach", "br0", "--config", &path])?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    scenario.require_traffic()?;
    scenario.rewrite.run(host, &["detach", "br0"])?;
    ensure!(tree(&pins(host)?)?.is_empty(), "pins are left");
    Ok(())
}

#[test]
fn status_finds_that_an_attached_interface_has_become_a_part() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    scenario.require_healthy(host)?;
    for words in ENSLAVE {
        host.run(&words.split(' ').collect::<Vec<_>>())?;
    }
    let ended = scenario.try_run(host, &["status"])?;
    ended.require(1, &[])?;
    ensure!(ended.stdout.contains("eth0 is a port of the bridge br0"), "{ended:?}");
    host.run(&["ip", "link", "set", "eth0", "nomaster"])?;
    scenario.require_healthy(host)?;
    scenario.detach(host)?;
    Ok(())
}
