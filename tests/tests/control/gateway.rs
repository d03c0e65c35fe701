//! Tests a gateway: one host forwards packets for the hosts behind it, which have the private addresses.

use anyhow::{Result, ensure};
use serde_json::json;
use testkit::netns::Namespace;

use crate::dual_stack::require_answer;
use crate::host_state::HostState;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP, wait_until_up};

const CLUSTER: &str = "\
[[member]]
name    = \"srva\"
private = \"10.0.0.1\"
public  = \"198.51.100.2\"

[[member]]
name    = \"srvb\"
private = \"10.0.0.2\"
public  = \"203.0.113.2\"

[[member]]
name    = \"srvc\"
private = \"10.0.0.3\"
public  = \"203.0.113.3\"
";
const BOTH: &[&str] = &["--self", "srvb", "--self", "srvc"];

/// A scenario with B as the gateway of the host `inside`, which has the private addresses of srvb and srvc.
struct Behind {
    scenario: Scenario,
    inside: Namespace,
}

impl Behind {
    fn new() -> Result<Self> {
        let scenario = Scenario::new()?;
        scenario.file("cluster.toml", CLUSTER)?;
        let b = &scenario.lab.b;
        let name = b.name().trim_end_matches('b').to_owned() + "c";
        let inside = Namespace::create(&name)?;
        b.run(&[
            "ip", "link", "add", "inside", "type", "veth", "peer", "name", "eth0", "netns", &name,
        ])?;
        let run = |host: &Namespace, words: &str| -> Result<()> {
            host.run(&words.split(' ').collect::<Vec<_>>()).map(drop)
        };
        run(b, "ip address add 203.0.113.3/24 dev eth0")?;
        run(b, "ip link set inside addrgenmode none up")?;
        run(b, "ip address add 192.168.7.1/24 dev inside")?;
        run(&inside, "ip link set eth0 addrgenmode none up")?;
        run(&inside, "ip address add 192.168.7.2/24 dev eth0")?;
        run(&inside, "ip route add default via 192.168.7.1")?;
        for private in ["10.0.0.2", "10.0.0.3"] {
            run(&inside, &format!("ip address add {private}/32 dev lo"))?;
            run(b, &format!("ip route add {private}/32 via 192.168.7.2 dev inside"))?;
        }
        wait_until_up(b, "inside")?;
        b.sysctl("net.ipv4.ip_forward", "1")?;
        b.sysctl("net.ipv4.conf.inside.rp_filter", "0")?;
        Ok(Self { scenario, inside })
    }
}

fn forwards_for_both(more: &[&str]) -> Result<()> {
    let Behind { scenario, inside } = &Behind::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    let before = HostState::of(b)?;
    scenario.attach(a, NOTHING_MORE)?;
    let said = scenario.attach(b, &[BOTH, more].concat())?;
    ensure!(said.contains("srvb, 10.0.0.2 as 203.0.113.2; srvc, 10.0.0.3"), "{said}");
    ensure!(!said.contains("on lo"), "the addresses are those of hosts behind it: {said}");
    let route = b.run(&["ip", "route", "show", "10.0.0.1"])?;
    ensure!(route.contains("via 203.0.113.1") && !route.contains("src"), "{route}");
    for private in ["10.0.0.2", "10.0.0.3"] {
        require_answer(a, private)?;
        inside.run(&["ping", "-n", "-c", "1", "-W", "10", "-I", private, "10.0.0.1"])?;
    }
    scenario.require_healthy(b)?;
    let status = scenario.json(b, &["status", "--json"])?;
    let interface = &status["interfaces"][0];
    assert_eq!(interface["gateway"], true);
    let names: Vec<_> = interface["local_members"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|own| &own["name"])
        .collect();
    assert_eq!(json!(names), json!(["srvb", "srvc"]));
    scenario.detach(b)?;
    before.assert_unchanged(b, "after detach");
    Ok(())
}

#[test]
fn a_gateway_forwards_for_the_hosts_behind_it() -> Result<()> {
    forwards_for_both(NOTHING_MORE)
}

#[test]
fn a_gateway_forwards_for_the_hosts_behind_it_with_clsact() -> Result<()> {
    forwards_for_both(CLSACT)
}

#[test]
fn a_gateway_forwards_for_the_hosts_behind_it_with_xdp() -> Result<()> {
    forwards_for_both(XDP)
}

#[test]
fn a_host_with_the_addresses_of_two_members_says_which_it_is() -> Result<()> {
    let Behind { scenario, .. } = &Behind::new()?;
    let b = &scenario.lab.b;
    let before = HostState::of(b)?;
    let ended = scenario.try_attach(b, NOTHING_MORE)?;
    ended.require(4, &["srvb, srvc", "--self srvb --self srvc", "gateway"])?;
    before.assert_unchanged(b, "after a refused attach");
    let all = [BOTH, &["--self", "srva"]].concat();
    scenario.try_attach(b, &all)?.require(4, &["no peer is left"])?;
    before.assert_unchanged(b, "after a refused attach");
    Ok(())
}

#[test]
fn from_one_self_to_a_gateway_and_back_without_a_detach() -> Result<()> {
    let Behind { scenario, .. } = &Behind::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    let run = |words: &str| b.run(&words.split(' ').collect::<Vec<_>>());
    let routes = |verb: &str| -> Result<()> {
        for private in ["10.0.0.2", "10.0.0.3"] {
            run(&format!("ip route {verb} {private}/32 via 192.168.7.2 dev inside"))?;
        }
        Ok(())
    };
    routes("delete")?;
    run("ip address delete 203.0.113.3/24 dev eth0")?;
    let before = HostState::of(b)?;
    scenario.attach(a, NOTHING_MORE)?;
    scenario.attach(b, NOTHING_MORE)?;
    require_answer(a, "10.0.0.2")?;

    run("ip address add 203.0.113.3/24 dev eth0")?;
    scenario.attach(b, BOTH)?;
    let addresses = b.run(&["ip", "address", "show", "dev", "lo"])?;
    ensure!(!addresses.contains("10.0.0.2"), "not its own any more: {addresses}");
    routes("add")?;
    require_answer(a, "10.0.0.2")?;
    require_answer(a, "10.0.0.3")?;

    routes("delete")?;
    run("ip address delete 203.0.113.3/24 dev eth0")?;
    scenario.attach(b, NOTHING_MORE)?;
    require_answer(a, "10.0.0.2")?;
    scenario.require_healthy(b)?;
    scenario.detach(b)?;
    before.assert_unchanged(b, "after detach");
    Ok(())
}

#[test]
fn forwarding_that_is_off_is_told() -> Result<()> {
    let Behind { scenario, .. } = &Behind::new()?;
    let b = &scenario.lab.b;
    b.sysctl("net.ipv4.ip_forward", "0")?;
    let path = scenario.path("cluster.toml");
    let said = scenario.rewrite.run(b, &[&["check", "--config", &path], BOTH].concat())?;
    let note = |line: &str| line.starts_with("note ") && line.contains("forwarding=1");
    ensure!(said.lines().any(note), "{said}");
    let attach = format!("rewrite attach --config {path} --self srvb --self srvc eth0");
    ensure!(said.contains(&attach), "{said}");
    scenario.attach(b, BOTH)?;
    let ended = scenario.try_run(b, &["status"])?;
    ended.require(1, &[])?;
    ensure!(ended.stdout.contains("does not forward"), "{ended:?}");
    b.sysctl("net.ipv4.ip_forward", "1")?;
    scenario.require_healthy(b)
}
