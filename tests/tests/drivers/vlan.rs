//! Tests the hosts' private network on a VLAN of the attached interface. The programs leave the VLAN's tagged frames
//! alone.

use anyhow::{Context, Result, ensure};
use testkit::capture::Capture;
use testkit::frame::private_addresses;
use testkit::lab::{IPV4, Nic, PUBLIC_INTERFACE, VLAN_SWITCH};

use crate::hosts::{Hosts, Offloads};

/// All traffic over the VLAN arrives unchanged, before an attach and after it.
pub fn is_left_alone(nic: Nic, offloads: Offloads) -> Result<()> {
    let hosts = Hosts::new(nic, offloads)?;
    hosts.lab.lay_vlan()?;
    all_arrives_as_it_is(&hosts).context("without rewrite")?;
    for host in [&hosts.lab.a, &hosts.lab.b] {
        // With --no-routes, the routes to the private addresses still lead to the VLAN.
        hosts.attach(host, &["--no-routes"])?;
        all_arrives_as_it_is(&hosts).with_context(|| format!("{} is attached", host.name()))?;
    }
    Ok(())
}

/// Like [`is_left_alone`], but at XDP, which sees the tags that the interface leaves in the frames.
pub fn is_left_alone_at_xdp(nic: Nic) -> Result<()> {
    const WORDS: &[&str] = &["--no-routes", "--ingress", "xdp-generic"];
    let hosts = Hosts::new(nic, Offloads::OfTheDriver)?;
    hosts.lab.lay_vlan()?;
    for host in [&hosts.lab.a, &hosts.lab.b] {
        let features = host.run(&["ethtool", "-k", PUBLIC_INTERFACE])?;
        if features.contains("rx-vlan-offload: on") {
            let refused = hosts.attach(host, WORDS).err().context("tags that nobody sees")?;
            let said = format!("{refused:#}");
            ensure!(said.contains("eth0 removes VLAN tags before an XDP program"), "{said}");
            host.run(&["ethtool", "-K", PUBLIC_INTERFACE, "rxvlan", "off"])?;
        }
        hosts.attach(host, WORDS)?;
        all_arrives_as_it_is(&hosts).with_context(|| format!("{} is attached", host.name()))?;
    }
    Ok(())
}

/// Requires that all traffic over the VLAN arrives, and that every address on the VLAN is private.
fn all_arrives_as_it_is(hosts: &Hosts) -> Result<()> {
    let capture = Capture::start_headers(&hosts.lab.router, VLAN_SWITCH, "tcp or udp or icmp")?;
    let tried = hosts.talk([IPV4.a_private, IPV4.b_private]);
    let frames = capture.stop()?;
    hosts.require(tried)?;
    let private = private_addresses(&frames).len();
    // A source and a destination for each frame.
    let all = 2 * frames.len();
    ensure!(private > 0 && private == all, "of {all} addresses on the VLAN {private} are private");
    Ok(())
}
