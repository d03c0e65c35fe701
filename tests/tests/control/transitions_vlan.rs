//! Hosts switch from a direct network on a VLAN of the attached interface to rewrite, and back to the VLAN, while a
//! connection is open and numbered datagrams flow.
//!
//! The tests need tcx: adding or removing clsact makes the kernel drop the interface's outgoing packets for some
//! milliseconds (net/sched/sch_api.c, qdisc_graft, which calls dev_deactivate). The tests leave vmxnet3 out: the
//! emulated card loses datagrams in bursts, for an unknown reason.

use anyhow::{Result, ensure};
use testkit::lab::{LabOptions, Nic, VLAN_INTERFACE};
use testkit::netns::Namespace;

use crate::open_traffic::OpenTraffic;
use crate::scenario::{NOTHING_MORE, Scenario};

#[test]
#[ignore = "takes the module 8021q: cargo xtask vm --drivers"]
fn from_a_vlan_to_rewrite_and_back_to_the_vlan() -> Result<()> {
    there_and_back(LabOptions::default())
}

#[test]
#[ignore = "takes an emulated network interface: cargo xtask vm --drivers"]
fn from_a_vlan_to_rewrite_and_back_to_the_vlan_on_e1000e() -> Result<()> {
    there_and_back(LabOptions { nic: Some(Nic::E1000e), ..LabOptions::default() })
}

#[test]
#[ignore = "takes an emulated network interface: cargo xtask vm --drivers"]
fn from_a_vlan_to_rewrite_and_back_to_the_vlan_on_virtio() -> Result<()> {
    there_and_back(LabOptions { nic: Some(Nic::VirtioMerging), ..LabOptions::default() })
}

/// Both hosts accept rewritten packets before either host sends any, as in the cable's test (`transitions.rs`).
fn there_and_back(options: LabOptions) -> Result<()> {
    let scenario = Scenario::with(options)?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.lab.lay_vlan()?;
    scenario.require_traffic()?;
    let traffic = OpenTraffic::start(&scenario)?;
    for hosts in [[a, b], [b, a]] {
        for host in hosts {
            scenario.attach(host, &["--no-routes"])?;
            traffic.require_progress(&format!("attach --no-routes on {}", host.name()))?;
            require_way(host, VLAN_INTERFACE)?;
        }
        for host in hosts {
            scenario.attach(host, NOTHING_MORE)?;
            traffic.require_progress(&format!("attach on {}", host.name()))?;
            require_way(host, "eth0")?;
        }
        for host in hosts {
            scenario.attach(host, &["--no-routes"])?;
            traffic.require_progress(&format!("the routes went from {}", host.name()))?;
            require_way(host, VLAN_INTERFACE)?;
        }
        for host in hosts {
            scenario.detach(host)?;
            traffic.require_progress(&format!("detach on {}", host.name()))?;
        }
    }
    traffic.require_unharmed()
}

/// Requires that packets to the peer leave through `interface`.
fn require_way(host: &Namespace, interface: &str) -> Result<()> {
    let peer = if host.name().ends_with("-a") { "10.0.0.2" } else { "10.0.0.1" };
    let route = host.run(&["ip", "route", "get", peer])?;
    ensure!(route.contains(&format!("dev {interface} ")), "not by {interface}: {route}");
    Ok(())
}
