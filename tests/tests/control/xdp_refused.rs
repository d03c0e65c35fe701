//! Attach refuses XDP if the driver rejects the program, or if the kernel's own checksum of a packet, computed in
//! software, would not match the packet after an XDP program has changed it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::netns::Namespace;
use testkit::traffic::{checksum_errors, ping, udp_exchange};
use testkit::wait::wait_until;

use crate::bpffs::{pins, tree};
use crate::host_state::HostState;
use crate::scenario::{NOTHING_MORE, Scenario, XDP, XDP_GENERIC, wait_until_up};
use crate::tun::CLUSTER;

const DATAGRAMS: u32 = 50;
const PORT: u16 = 5000;
/// The payload size of a datagram for which the kernel trusts the sum that it has computed before. With at most 68
/// bytes of payload, the kernel computes the sum again (Linux, CHECKSUM_BREAK).
const LONGER: usize = 1000;

fn run(host: &Namespace, words: &str) -> Result<String> {
    host.run(&words.split(' ').collect::<Vec<_>>())
}

/// A lab in which A and B each have an interface `over0`: a vxlan interface, or an interface of the kind `stack` on top
/// of a vxlan interface. Without offloads, the receiving kernel itself computes the sum that it compares with the outer
/// UDP checksum.
fn on_vxlan(stack: &str) -> Result<Scenario> {
    let scenario = Scenario::new()?;
    scenario.file("cluster.toml", CLUSTER)?;
    let lab = &scenario.lab;
    for (host, own, other, last) in
        [(&lab.a, "198.51.100.2", "203.0.113.2", 1), (&lab.b, "203.0.113.2", "198.51.100.2", 2)]
    {
        run(host, "ethtool -K eth0 tx off")?;
        let tunnel = if stack.is_empty() { "over0" } else { "vxlan0" };
        run(
            host,
            &format!(
                "ip link add {tunnel} type vxlan id 7 local {own} remote {other} dstport 4789 \
                 udpcsum dev eth0"
            ),
        )?;
        run(host, &format!("ip link set {tunnel} addrgenmode none"))?;
        run(host, &format!("ip link set {tunnel} up"))?;
        if !stack.is_empty() {
            run(host, &format!("ip link add link vxlan0 name over0 type {stack}"))?;
            run(host, "ip link set over0 addrgenmode none")?;
            run(host, "ip link set over0 up")?;
            // Without this sysctl, vxlan0 would answer ARP requests for over0's address with vxlan0's hardware address.
            host.sysctl("net.ipv4.conf.vxlan0.arp_ignore", "1")?;
        }
        run(host, &format!("ip address add 192.0.2.{last}/24 dev over0"))?;
        run(host, &format!("ip address add 2001:db8:7::{last}/64 dev over0 nodad"))?;
        // Neighbor solicitations use this source address.
        run(host, &format!("ip address add fe80::{last}/64 dev over0 nodad"))?;
        host.sysctl("net.ipv4.conf.over0.rp_filter", "0")?;
    }
    Ok(scenario)
}

fn refused_by_xdp_and_right_by_tc(stack: &str, found: &str) -> Result<()> {
    let scenario = on_vxlan(stack)?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    let path = scenario.path("cluster.toml");
    let attach = |host, more: &[&str]| {
        scenario.try_run(host, &[&["attach", "over0", "--config", &path], more].concat())
    };
    let before = HostState::of(a)?;
    attach(a, XDP_GENERIC)?.require(4, &[found, "UDP", "help: leave --ingress out"])?;
    let checked = scenario.try_run(a, &[&["check", "--config", &path], XDP_GENERIC].concat())?;
    checked.require(4, &[])?;
    ensure!(checked.stdout.contains(&format!("WRONG  {found}")), "{checked:?}");
    before.assert_unchanged(a, "after a refused attach");

    for host in [a, b] {
        attach(host, NOTHING_MORE)?.require(0, &[])?;
    }
    for address in ["10.0.0.2", "fd00::2"] {
        let address: IpAddr = address.parse()?;
        // A packet sent during the neighbor lookup may be lost.
        wait_until("an answer", Duration::from_secs(10), || {
            Ok((ping(a, address, 1, 56)?.returned == 1).then_some(()))
        })?;
        let there = SocketAddr::new(address, PORT);
        let report = udp_exchange(a, b, None, there, DATAGRAMS, LONGER)?;
        ensure!(report.returned == DATAGRAMS, "to {address}: {report:?}");
    }
    for host in [a, b] {
        assert_eq!(checksum_errors(host)?.len(), 0, "{}", host.name());
    }
    Ok(())
}

#[test]
fn generic_xdp_on_vxlan_is_refused_and_tc_gets_every_datagram_there() -> Result<()> {
    refused_by_xdp_and_right_by_tc("", "over0 is a vxlan interface")
}

#[test]
fn generic_xdp_on_a_macvlan_upon_vxlan_is_refused_and_tc_gets_every_datagram_there() -> Result<()> {
    refused_by_xdp_and_right_by_tc("macvlan", "over0 carries packets of vxlan0, a vxlan interface")
}

#[test]
fn xdp_on_a_bridge_is_refused_with_the_way_that_works() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    for words in [
        "ip link add br0 type bridge forward_delay 0",
        "ip link set eth0 master br0",
        "ip address delete 198.51.100.2/24 dev eth0",
        "ip link set br0 up",
        "ip address add 198.51.100.2/24 dev br0",
        "ip route add default via 198.51.100.1",
    ] {
        run(host, words)?;
    }
    wait_until_up(host, "br0")?;
    let path = scenario.path("cluster.toml");
    let attach = |more: &[&str]| {
        scenario.try_run(host, &[&["attach", "br0", "--config", &path], more].concat())
    };
    attach(XDP)?.require(4, &["the driver of br0", "help: leave --ingress out"])?;
    attach(XDP_GENERIC)?.require(4, &["br0 is a bridge", "help: leave --ingress out"])?;
    ensure!(tree(&pins(host)?)?.is_empty(), "pins are left");
    attach(NOTHING_MORE)?.require(0, &[])?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    scenario.require_traffic()
}

#[test]
fn the_driver_s_own_reason_is_told() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    for words in [
        "ip link add short0 numrxqueues 1 numtxqueues 1 type veth peer name long0 numrxqueues 1 \
         numtxqueues 2",
        "ethtool -L long0 tx 2",
        "ip link set short0 addrgenmode none",
        "ip link set long0 addrgenmode none",
        "ip link set short0 up",
        "ip link set long0 up",
    ] {
        run(host, words)?;
    }
    wait_until_up(host, "short0")?;
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    let words = ["attach", "short0", "--config", &path, "--self", "srva", "--no-routes"];
    let ended = scenario.try_run(host, &[&words, XDP].concat())?;
    // The driver's reason is from Linux, drivers/net/veth.c, veth_xdp_set.
    ended.require(
        4,
        &[
            "the driver of short0 does not run the XDP program",
            "XDP expects number of rx queues not less than peer tx queues",
            "help: leave --ingress out",
        ],
    )?;
    before.assert_unchanged(host, "after a refused attach");
    ensure!(tree(&pins(host)?)?.is_empty(), "pins are left");
    Ok(())
}
