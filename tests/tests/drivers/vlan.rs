//! A direct network that comes back as a VLAN on the interface that is attached: frames with a tag are
//! left alone.

use anyhow::{Context, Result, ensure};
use tests::capture::Capture;
use tests::frame::private_addresses;
use tests::lab::{IPV4, Nic, VLAN_SWITCH};

use crate::hosts::{Hosts, Offloads};

pub fn is_left_alone(nic: Nic, offloads: Offloads) -> Result<()> {
    let hosts = Hosts::new(nic, offloads)?;
    hosts.lab.lay_vlan()?;
    all_arrives_as_it_is(&hosts).context("without rewrite")?;
    for host in [&hosts.lab.a, &hosts.lab.b] {
        // The routes still lead to the VLAN.
        hosts.attach(host, &["--no-routes"])?;
        all_arrives_as_it_is(&hosts).with_context(|| format!("{} is attached", host.name()))?;
    }
    Ok(())
}

/// What is said over the VLAN arrives, and has private addresses on the way.
fn all_arrives_as_it_is(hosts: &Hosts) -> Result<()> {
    let capture = Capture::start_headers(&hosts.lab.router, VLAN_SWITCH, "tcp or udp or icmp")?;
    let tried = hosts.talk([IPV4.a_private, IPV4.b_private]);
    let frames = capture.stop()?;
    hosts.require(tried)?;
    let private = private_addresses(&frames).len();
    // Source and destination of each.
    let all = 2 * frames.len();
    ensure!(private > 0 && private == all, "of {all} addresses on the VLAN {private} are private");
    Ok(())
}
