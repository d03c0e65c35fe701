//! Attach copies the whole route to a peer's public address into the route to the peer's private address: the metrics,
//! and also an `onlink` gateway, which is outside every connected subnet.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};
use testkit::lab::{FAMILIES, LabOptions};
use testkit::netns::Namespace;
use testkit::traffic::{ping, tcp_transfer};

use crate::host_state::HostState;
use crate::scenario::{NOTHING_MORE, Scenario};
use crate::status::wrong;

fn run(host: &Namespace, commands: &[&str]) -> Result<()> {
    for command in commands {
        host.run(&command.split(' ').collect::<Vec<_>>())?;
    }
    Ok(())
}

fn dual_stack(options: LabOptions) -> Result<Scenario> {
    let scenario = Scenario::with(options)?;
    scenario.file("cluster.toml", scenario.lab.cluster_toml_of(&FAMILIES))?;
    Ok(scenario)
}

fn require_answers(scenario: &Scenario) -> Result<()> {
    for family in FAMILIES {
        let report = ping(&scenario.lab.a, family.b_private, 2, 56)?;
        ensure!(report.returned == report.sent, "{}: {report:?}", family.b_private);
    }
    Ok(())
}

/// The gateway is outside the network of the server's /32 address, as at hosting providers that give each server a
/// single address.
#[test]
fn a_gateway_off_the_network_of_the_address_is_taken_over() -> Result<()> {
    let scenario = dual_stack(LabOptions::default())?;
    let host = &scenario.lab.a;
    run(
        host,
        &[
            "ip address delete 198.51.100.2/24 dev eth0",
            "ip address add 198.51.100.2/32 dev eth0",
            "ip route add default via 198.51.100.1 dev eth0 onlink",
            "ip -6 address delete 2001:db8:a::2/64 dev eth0",
            "ip -6 address add 2001:db8:a::2/128 dev eth0 nodad",
            "ip -6 route replace default via 2001:db8:a::1 dev eth0 onlink",
        ],
    )?;
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    scenario.rewrite.run(host, &["check", "--config", &path])?;
    before.assert_unchanged(host, "after check");
    scenario.attach_both(NOTHING_MORE)?;
    scenario.require_healthy(host)?;
    require_answers(&scenario)?;
    // A second attach would change no route.
    let said = scenario.rewrite.run(host, &["diff", "--config", &path])?;
    ensure!(!said.contains("route"), "{said}");
    scenario.attach(host, NOTHING_MORE)?;
    scenario.detach(host)?;
    before.assert_unchanged(host, "after detach");
    Ok(())
}

/// The path silently drops packets of more than 1300 bytes, so the operator sets this MTU on the route.
#[test]
fn the_mtu_of_the_way_holds_where_nobody_tells_that_packets_are_too_large() -> Result<()> {
    let scenario = dual_stack(LabOptions { path_mtu: Some(1300), ..LabOptions::default() })?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    run(
        &scenario.lab.router,
        &[
            "nft add table inet silent",
            "nft add chain inet silent output { type filter hook output priority 0 ; }",
            "nft add rule inet silent output icmp type destination-unreachable drop",
            "nft add rule inet silent output icmpv6 type packet-too-big drop",
        ],
    )?;
    run(
        a,
        &[
            "ip route replace default via 198.51.100.1 mtu 1300 advmss 1200 initcwnd 20",
            "ip -6 route replace default via 2001:db8:a::1 mtu 1300 hoplimit 70",
        ],
    )?;
    let before = HostState::of(a)?;
    scenario.attach_both(NOTHING_MORE)?;
    scenario.require_healthy(a)?;
    let ours = a.run(&["ip", "route", "show", "proto", "114"])?;
    ensure!(ours.contains("mtu 1300 advmss 1200 initcwnd 20"), "{ours}");
    let ours = a.run(&["ip", "-6", "route", "show", "proto", "114"])?;
    ensure!(ours.contains("mtu 1300") && ours.contains("hoplimit 70"), "{ours}");
    for family in FAMILIES {
        let (from, to): (IpAddr, IpAddr) = (family.a_private, family.b_private);
        tcp_transfer(a, b, Some(from), SocketAddr::new(to, 5001), 1 << 20)?;
    }

    run(a, &["ip route replace default via 198.51.100.1 mtu 1200"])?;
    wrong(&scenario, a, "the route to 10.0.0.2 along the path to 203.0.113.2")?;
    scenario.attach(a, NOTHING_MORE)?;
    scenario.require_healthy(a)?;
    let ours = a.run(&["ip", "route", "show", "proto", "114"])?;
    ensure!(ours.contains("mtu 1200") && !ours.contains("initcwnd"), "{ours}");
    scenario.detach(a)?;
    run(a, &["ip route replace default via 198.51.100.1 mtu 1300 advmss 1200 initcwnd 20"])?;
    before.assert_unchanged(a, "after detach");
    Ok(())
}
