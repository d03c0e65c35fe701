//! `rewrite run` follows the host's interfaces, addresses and routes.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::lab::{PUBLIC_INTERFACE, ROUTER_A};
use testkit::netns::Namespace;
use testkit::wait::wait_until;

use crate::daemon::Daemon;
use crate::recreated::make_eth0;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};

const PATIENCE: Duration = Duration::from_secs(20);
/// The time limit for the repair of a sysctl, even on a busy host. The daemon polls the sysctls every half second,
/// waits for 200 ms without another change, and attaches. Its periodic check after 30 s would come too late.
const NOTICED: Duration = Duration::from_secs(10);

fn ip(host: &Namespace, words: &str) -> Result<String> {
    host.run(&[&["ip"], &words.split(' ').collect::<Vec<_>>()[..]].concat())
}

/// Waits until `ip` with these words prints `wanted`.
fn wait_until_ip(host: &Namespace, words: &str, wanted: &str) -> Result<()> {
    wait_until(&format!("{wanted:?} in ip {words}"), PATIENCE, || {
        Ok(ip(host, words)?.contains(wanted).then_some(()))
    })
}

#[test]
fn the_peers_follow_a_new_default_gateway() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    ip(&scenario.lab.router, &format!("address add 198.51.100.9/24 dev {ROUTER_A}"))?;
    ip(host, "route replace default via 198.51.100.9")?;
    wait_until_ip(host, "route show proto 114", "10.0.0.2 via 198.51.100.9")?;
    daemon.wait_for("STATUS=eth0 matches")?;
    scenario.require_traffic()?;
    scenario.require_healthy(host)?;
    daemon.require_attaches(2)
}

fn interface_comes_back(hook: &[&str], index: &str) -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, hook)?;
    let daemon = Daemon::ready(&scenario, host, hook)?;
    for _ in 0..2 {
        ip(host, "link delete eth0")?;
        daemon.wait_for("STATUS=not attached, waiting: there is no interface eth0")?;
        make_eth0(&scenario.lab, index)?;
        daemon.wait_for("STATUS=eth0 matches")?;
        scenario.require_healthy(host)?;
        scenario.require_traffic()?;
    }
    daemon.require_attaches(3)
}

#[test]
fn an_interface_that_comes_back_is_attached_anew() -> Result<()> {
    interface_comes_back(NOTHING_MORE, "")
}

#[test]
fn an_interface_that_comes_back_with_the_same_index_is_attached_anew() -> Result<()> {
    interface_comes_back(NOTHING_MORE, " index 77")
}

#[test]
fn an_interface_that_comes_back_is_attached_anew_by_clsact() -> Result<()> {
    interface_comes_back(CLSACT, "")
}

#[test]
fn an_interface_that_comes_back_is_attached_anew_with_xdp() -> Result<()> {
    interface_comes_back(XDP, "")
}

#[test]
fn without_its_underlay_address_it_says_so_and_goes_on_when_it_is_back() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    ip(host, "address del 198.51.100.2/24 dev eth0")?;
    let notices = daemon.wait_for(
        "STATUS=attached, but no packet gets through, this host no longer has 198.51.100.2: this host is not a member",
    )?;
    ensure!(notices.last().is_some_and(|line| line.contains("198.51.100.2")), "{notices:?}");
    // Add an address that the file does not contain.
    ip(host, "address add 198.51.100.77/24 dev eth0")?;
    daemon.wait_for("198.51.100.77")?;
    ip(host, "address del 198.51.100.77/24 dev eth0")?;
    ip(host, "address add 198.51.100.2/24 dev eth0")?;
    ip(host, "route add default via 198.51.100.1")?;
    daemon.wait_for("STATUS=eth0 matches")?;
    scenario.require_healthy(host)?;
    scenario.require_traffic()?;
    daemon.terminate()?;
    Ok(())
}

#[test]
fn what_somebody_takes_away_is_put_back() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    let route = "10.0.0.2 via 198.51.100.1";
    ip(host, &format!("route del {}", "10.0.0.2"))?;
    wait_until_ip(host, "route show proto 114", route)?;
    daemon.wait_for("STATUS=eth0 matches")?;
    // The kernel also removes the routes with this source address.
    ip(host, "address del 10.0.0.1/32 dev lo")?;
    wait_until_ip(host, "address show dev lo", "10.0.0.1/32")?;
    wait_until_ip(host, "route show proto 114", route)?;
    daemon.wait_for("STATUS=eth0 matches")?;
    scenario.require_traffic()?;
    daemon.require_attaches(3)
}

#[test]
fn a_filter_that_somebody_removes_is_put_back() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let daemon = Daemon::ready(&scenario, host, CLSACT)?;
    host.run(&["tc", "qdisc", "del", "dev", PUBLIC_INTERFACE, "clsact"])?;
    daemon.wait_for("STATUS=eth0 matches")?;
    scenario.require_healthy(host)?;
    scenario.require_traffic()?;
    daemon.require_attaches(2)
}

#[test]
fn what_does_not_concern_it_changes_nothing() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    for words in [
        "link add other type veth peer name end",
        "link set other up",
        "address add 192.168.7.1/24 dev other",
        "route add 192.168.8.0/24 via 198.51.100.1",
        "-6 route add fd77::/64 dev lo",
        "rule add to 192.168.9.0/24 lookup main",
        "route del 192.168.8.0/24",
        "link delete other",
    ] {
        daemon.forget()?;
        ip(host, words)?;
        // Wait until the daemon has checked the host again.
        daemon.wait_for("STATUS=eth0 matches")?;
    }
    scenario.require_traffic()?;
    daemon.require_attaches(1)
}

#[test]
fn a_sysctl_that_somebody_sets_back_is_set_again_soon() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    for sysctl in ["arp_announce", "arp_ignore"] {
        let key = format!("net.ipv4.conf.{PUBLIC_INTERFACE}.{sysctl}");
        host.sysctl(&key, "0")?;
        wait_until(&format!("{sysctl} to be set again"), NOTICED, || {
            Ok((host.run(&["sysctl", "-n", &key])?.trim() != "0").then_some(()))
        })?;
        daemon.reload()?;
    }
    daemon.require_attaches(3)
}

#[test]
fn a_short_loss_of_the_address_is_not_logged() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    ip(host, "address del 198.51.100.2/24 dev eth0")?;
    daemon.wait_for("STATUS=attached, but no packet gets through")?;
    ip(host, "address add 198.51.100.2/24 dev eth0")?;
    ip(host, "route add default via 198.51.100.1")?;
    daemon.wait_for("STATUS=eth0 matches")?;
    scenario.require_traffic()?;
    let (status, lines) = daemon.terminate()?;
    ensure!(status.success(), "{status}");
    let loud = |line: &&String| line.contains("ERROR") || line.contains("WARN");
    ensure!(!lines.iter().any(|line| loud(&line)), "{lines:#?}");
    Ok(())
}

#[test]
fn a_route_that_went_again_and_again_is_back_soon_after_the_last_time() -> Result<()> {
    const FIGHT: Duration = Duration::from_secs(9);
    /// The route must return within this time. After four failures, the daemon's next scheduled retry comes 8 s later.
    const SOON: Duration = Duration::from_secs(5);
    const EVENT: Duration = Duration::from_millis(700);
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    let is_there = || anyhow::Ok(ip(host, "route show proto 114")?.contains("10.0.0.2"));
    let started = Instant::now();
    while started.elapsed() < FIGHT {
        if is_there()? {
            ip(host, "route del 10.0.0.2")?;
        }
    }
    let last = Instant::now();
    // Change addresses repeatedly, like a network manager.
    while !is_there()? {
        ensure!(
            last.elapsed() < SOON,
            "it is not back after {:?}; the daemon said {:#?}",
            last.elapsed(),
            daemon.process().unread()
        );
        ip(host, "address add 192.0.2.77/32 dev eth0")?;
        ip(host, "address del 192.0.2.77/32 dev eth0")?;
        let event = Instant::now();
        while event.elapsed() < EVENT && !is_there()? {}
    }
    println!("back after {:?}", last.elapsed());
    daemon.wait_for("STATUS=eth0 matches")?;
    scenario.require_traffic()
}
