//! Tests several paths to a peer: equal-cost routes over two interfaces, and a direct cable with its own route.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use testkit::lab::{FAMILIES, add_address, join};
use testkit::netns::Namespace;
use testkit::traffic::ping;

use crate::host_state::HostState;
use crate::scenario::{NOTHING_MORE, Scenario};

fn run(host: &Namespace, commands: &[&str]) -> Result<()> {
    for command in commands {
        host.run(&command.split(' ').collect::<Vec<_>>())?;
    }
    Ok(())
}

/// The last bytes of additional peers' IPv4 addresses. With so many peers, the equal-cost routes use each interface for
/// at least one peer.
const OTHER_PEERS: std::ops::RangeInclusive<u8> = 10..=17;

#[test]
fn of_equal_cost_routes_over_two_interfaces_the_one_with_the_programs_is_taken() -> Result<()> {
    let scenario = Scenario::new()?;
    let (host, router) = (&scenario.lab.a, &scenario.lab.router);
    join(host, "eth1", router, "eth-a1")?;
    for (own, gateway) in [("192.0.2.2", "192.0.2.1"), ("2001:db8:c::2", "2001:db8:c::1")] {
        add_address(host, "eth1", own.parse()?)?;
        add_address(router, "eth-a1", gateway.parse()?)?;
    }
    run(
        host,
        &[
            "ip route replace default nexthop via 198.51.100.1 dev eth0 nexthop via 192.0.2.1 dev eth1",
            "ip -6 route delete default",
            "ip -6 route add default nexthop via 2001:db8:a::1 dev eth0 nexthop via 2001:db8:c::1 dev \
             eth1",
        ],
    )?;
    let mut file = scenario.lab.cluster_toml_of(&FAMILIES);
    for last in OTHER_PEERS {
        file += &format!(
            "[[member]]\nname = \"other{last}\"\nprivate = [\"10.0.0.{last}\", \"fd00::{last}\"]\n\
             public = [\"203.0.113.{last}\", \"2001:db8:b::{last}\"]\n"
        );
    }
    scenario.file("cluster.toml", file)?;
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    let ended = scenario.try_run(host, &["check", "--config", &path])?;
    ended.require(0, &[])?;
    for public in ["203.0.113.2", "2001:db8:b::2"] {
        let note = format!("equal-cost routes spread packets to {public} over eth0 and eth1");
        ensure!(ended.stdout.contains(&note), "{note:?} is not in {ended:?}");
    }
    scenario.attach_both(NOTHING_MORE)?;
    scenario.require_healthy(host)?;
    for family in FAMILIES {
        let report = ping(host, family.b_private, 2, 56)?;
        ensure!(report.returned == report.sent, "{}: {report:?}", family.b_private);
    }
    scenario.detach(host)?;
    before.assert_unchanged(host, "after detach");
    Ok(())
}

#[test]
fn the_route_of_a_cable_gives_way_and_comes_back() -> Result<()> {
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    join(a, "cable", b, "cable")?;
    run(a, &["ip address add 10.0.0.1 peer 10.0.0.2/32 dev cable"])?;
    run(b, &["ip address add 10.0.0.2 peer 10.0.0.1/32 dev cable"])?;
    for host in [a, b] {
        host.sysctl("net.ipv4.conf.cable.rp_filter", "0")?;
    }
    let remedy = "ip address change 10.0.0.1 peer 10.0.0.2/32 dev cable metric 4096";
    let path = scenario.path("cluster.toml");
    scenario.try_attach(a, NOTHING_MORE)?.require(4, &["10.0.0.2", "on cable", remedy])?;
    let ended = scenario.try_run(a, &["check", "--config", &path])?;
    ended.require(4, &[])?;
    ensure!(ended.stdout.contains(remedy), "{ended:?}");

    run(a, &[remedy])?;
    run(b, &["ip address change 10.0.0.2 peer 10.0.0.1/32 dev cable metric 4096"])?;
    let before = HostState::of(a)?;
    scenario.attach_both(NOTHING_MORE)?;
    scenario.require_healthy(a)?;
    scenario.require_traffic()?;
    let goes = a.run(&["ip", "route", "get", "10.0.0.2"])?;
    ensure!(goes.contains("dev eth0"), "{goes}");
    scenario.detach(a)?;
    scenario.detach(b)?;
    before.assert_unchanged(a, "after detach");
    let peer: IpAddr = "10.0.0.2".parse()?;
    let report = ping(a, peer, 2, 56)?;
    ensure!(report.returned == report.sent, "by the cable: {report:?}");
    Ok(())
}
