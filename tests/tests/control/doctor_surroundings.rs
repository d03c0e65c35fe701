//! Tests the findings of `rewrite doctor` about the things around the dataplane, and the commands that repair them:
//! queueing disciplines, filters and XDP programs of other tools, learnt path MTUs, and software on public addresses.

use std::net::{TcpListener, UdpSocket};

use anyhow::{Result, ensure};
use testkit::lab::{
    A_PUBLIC, B_PRIVATE, B_PUBLIC, FAMILIES, LabOptions, ROUTER_A, ROUTER_B, limit_route,
};
use testkit::netns::Namespace;
use testkit::traffic::dial_from;

use crate::doctor::{findings, mend};
use crate::learnt_path::learn;
use crate::passing_program::load_passing_xdp;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario};

/// The only finding: its description and its remedy.
fn only(scenario: &Scenario, id: &str) -> Result<(String, String)> {
    let found = findings(scenario)?;
    let [(found_id, false, what, remedy)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(found_id, id);
    Ok((what.clone(), remedy.clone()))
}

fn run_words(host: &Namespace, command: &str) -> Result<()> {
    host.run(&command.split(' ').collect::<Vec<_>>()).map(drop)
}

#[test]
fn a_queueing_discipline_that_limits_is_found_at_the_root_and_below_and_sharing_is_not()
-> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let limit = "tbf rate 100mbit burst 64k latency 50ms";
    run_words(host, &format!("tc qdisc replace dev eth0 root handle 1: {limit}"))?;
    let (what, remedy) = only(&scenario, "qdisc")?;
    assert_eq!(what, "the queueing discipline tbf limits the rate, and drops packets above it");
    mend(host, &remedy)?;
    assert_eq!(findings(&scenario)?, []);

    run_words(host, "tc qdisc add dev eth0 root handle 1: htb default 10")?;
    run_words(host, "tc class add dev eth0 parent 1: classid 1:10 htb rate 1gbit")?;
    assert_eq!(findings(&scenario)?, []);
    run_words(host, &format!("tc qdisc add dev eth0 parent 1:10 handle 20: {limit}"))?;
    let (_, remedy) = only(&scenario, "qdisc")?;
    assert_eq!(remedy, "tc qdisc del dev eth0 parent 1:10 handle 20:");
    mend(host, &remedy)?;
    assert_eq!(findings(&scenario)?, []);
    scenario.require_traffic()
}

#[test]
fn a_filter_that_redirects_is_found_with_its_order_and_one_that_mirrors_is_not() -> Result<()> {
    for (hook, egress) in [(NOTHING_MORE, "behind"), (CLSACT, "in front of")] {
        let scenario = Scenario::new()?;
        let host = &scenario.lab.a;
        scenario.attach_both(hook)?;
        run_words(host, "tc qdisc replace dev eth0 clsact")?;
        for (direction, order) in [("egress", egress), ("ingress", "behind")] {
            let filter = |action: &str| {
                format!(
                    "tc filter add dev eth0 {direction} pref 10 protocol ip u32 match ip dst \
                     192.0.2.77 action mirred egress {action} dev lo"
                )
            };
            run_words(host, &filter("mirror"))?;
            assert_eq!(findings(&scenario)?, []);
            run_words(host, &format!("tc filter del dev eth0 {direction} pref 10"))?;
            run_words(host, &filter("redirect"))?;
            let (what, remedy) = only(&scenario, "tc-filter")?;
            let wanted = format!(
                "a u32 filter at {direction}, pref 10, {order} rewrite, redirects packets to \
                 another interface"
            );
            assert_eq!(what, wanted);
            mend(host, &remedy)?;
            assert_eq!(findings(&scenario)?, []);
        }
    }
    Ok(())
}

#[test]
fn an_xdp_program_in_front_is_found_with_its_name() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let pin = load_passing_xdp(host)?;
    let path = pin.display().to_string();
    run_words(host, &format!("bpftool net attach xdp pinned {path} dev eth0"))?;
    std::fs::remove_file(&pin)?;
    let (what, remedy) = only(&scenario, "xdp-in-front")?;
    ensure!(what.starts_with("an XDP program, pass_all (id "), "{what}");
    let status = scenario.rewrite.run(host, &["status"])?;
    ensure!(status.contains("ingress, in this order: pass_all (id "), "{status}");
    ensure!(status.contains(", xdp), rewrite\n"), "{status}");
    scenario.require_traffic()?;
    mend(host, &remedy)?;
    assert_eq!(findings(&scenario)?, []);
    Ok(())
}

#[test]
fn a_learnt_path_mtu_is_found_once_the_path_carries_more() -> Result<()> {
    let scenario = Scenario::with(LabOptions { path_mtu: Some(1400), ..LabOptions::default() })?;
    scenario.file("cluster.toml", scenario.lab.cluster_toml_of(&FAMILIES))?;
    scenario.attach_both(NOTHING_MORE)?;
    let host = &scenario.lab.a;
    for family in &FAMILIES {
        learn(host, family)?;
    }
    assert_eq!(findings(&scenario)?, [], "the path carries no more");
    for family in &FAMILIES {
        for (port, gateway) in [(ROUTER_A, family.router_a), (ROUTER_B, family.router_b)] {
            limit_route(&scenario.lab.router, port, gateway, 1500)?;
        }
    }
    let found = findings(&scenario)?;
    let told: Vec<_> = found
        .iter()
        .map(|(id, certain, what, remedy)| {
            assert_eq!((&id[..], *certain), ("learnt-mtu", false));
            (what.as_str(), remedy.as_str())
        })
        .collect();
    let what = |address: &str| {
        format!(
            "the kernel has learnt a path MTU of 1400 bytes for {address} (srvb), although packets \
             of 1500 bytes arrive"
        )
    };
    let wanted =
        [(what("10.0.0.2"), "ip route flush cache"), (what("fd00::2"), "ip -6 route flush cache")];
    assert_eq!(told, wanted.each_ref().map(|(what, remedy)| (what.as_str(), *remedy)));
    for (.., remedy) in &found {
        mend(host, remedy)?;
    }
    assert_eq!(findings(&scenario)?, []);
    Ok(())
}

#[test]
fn cluster_software_that_listens_on_the_public_address_alone_is_found() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let listen = |address: &str| -> Result<_> { Ok(host.enter(|| TcpListener::bind(address))??) };
    // ssh on all addresses, a web server on the public one, and glusterd on all addresses are right.
    let right: Result<Vec<_>> =
        ["0.0.0.0:22", "198.51.100.2:443", "0.0.0.0:24007"].map(listen).into_iter().collect();
    let right = right?;
    assert_eq!(findings(&scenario)?, []);
    drop(right);

    let glusterd = listen("198.51.100.2:24007")?;
    let (what, remedy) = only(&scenario, "public-listener")?;
    let wanted = "glusterd seems to listen on tcp 198.51.100.2:24007 alone, which is no private \
                  address";
    assert_eq!(what, wanted);
    let wanted = "bind it to 10.0.0.1 in its configuration (ss -tlnp 'sport = :24007' names it)";
    assert_eq!(remedy, wanted);
    let named = host.run(&["sh", "-c", "ss -tlnp 'sport = :24007'"])?;
    ensure!(named.contains("198.51.100.2:24007"), "{named}");
    // The remedy: the software listens on the private address.
    let private = listen("10.0.0.1:24007")?;
    assert_eq!(findings(&scenario)?, []);
    drop((glusterd, private));

    let corosync = host.enter(|| UdpSocket::bind((A_PUBLIC, 5405)))??;
    let (what, _) = only(&scenario, "public-listener")?;
    ensure!(what.contains("corosync seems to listen on udp 198.51.100.2:5405"), "{what}");
    drop(corosync);
    assert_eq!(findings(&scenario)?, []);
    Ok(())
}

#[test]
fn connections_of_the_cluster_between_public_addresses_are_found_and_ssh_is_not() -> Result<()> {
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.attach_both(NOTHING_MORE)?;
    let connect = |port: u16| -> Result<_> {
        // The peer's program rewrites the packets, so a socket at the peer's public address alone would not answer.
        let listener = b.enter(|| TcpListener::bind(("0.0.0.0", port)))??;
        let from = Some((A_PUBLIC, 0).into());
        let client = a.enter(|| dial_from(from, (B_PUBLIC, port).into()))??;
        Ok((listener, client))
    };
    let ssh = connect(22)?;
    assert_eq!(findings(&scenario)?, []);
    let etcd = connect(2380)?;
    let (what, remedy) = only(&scenario, "public-cluster")?;
    let wanted = "1 connection at the port 2380 of etcd between 198.51.100.2 and 203.0.113.2, which \
                  are public addresses";
    assert_eq!(what, wanted);
    ensure!(remedy.contains("ss -tnp src 198.51.100.2 dst 203.0.113.2"), "{remedy}");
    drop(etcd);
    assert_eq!(findings(&scenario)?, []);
    drop(ssh);

    let listener = b.enter(|| TcpListener::bind((B_PRIVATE, 2380)))??;
    let private = a.enter(|| dial_from(None, (B_PRIVATE, 2380).into()))??;
    assert_eq!(findings(&scenario)?, []);
    drop((listener, private));
    Ok(())
}
