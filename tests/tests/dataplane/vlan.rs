//! Tests frames with VLAN tags, which belong to a different network. The programs leave tagged frames alone unless
//! `attach --vlan` includes their tags.

use std::net::IpAddr;

use anyhow::{Context, Result};
use etherparse::{PacketBuilder, VlanId};
use testkit::capture::Capture;
use testkit::lab::{Addresses, FAMILIES, LabOptions, PUBLIC_INTERFACE, ROUTER_A, ROUTER_B};
use testkit::raw_link::RawLink;

use crate::cluster::Cluster;

/// The sender's hardware address, which no interface of a lab has.
const HARDWARE: [u8; 6] = [2; 6];
const FROM_THERE: &str = "ether src 02:02:02:02:02:02";
const TAGS: usize = 3;

/// A UDP datagram after `tags` tags, with correct checksums.
fn datagram(tags: usize, source: IpAddr, destination: IpAddr) -> Result<Vec<u8>> {
    let link = PacketBuilder::ethernet2(HARDWARE, [4; 6]);
    let ip = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => etherparse::IpHeaders::Ipv4(
            etherparse::Ipv4Header {
                time_to_live: 64,
                source: source.octets(),
                destination: destination.octets(),
                ..Default::default()
            },
            Default::default(),
        ),
        (IpAddr::V6(source), IpAddr::V6(destination)) => etherparse::IpHeaders::Ipv6(
            etherparse::Ipv6Header {
                hop_limit: 64,
                source: source.octets(),
                destination: destination.octets(),
                ..Default::default()
            },
            Default::default(),
        ),
        _ => anyhow::bail!("{source} and {destination} are of two families"),
    };
    let [outer, inner] = [VlanId::try_new(7)?, VlanId::try_new(4000)?];
    let packet = match tags {
        0 => link.ip(ip),
        1 => link.single_vlan(outer).ip(ip),
        _ => link.double_vlan(outer, inner).ip(ip),
    };
    let mut bytes = Vec::new();
    packet.udp(1000, 2000).write(&mut bytes, b"behind tags").context("build a frame")?;
    Ok(bytes)
}

/// One datagram for each family and number of tags.
fn datagrams(
    source: fn(&Addresses) -> IpAddr,
    destination: fn(&Addresses) -> IpAddr,
) -> Result<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    for family in &FAMILIES {
        for tags in 0..TAGS {
            frames.push(datagram(tags, source(family), destination(family))?);
        }
    }
    Ok(frames)
}

/// The options of an attach, and the kinds of frames: no tag, tag 7, and tag 4000 inside tag 7. The value of a kind is
/// true if the attach handles the kind.
const HANDLED: [(&[&str], [bool; TAGS]); 3] = [
    (&[], [true, false, false]),
    (&["--vlan", "any"], [true, true, true]),
    (&["--vlan", "7"], [false, true, false]),
];

/// The frames `before`, with each handled frame replaced by its counterpart in `after`.
fn expected(handled: [bool; TAGS], before: &[Vec<u8>], after: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let handled = handled.into_iter().cycle();
    let frames = before.iter().zip(after).zip(handled);
    frames
        .map(|((before, after), handled)| (if handled { after } else { before }).clone())
        .collect()
}

fn private() -> Result<Vec<Vec<u8>>> {
    datagrams(|family| family.a_private, |family| family.b_private)
}

fn public() -> Result<Vec<Vec<u8>>> {
    datagrams(|family| family.a_public, |family| family.b_public)
}

#[test]
fn tagged_frames_are_rewritten_on_the_way_out_where_asked_for() -> Result<()> {
    let cluster = Cluster::new(&FAMILIES, LabOptions::default())?;
    let lab = &cluster.lab;
    for (words, handled) in HANDLED {
        cluster.attach(&lab.a, words)?;
        let capture = Capture::start(&lab.router, ROUTER_A, FROM_THERE)?;
        let link = RawLink::open(&lab.a, PUBLIC_INTERFACE)?;
        for frame in private()? {
            link.send(&frame)?;
        }
        let sent: Vec<_> = capture.stop()?.into_iter().map(|frame| frame.bytes).collect();
        assert_eq!(sent, expected(handled, &private()?, &public()?), "{words:?}");
    }
    assert_eq!(cluster.stats(&lab.a)?.not_rewritten(), []);
    Ok(())
}

/// XDP runs before the capture, so the capture shows the rewritten frames.
#[test]
fn tagged_frames_are_rewritten_on_the_way_in_by_xdp_where_asked_for() -> Result<()> {
    let cluster = Cluster::new(&FAMILIES, LabOptions::default())?;
    let lab = &cluster.lab;
    for (words, handled) in HANDLED {
        cluster.attach(&lab.b, &[&["--ingress", "xdp"], words].concat())?;
        let capture = Capture::start(&lab.b, PUBLIC_INTERFACE, FROM_THERE)?;
        let link = RawLink::open(&lab.router, ROUTER_B)?;
        for frame in public()? {
            link.send(&frame)?;
        }
        let arrived: Vec<_> = capture.stop()?.into_iter().map(|frame| frame.bytes).collect();
        assert_eq!(arrived, expected(handled, &public()?, &private()?), "{words:?}");
    }
    assert_eq!(cluster.stats(&lab.b)?.not_rewritten(), []);
    Ok(())
}

/// Before the ingress program runs at tc, the kernel has moved the outer tag from the frame into the skb's metadata
/// (`vlan_tci`).
#[test]
fn tagged_frames_are_rewritten_on_the_way_in_by_tc_where_asked_for() -> Result<()> {
    let cluster = Cluster::new(&FAMILIES, LabOptions::default())?;
    let lab = &cluster.lab;
    let mut rewritten = 0;
    for (words, handled) in HANDLED {
        cluster.attach(&lab.b, words)?;
        let capture = Capture::start(&lab.b, PUBLIC_INTERFACE, FROM_THERE)?;
        let link = RawLink::open(&lab.router, ROUTER_B)?;
        let frames = public()?;
        for frame in &frames {
            link.send(frame)?;
        }
        assert_eq!(capture.stop()?.len(), frames.len());
        rewritten += FAMILIES.len() * handled.into_iter().filter(|handled| *handled).count();
        let ingress = cluster.stats(&lab.b)?.peer("srva")?.ingress;
        assert_eq!(ingress.packets, u64::try_from(rewritten)?, "{words:?}");
    }
    assert_eq!(cluster.stats(&lab.b)?.not_rewritten(), []);
    Ok(())
}

#[test]
fn an_attach_without_a_word_about_tags_leaves_it_as_it_is() -> Result<()> {
    let cluster = Cluster::new(&FAMILIES, LabOptions::default())?;
    let lab = &cluster.lab;
    for (vlan, handled) in [("any", [true; TAGS]), ("none", [true, false, false])] {
        cluster.attach(&lab.a, &["--vlan", vlan])?;
        cluster.attach(&lab.a, &[])?;
        let capture = Capture::start(&lab.router, ROUTER_A, FROM_THERE)?;
        let link = RawLink::open(&lab.a, PUBLIC_INTERFACE)?;
        for frame in private()? {
            link.send(&frame)?;
        }
        let sent: Vec<_> = capture.stop()?.into_iter().map(|frame| frame.bytes).collect();
        assert_eq!(sent, expected(handled, &private()?, &public()?), "{vlan}");
    }
    Ok(())
}
