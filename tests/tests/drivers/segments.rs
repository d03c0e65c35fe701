//! Tests messages that the sender's kernel splits into many datagrams (UDP_SEGMENT).

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, ensure};
use testkit::lab::{Addresses, FAMILIES, Nic};
use testkit::udp_segment::{Message, SEGMENTS, send};

use crate::hosts::{Hosts, Offloads, all_of, next_port};

pub fn all_arrive(nic: Nic, offloads: Offloads) -> Result<()> {
    let hosts = Hosts::new(nic, offloads)?;
    let public = |family: &Addresses| [family.a_public, family.b_public];
    for family in &FAMILIES {
        if messages(&hosts, public(family)).context("without rewrite")? == Message::Refused {
            println!("skipped: this kernel sends no UDP_SEGMENT without checksum offload");
            return Ok(());
        }
    }
    for hook in [&[][..], &["--hook", "clsact"]] {
        hosts.attach_both(hook)?;
        let tried = FAMILIES
            .map(|family| messages(&hosts, [family.a_private, family.b_private]).map(|_| ()));
        hosts.require(all_of(tried)).with_context(|| format!("attach {hook:?}"))?;
        hosts.detach_both()?;
    }
    Ok(())
}

/// Sends one message each way, and requires that all its datagrams arrive. Returns early if the kernel refuses a
/// message.
fn messages(hosts: &Hosts, [a_address, b_address]: [IpAddr; 2]) -> Result<Message> {
    let (a, b) = (&hosts.lab.a, &hosts.lab.b);
    for (from, to, src, dst) in [(a, b, a_address, b_address), (b, a, b_address, a_address)] {
        match send(from, to, src, SocketAddr::new(dst, next_port()))? {
            Message::Refused => return Ok(Message::Refused),
            Message::Sent(arrived) => {
                ensure!(arrived == SEGMENTS, "{arrived} of {SEGMENTS} datagrams came to {dst}");
            }
        }
    }
    Ok(Message::Sent(SEGMENTS))
}
