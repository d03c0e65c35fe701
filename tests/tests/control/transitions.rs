//! Hosts switch from a direct cable or iptables NAT to rewrite, or from one version of rewrite to a different version,
//! while connections are open and numbered datagrams flow: no packet is lost and no connection is reset.

use anyhow::{Context, Result, ensure};
use testkit::iptables_trick::{Host, Untracked, remove_rules, set_up, untrack};
use testkit::lab::{IPV4, LabOptions};
use testkit::netns::Namespace;

use crate::bpffs::{ATTACHMENT_VERSION, set_attachment_byte};
use crate::conversation::Conversation;
use crate::open_traffic::OpenTraffic;
use crate::scenario::{NOTHING_MORE, Scenario};

/// Both hosts accept rewritten packets before either host sends any: the first attach uses --no-routes, and the second
/// attach adds the routes. For the return to the cable, the routes are removed before the programs.
#[test]
fn from_the_direct_cable_to_rewrite_and_back_to_the_cable() -> Result<()> {
    let scenario = Scenario::with(LabOptions { cable: true, ..LabOptions::default() })?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    let traffic = OpenTraffic::start(&scenario)?;
    for round in 0..3 {
        let hosts = if round % 2 == 0 { [a, b] } else { [b, a] };
        for more in [&["--no-routes"][..], NOTHING_MORE] {
            for host in hosts {
                scenario.attach(host, more)?;
                traffic.require_progress(&format!("attach {more:?} on {}", host.name()))?;
            }
        }
        for host in [a, b] {
            scenario.require_healthy(host)?;
            let peer = if host.name() == a.name() { "10.0.0.2" } else { "10.0.0.1" };
            let route = host.run(&["ip", "route", "get", peer])?;
            ensure!(route.contains("dev eth0"), "it still goes by the cable: {route}");
        }
        for host in hosts {
            scenario.attach(host, &["--no-routes"])?;
            traffic.require_progress(&format!("the routes went from {}", host.name()))?;
        }
        for host in hosts {
            scenario.detach(host)?;
            traffic.require_progress(&format!("detach on {}", host.name()))?;
        }
    }
    traffic.require_unharmed()
}

/// conntrack would keep translating its known flows, and refuse flows translated by rewrite as duplicates. So on each
/// host, the test exempts incoming packets from conntrack before the attach, and outgoing packets after it.
#[test]
fn from_the_iptables_trick_to_rewrite() -> Result<()> {
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    let on_a = Host { private: IPV4.a_private, public: IPV4.a_public, gateway: IPV4.router_a };
    let on_b = Host { private: IPV4.b_private, public: IPV4.b_public, gateway: IPV4.router_b };
    set_up(a, &on_a, &on_b)?;
    set_up(b, &on_b, &on_a)?;
    let traffic = OpenTraffic::start(&scenario)?;
    for (host, own, peer) in [(a, &on_a, &on_b), (b, &on_b, &on_a)] {
        untrack(host, own, peer, Untracked::Arriving)?;
        scenario.attach(host, NOTHING_MORE)?;
        traffic.require_progress("attach")?;
        untrack(host, own, peer, Untracked::Leaving)?;
        traffic.require_progress("passing over")?;
        remove_rules(host, own, peer)?;
        traffic.require_progress("the rules went")?;
        scenario.require_healthy(host)?;
    }
    traffic.require_unharmed()
}

/// Writes `version` into the record, as if an older or newer rewrite had attached. The maps keep their shape.
fn pretend(scenario: &Scenario, host: &Namespace, version: &str) -> Result<()> {
    let record = scenario.pin(host, "attachment")?;
    for (place, byte) in version.bytes().enumerate() {
        set_attachment_byte(&record, ATTACHMENT_VERSION + place, byte)?;
    }
    Ok(())
}

#[test]
fn an_upgrade_and_a_downgrade_keep_counters_and_remembered_flows() -> Result<()> {
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.attach_both(NOTHING_MORE)?;
    // The programs have inserted this flow between public addresses.
    let public = Conversation::start_at_any(a, b, IPV4.a_public, IPV4.b_public)?;
    let traffic = OpenTraffic::start(&scenario)?;
    let attached_by = |host| -> Result<(String, u64)> {
        let status = scenario.json(host, &["status", "--json"])?;
        let stats = scenario.json(host, &["stats", "--json"])?;
        let by = status["interfaces"][0]["attached_by"].as_str().context("no version")?.to_owned();
        let packets = stats["interfaces"][0]["peers"][0]["egress"]["packets"].as_u64();
        Ok((by, packets.context("no counter")?))
    };
    let mut counted = 0;
    for _ in 0..5 {
        for version in ["0.0.9", "9.9.9"] {
            for host in [a, b] {
                pretend(&scenario, host, version)?;
                assert_eq!(attached_by(host)?.0, version);
                scenario.attach(host, NOTHING_MORE)?;
                assert_eq!(attached_by(host)?.0, env!("CARGO_PKG_VERSION"));
                traffic.require_progress(version)?;
                public.require_progress()?;
            }
            let (_, packets) = attached_by(a)?;
            ensure!(packets > counted, "the counters began anew: {packets} after {counted}");
            counted = packets;
        }
    }
    public.require_unharmed()?;
    traffic.require_unharmed()
}
