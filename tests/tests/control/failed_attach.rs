//! An attach that fails because of the host's configuration leaves no changes behind.

use anyhow::{Context, Result};
use testkit::lab::PUBLIC_INTERFACE;

use crate::host_state::HostState;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario};

/// Runs `commands` on A. Requires that `rewrite` with the arguments `words` then fails and changes nothing.
fn refused(commands: &[&str], words: &[&str], code: i32, on_stderr: &[&str]) -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    for command in commands {
        host.run(&command.split(' ').collect::<Vec<_>>())?;
    }
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    for hook in [NOTHING_MORE, CLSACT] {
        let words = [words, &["--config", &path], hook].concat();
        let ended = scenario.try_run(host, &words)?;
        ended.require(code, on_stderr).with_context(|| format!("after {commands:?}"))?;
        ended.require(code, &["rewrite: ", "help: "])?;
        assert_eq!(ended.stdout, "", "errors go to stderr");
        before.assert_unchanged(host, &ended.line);
    }
    Ok(())
}

const ATTACH: &[&str] = &["attach", PUBLIC_INTERFACE];

#[test]
fn no_such_interface() -> Result<()> {
    let words = ["no interface eth7", "the interfaces are: lo, eth0"];
    refused(&[], &["attach", "eth7"], 4, &words)
}

#[test]
fn the_loopback_interface() -> Result<()> {
    refused(&[], &["attach", "lo"], 4, &["lo is the loopback interface"])
}

#[test]
fn names_that_would_lead_out_of_the_folder() -> Result<()> {
    for name in ["..", ".", "../eth0", "eth0/..", "", "/"] {
        refused(&[], &["attach", name], 4, &[])?;
    }
    Ok(())
}

#[test]
fn a_host_that_is_no_member() -> Result<()> {
    let commands = [
        "ip address delete 198.51.100.2/24 dev eth0",
        "ip address add 198.51.100.3/24 dev eth0",
        "ip route add default via 198.51.100.1",
    ];
    let words = ["no member", "198.51.100.3", "--self"];
    refused(&commands, ATTACH, 4, &words)
}

#[test]
fn a_name_that_is_no_member() -> Result<()> {
    let words = [ATTACH, &["--self", "srvx"]].concat();
    refused(&[], &words, 4, &["\"srvx\"", "srva, srvb"])
}

#[test]
fn a_name_of_another_member() -> Result<()> {
    let words = [ATTACH, &["--self", "srvb"]].concat();
    refused(&[], &words, 4, &["203.0.113.2", "198.51.100.2"])
}

#[test]
fn a_route_of_somebody_else_to_a_peer() -> Result<()> {
    let commands = ["ip route add 10.0.0.2/32 via 198.51.100.1 dev eth0"];
    let words = ["10.0.0.2", "rewrite did not set it", "ip route del 10.0.0.2/32"];
    refused(&commands, ATTACH, 4, &words)
}

#[test]
fn a_route_of_somebody_else_that_drops_what_goes_to_a_peer() -> Result<()> {
    let commands = ["ip route add blackhole 10.0.0.2/32"];
    refused(&commands, ATTACH, 4, &["10.0.0.2", "rewrite did not set it"])
}

#[test]
fn a_route_of_somebody_else_with_two_ways_to_a_peer() -> Result<()> {
    let commands = ["ip route add 10.0.0.2/32 nexthop via 198.51.100.1 dev eth0 \
         nexthop via 198.51.100.9 dev eth0"];
    refused(&commands, ATTACH, 4, &["10.0.0.2", "rewrite did not set it"])
}

#[test]
fn no_way_to_a_peer() -> Result<()> {
    let commands = ["ip route delete default"];
    refused(&commands, ATTACH, 4, &["no route to 203.0.113.2"])
}

#[test]
fn a_way_to_a_peer_that_drops() -> Result<()> {
    let commands = ["ip route add blackhole 203.0.113.0/24"];
    refused(&commands, ATTACH, 4, &["no route to 203.0.113.2"])
}

#[test]
fn a_way_to_a_peer_through_another_interface() -> Result<()> {
    let commands = [
        "ip link add eth9 type veth",
        "ip link set eth9 up",
        "ip address add 192.0.2.2/24 dev eth9",
        "ip route add 203.0.113.0/24 dev eth9",
    ];
    let words = ["203.0.113.2", "through eth9, and not through eth0"];
    refused(&commands, ATTACH, 4, &words)
}

#[test]
fn an_interface_that_is_down() -> Result<()> {
    refused(&["ip link set eth0 down"], ATTACH, 4, &[])
}

#[test]
fn a_loopback_interface_that_is_down() -> Result<()> {
    let words = ["lo is down", "ip link set lo up"];
    refused(&["ip link set lo down"], ATTACH, 4, &words)
}

#[test]
fn a_file_that_is_wrong_or_missing() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    scenario.file("wrong.toml", "[[member]]\nname = 1\n")?;
    for (file, said) in [("wrong.toml", ":2: "), ("none.toml", "no such file")] {
        let path = scenario.path(file);
        let words = ["attach", PUBLIC_INTERFACE, "--config", &path];
        let ended = scenario.try_run(host, &words)?;
        ended.require(3, &[said, "help: ", &path])?;
        before.assert_unchanged(host, &ended.line);
    }
    Ok(())
}

#[test]
fn no_such_network_namespace() -> Result<()> {
    let scenario = Scenario::new()?;
    let path = scenario.path("cluster.toml");
    for name in ["ct-none", "../netns", ""] {
        let mut command = std::process::Command::new(scenario.rewrite.binary());
        command.args(["--netns", name, "attach", PUBLIC_INTERFACE, "--config", &path]);
        let ended = crate::scenario::end(&mut command)?;
        ended.require(4, &["no network namespace", "help: ", "ip netns list"])?;
    }
    Ok(())
}
