//! Attach and detach leave the operator's own routes alone.

use anyhow::Result;

use crate::host_state::HostState;
use crate::scenario::{NOTHING_MORE, Scenario};

#[test]
fn a_right_route_of_the_operators_own_stays_after_detach() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    host.run(&["ip", "address", "add", "10.0.0.1/32", "dev", "lo"])?;
    let words = "ip route add 10.0.0.2/32 via 198.51.100.1 dev eth0 src 10.0.0.1";
    host.run(&words.split(' ').collect::<Vec<_>>())?;
    let before = HostState::of(host)?;
    scenario.attach(host, NOTHING_MORE)?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    scenario.attach(host, NOTHING_MORE)?;
    scenario.require_healthy(host)?;
    scenario.require_traffic()?;
    scenario.detach(host)?;
    before.assert_unchanged(host, "after detach");
    Ok(())
}

#[test]
fn a_route_of_another_metric_or_table_is_not_in_the_way_and_stays() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    for words in [
        "ip route add 10.0.0.2/32 via 198.51.100.1 dev eth0 metric 50",
        "ip route add 10.0.0.2/32 via 198.51.100.1 dev eth0 table 77",
        "ip route add blackhole 10.0.0.0/24",
    ] {
        host.run(&words.split(' ').collect::<Vec<_>>())?;
    }
    let before = HostState::of(host)?;
    scenario.attach_both(NOTHING_MORE)?;
    scenario.require_traffic()?;
    scenario.detach(host)?;
    before.assert_unchanged(host, "after detach");
    Ok(())
}

#[test]
fn a_route_of_the_operators_own_is_not_taken_for_ours_by_its_look() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let words = "ip route add 10.0.0.77/32 via 198.51.100.1 dev eth0 src 10.0.0.1";
    host.run(&words.split(' ').collect::<Vec<_>>())?;
    scenario.attach(host, NOTHING_MORE)?;
    let routes = host.run(&["ip", "route", "show", "10.0.0.77"])?;
    assert!(routes.contains("via 198.51.100.1"), "{routes}");
    Ok(())
}
