//! Tests tunnels over UDP between the private addresses, with outer headers of either family. First, with nothing
//! attached, the tunnels run between the public addresses: the devices must carry them without `rewrite`.

use anyhow::{Context, Result};
use testkit::lab::{FAMILIES, Nic};
use testkit::udp_tunnel::{INNER, Kind, Outer, dig, fill};

use crate::hosts::{Hosts, Offloads, all_of};

pub fn arrive(nic: Nic, offloads: Offloads, kind: Kind, outer: Outer) -> Result<()> {
    let hosts = Hosts::new(nic, offloads)?;
    let ends = [&hosts.lab.a, &hosts.lab.b];
    let talk = |addresses| {
        dig(kind, outer, ends, addresses).context("make the tunnel")?;
        let talked = hosts.talk(INNER);
        fill(ends)?;
        talked
    };
    let plain = FAMILIES.map(|family| talk([family.a_public, family.b_public]));
    hosts.require(all_of(plain)).context("without rewrite")?;
    hosts.attach_both(&[])?;
    let rewritten = FAMILIES.map(|family| {
        talk([family.a_private, family.b_private])
            .with_context(|| format!("to {}", family.b_private))
    });
    hosts.require(all_of(rewritten))
}
