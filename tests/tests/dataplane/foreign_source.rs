//! Tests packets to a peer's private address from a source that is neither this host's private address nor its public
//! address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use testkit::capture::Capture;
use testkit::frame::AddressField;
use testkit::lab::{FAMILIES, LabOptions, PUBLIC_INTERFACE, ROUTER_A, ROUTER_B, add_address};
use testkit::traffic::{BRIEFLY, ping_with};

use crate::cluster::Cluster;

/// Further addresses of A's interface, which the file does not name.
const FOREIGN: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 77)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x77)),
];
const ECHO_REQUESTS: &str = "icmp[0] = 8 or (icmp6 and ip6[40] = 128)";

#[test]
fn a_packet_from_a_foreign_source_is_left_alone_and_counted() -> Result<()> {
    let cluster = Cluster::attached(&FAMILIES, LabOptions::default())?;
    let lab = &cluster.lab;
    let before = cluster.stats(&lab.a)?;
    let near = Capture::start(&lab.router, ROUTER_A, ECHO_REQUESTS)?;
    let far = Capture::start(&lab.router, ROUTER_B, ECHO_REQUESTS)?;

    for (family, foreign) in FAMILIES.iter().zip(FOREIGN) {
        add_address(&lab.a, PUBLIC_INTERFACE, foreign)?;
        let foreign = foreign.to_string();
        let options = [&BRIEFLY[..], &["-I", &foreign]].concat();
        assert_eq!(ping_with(&lab.a, &options, family.b_private, 3, 8)?.returned, 0);
    }

    let frames = near.stop()?;
    assert_eq!(frames.len(), 6);
    for (number, frame) in frames.iter().enumerate() {
        let (family, foreign) = (FAMILIES[number / 3], FOREIGN[number / 3]);
        let wanted =
            [(AddressField::Source, foreign), (AddressField::Destination, family.b_private)];
        assert_eq!(frame.addresses(), wanted);
    }
    // The router has no route to the private address.
    assert!(far.stop()?.is_empty());
    let stats = cluster.stats(&lab.a)?;
    assert_eq!(stats.not_rewritten(), [("egress foreign-source", 6)]);
    assert_eq!(stats.peer("srvb")?, before.peer("srvb")?);
    Ok(())
}
