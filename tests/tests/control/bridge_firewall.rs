//! Tests a bridge as the attached interface: `check` and `status` report that the kernel passes the bridge's packets to
//! a stateful firewall.

use anyhow::{Result, ensure};
use testkit::lab::B_PRIVATE;
use testkit::traffic::ping_with;

use crate::scenario::{NOTHING_MORE, Scenario, wait_until_up};
use crate::status::wrong;

const SWITCH: &str = "net.bridge.bridge-nf-call-iptables";

#[test]
fn a_bridge_whose_packets_go_to_a_firewall_first_is_found() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let run = |words: &str| host.run(&words.split(' ').collect::<Vec<_>>());
    for words in [
        "ip link add br0 type bridge forward_delay 0",
        "ip link set br0 addrgenmode none",
        "ip link set eth0 master br0",
        "ip link set br0 up",
        "ip address delete 198.51.100.2/24 dev eth0",
        "ip address add 198.51.100.2/24 dev br0",
        "ip route add default via 198.51.100.1",
        "nft add table inet firewall",
        "nft add chain inet firewall input { type filter hook input priority 0 ; policy drop ; }",
        "nft add rule inet firewall input iif lo accept",
        "nft add rule inet firewall input ct state established,related accept",
    ] {
        run(words)?;
    }
    wait_until_up(host, "br0")?;
    if !host.has_sysctl(SWITCH)? {
        eprintln!("not tried: this kernel has no br_netfilter");
        return Ok(());
    }
    host.sysctl(SWITCH, "1")?;
    host.sysctl("net.bridge.bridge-nf-call-ip6tables", "0")?;
    let path = scenario.path("cluster.toml");
    let ended = scenario.try_run(host, &["check", "--config", &path])?;
    ended.require(0, &[])?;
    let remedy = format!("sysctl -w {SWITCH}=0");
    let said = "the bridge br0 passes IPv4 packets to netfilter";
    ensure!(ended.stdout.contains(said) && ended.stdout.contains(&remedy), "{ended:?}");
    scenario.rewrite.run(host, &["attach", "br0", "--config", &path])?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let report = ping_with(host, &["-W", "1"], B_PRIVATE, 1, 56)?;
    assert_eq!(report.returned, 0, "the firewall lets the answer through");
    wrong(&scenario, host, said)?;

    host.sysctl(SWITCH, "0")?;
    scenario.require_healthy(host)?;
    let report = ping_with(host, &["-W", "10"], B_PRIVATE, 2, 56)?;
    ensure!(report.returned == report.sent, "{report:?}");
    Ok(())
}
