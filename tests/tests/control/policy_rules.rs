//! Tests policy rules that make the kernel use a routing table other than `main`.

use anyhow::{Result, ensure};
use testkit::lab::FAMILIES;
use testkit::netns::Namespace;

use crate::host_state::HostState;
use crate::scenario::{NOTHING_MORE, Scenario, wait_until_up};
use crate::status::wrong;

fn run(host: &Namespace, commands: &[&str]) -> Result<()> {
    for command in commands {
        host.run(&command.split(' ').collect::<Vec<_>>())?;
    }
    Ok(())
}

/// A lab in which A also has a mesh VPN's interface `mesh0`, which leads nowhere.
fn beside_a_mesh() -> Result<Scenario> {
    let scenario = Scenario::new()?;
    scenario.file("cluster.toml", scenario.lab.cluster_toml_of(&FAMILIES))?;
    run(
        &scenario.lab.a,
        &[
            "ip link add mesh0 type veth peer name mesh1",
            "ip link set mesh0 addrgenmode none up",
            "ip link set mesh1 addrgenmode none up",
        ],
    )?;
    for interface in ["mesh0", "mesh1"] {
        wait_until_up(&scenario.lab.a, interface)?;
    }
    Ok(scenario)
}

/// Requires that the messages of `check` and `attach` about the rules contain `words`, and that both commands change
/// nothing. Then requires that `status` reports rules added after an attach, and that `remedy` repairs the host.
fn found_and_put_right(rules: &[&str], words: &[&str], remedy: &str, off: &[&str]) -> Result<()> {
    let scenario = beside_a_mesh()?;
    let host = &scenario.lab.a;
    run(host, rules)?;
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    scenario.try_attach(host, NOTHING_MORE)?.require(4, &[words, &[remedy]].concat())?;
    let ended = scenario.try_run(host, &["check", "--config", &path])?;
    ended.require(4, &[])?;
    ensure!(words.iter().all(|word| ended.stdout.contains(word)), "{ended:?}");
    before.assert_unchanged(host, "after a refused attach");

    run(host, off)?;
    scenario.attach_both(NOTHING_MORE)?;
    scenario.require_healthy(host)?;
    run(host, rules)?;
    wrong(&scenario, host, words[0])?;
    run(host, &[remedy])?;
    scenario.require_healthy(host)?;
    scenario.attach(host, NOTHING_MORE)?;
    scenario.require_traffic()
}

#[test]
fn a_rule_of_a_mesh_vpn_for_all_private_addresses_is_found() -> Result<()> {
    found_and_put_right(
        &["ip route add 10.0.0.0/8 dev mesh0 table 52", "ip rule add pref 5270 lookup 52"],
        &["rule of priority 5270", "table 52, where 10.0.0.0/8 leads to mesh0"],
        "ip rule add pref 5269 to 10.0.0.2/32 lookup main",
        &["ip rule delete pref 5270", "ip route flush table 52"],
    )
}

#[test]
fn a_rule_for_the_private_source_is_found() -> Result<()> {
    found_and_put_right(
        &[
            "ip route add default dev mesh0 table 77",
            "ip rule add pref 100 from 10.0.0.1 lookup 77",
        ],
        &["rule of priority 100", "packets from 10.0.0.1 to 10.0.0.2"],
        "ip rule add pref 99 to 10.0.0.2/32 lookup main",
        &["ip rule delete pref 100", "ip route flush table 77"],
    )
}

#[test]
fn a_rule_for_private_addresses_of_ipv6_is_found() -> Result<()> {
    found_and_put_right(
        &["ip -6 route add fd00::/8 dev mesh0 table 52", "ip -6 rule add pref 5270 lookup 52"],
        &["rule of priority 5270 (ip -6 rule)", "table 52, where fd00::/8 leads to mesh0"],
        "ip -6 rule add pref 5269 to fd00::2/128 lookup main",
        &["ip -6 rule delete pref 5270", "ip -6 route flush table 52"],
    )
}

/// The rule selects packets by user ID. The kernel's route lookup shows the rule's effect; the rules and tables alone
/// do not.
#[test]
fn the_kernel_has_the_last_word() -> Result<()> {
    let scenario = beside_a_mesh()?;
    let host = &scenario.lab.a;
    run(host, &["ip route add 10.0.0.0/8 dev mesh0 table 52"])?;
    let rule = "ip rule add pref 100 uidrange 0-0 lookup 52";
    run(host, &[rule])?;
    let before = HostState::of(host)?;
    let words = "packets from 10.0.0.1 to 10.0.0.2 leave through mesh0";
    scenario.try_attach(host, NOTHING_MORE)?.require(4, &[words, "ip rule"])?;
    before.assert_unchanged(host, "after a refused attach");
    run(host, &["ip rule delete pref 100"])?;
    scenario.attach_both(NOTHING_MORE)?;
    scenario.require_healthy(host)?;
    run(host, &[rule])?;
    wrong(&scenario, host, words)
}

/// Attach follows policy routing by source address, as on hosts with two uplinks.
#[test]
fn the_way_of_packets_from_the_underlay_address_is_taken() -> Result<()> {
    let scenario = beside_a_mesh()?;
    let host = &scenario.lab.a;
    run(
        host,
        &[
            "ip route replace default dev mesh0",
            "ip rule add pref 100 from 198.51.100.2 lookup 100",
            // Only table 100 has a route to the gateway's network.
            "ip route add 198.51.100.0/24 dev eth0 scope link table 100",
            "ip route add default via 198.51.100.1 dev eth0 table 100",
            "ip route delete 198.51.100.0/24 dev eth0",
        ],
    )?;
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    scenario.rewrite.run(host, &["check", "--config", &path])?;
    scenario.attach_both(NOTHING_MORE)?;
    scenario.require_healthy(host)?;
    scenario.require_traffic()?;
    scenario.detach(host)?;
    before.assert_unchanged(host, "after detach");
    Ok(())
}
