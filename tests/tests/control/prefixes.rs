//! Tests a member that is a whole network.

use anyhow::{Result, ensure};

use crate::dual_stack::require_answer;
use crate::host_state::HostState;
use crate::scenario::{NOTHING_MORE, Scenario, XDP};

const CLUSTER: &str = "\
[[member]]
name    = \"srva\"
private = \"10.0.0.1\"
public  = \"198.51.100.2\"

[[member]]
name    = \"net\"
private = \"10.2.0.0/25\"
public  = \"203.0.113.128/25\"

[[member]]
name    = \"within\"
private = \"10.2.0.7\"
public  = \"192.0.2.7\"
";

/// A lab in which B has two addresses of the private network, and the router routes the public network to B.
fn prepared() -> Result<Scenario> {
    let scenario = Scenario::new()?;
    scenario.file("cluster.toml", CLUSTER)?;
    for address in ["10.2.0.5/32", "10.2.0.6/32"] {
        scenario.lab.b.run(&["ip", "address", "add", address, "dev", "lo"])?;
    }
    let route = "ip route add 203.0.113.128/25 via 203.0.113.2";
    scenario.lab.router.run(&route.split(' ').collect::<Vec<_>>())?;
    Ok(scenario)
}

fn as_net(more: &[&str]) -> Vec<String> {
    ["--self", "net"].iter().chain(more).map(ToString::to_string).collect()
}

fn whole_network(more: &[&str]) -> Result<()> {
    let scenario = prepared()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    let before = [HostState::of(a)?, HostState::of(b)?];
    scenario.attach(a, more)?;
    let net = as_net(more);
    scenario.attach(b, &net.iter().map(String::as_str).collect::<Vec<_>>())?;
    let route = a.run(&["ip", "route", "show", "10.2.0.0/25"])?;
    ensure!(route.contains("via 198.51.100.1 dev eth0"), "{route}");
    ensure!(route.contains("src 10.0.0.1"), "{route}");
    for address in ["10.2.0.5", "10.2.0.6"] {
        require_answer(a, address)?;
        b.run(&["ping", "-n", "-c", "1", "-W", "10", "-I", address, "10.0.0.1"])?;
    }
    let stats = scenario.json(a, &["stats", "--json"])?;
    let peers = &stats["interfaces"][0]["peers"];
    assert_eq!(peers[0]["name"], "net");
    assert_eq!(peers[0]["egress"]["packets"], 6, "{stats}");
    scenario.require_healthy(a)?;
    for (host, before) in [a, b].into_iter().zip(&before) {
        scenario.detach(host)?;
        before.assert_unchanged(host, "after detach");
    }
    Ok(())
}

#[test]
fn all_hosts_of_a_network_are_reached() -> Result<()> {
    whole_network(NOTHING_MORE)
}

#[test]
fn all_hosts_of_a_network_are_reached_with_xdp() -> Result<()> {
    whole_network(XDP)
}

#[test]
fn an_address_of_its_own_has_an_entry_and_a_route_of_its_own() -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let listed = scenario.rewrite.run(host, &["peer", "list"])?;
    ensure!(listed.contains("net  10.2.0.0/25 at 203.0.113.128/25\n"), "{listed}");
    ensure!(listed.contains("within  10.2.0.7 at 192.0.2.7\n"), "{listed}");
    let route = host.run(&["ip", "route", "show", "10.2.0.7"])?;
    ensure!(route.contains("proto 114"), "{route}");
    let status = scenario.rewrite.run(host, &["status", "--json"])?;
    ensure!(status.contains("10.2.0.0/25 is routed through eth0"), "{status}");
    Ok(())
}

#[test]
fn a_network_that_is_on_the_interface_itself_takes_routes_of_the_operators() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let near = CLUSTER.replace("203.0.113.128/25", "198.51.100.128/25");
    let path = scenario.file("near.toml", near)?.display().to_string();
    let before = HostState::of(host)?;
    let words = ["attach", "eth0", "--config", &path];
    let ended = scenario.try_run(host, &words)?;
    ended.require(4, &["198.51.100.128/25", "network of eth0", "--no-routes"])?;
    before.assert_unchanged(host, "after a refused attach");
    scenario.rewrite.run(host, &[&words[..], &["--no-routes"]].concat())?;
    scenario.require_healthy(host)?;
    scenario.detach(host)?;
    before.assert_unchanged(host, "after detach");
    Ok(())
}

#[test]
fn a_network_that_the_host_has_a_route_to_is_in_the_way() -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    host.run(&["ip", "route", "add", "blackhole", "10.2.0.0/25"])?;
    let before = HostState::of(host)?;
    let ended = scenario.try_attach(host, NOTHING_MORE)?;
    ended.require(4, &["10.2.0.0/25", "rewrite did not set it", "ip route del 10.2.0.0/25"])?;
    before.assert_unchanged(host, "after a refused attach");
    Ok(())
}
