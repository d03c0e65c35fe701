//! Tests an interface without a link header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context, Result};
use testkit::frame::{bad_checksums, lengths, private_addresses};
use testkit::lab::{FAMILIES, LabOptions};
use testkit::netns::Namespace;
use testkit::tun::TunLink;
use testkit::wait::wait_until;

use crate::cluster::Cluster;
use crate::conversation::{self, MEGABYTE, checksums_were_right};

const TUN: &str = "tun0";
const PATIENCE: Duration = Duration::from_secs(10);

/// The hosts' addresses on the tun link, of each family.
const PUBLIC: [[IpAddr; 2]; 2] = [
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2))],
    [
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xd, 0, 0, 0, 0, 1)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xd, 0, 0, 0, 0, 2)),
    ],
];

fn joined_by_tun() -> Result<(Cluster, TunLink)> {
    let cluster = Cluster::unconnected(LabOptions::default())?;
    let (a, b) = (&cluster.lab.a, &cluster.lab.b);
    let link = TunLink::join(a, b, TUN)?;
    for [at_a, at_b] in PUBLIC {
        give(a, at_a, at_b)?;
        give(b, at_b, at_a)?;
        reaches(a, at_b)?;
        reaches(b, at_a)?;
    }
    let mut file = String::new();
    for (name, number) in [("srva", 0), ("srvb", 1)] {
        let private = FAMILIES.map(|family| [family.a_private, family.b_private][number]);
        let public = PUBLIC.map(|public| public[number]);
        file += &format!(
            "[[member]]\nname = \"{name}\"\nprivate = [\"{}\", \"{}\"]\npublic = [\"{}\", \"{}\"]\n",
            private[0], private[1], public[0], public[1]
        );
    }
    cluster.write_file(&file)?;
    Ok((cluster, link))
}

fn give(host: &Namespace, own: IpAddr, peer: IpAddr) -> Result<()> {
    let (own, peer) = (own.to_string(), peer.to_string());
    let mut words = vec!["ip", "address", "add", &own, "peer", &peer, "dev", TUN];
    if own.contains(':') {
        words.push("nodad");
    } else {
        host.sysctl(&format!("net.ipv4.conf.{TUN}.rp_filter"), "0")?;
    }
    host.run(&words)?;
    Ok(())
}

/// Waits until the kernel has brought the device up and added its route.
fn reaches(host: &Namespace, peer: IpAddr) -> Result<()> {
    let peer = peer.to_string();
    wait_until(&format!("{peer} by {TUN}"), PATIENCE, || {
        let route = host.run(&["ip", "route", "get", &peer])?;
        Ok(route.contains(&format!("dev {TUN} ")).then_some(()))
    })
}

#[test]
fn hosts_talk_over_tun() -> Result<()> {
    let (cluster, link) = joined_by_tun()?;
    let lab = &cluster.lab;
    for host in [&lab.a, &lab.b] {
        cluster.attach_to(TUN, host, &[])?;
    }
    for family in &FAMILIES {
        conversation::holds(lab, family, MEGABYTE)?;
    }
    let frames = link.stop()?;
    assert_eq!(lengths(&frames).into_iter().max(), Some(1500));
    assert_eq!(private_addresses(&frames), []);
    assert_eq!(bad_checksums(&frames)?, []);
    checksums_were_right(lab)?;
    for (host, peer) in [(&lab.a, "srvb"), (&lab.b, "srva")] {
        let stats = cluster.stats(host)?;
        assert_eq!(stats.not_rewritten(), []);
        assert!(stats.peer(peer)?.ingress.bytes > 2 * MEGABYTE, "{stats:?}");
    }
    Ok(())
}

#[test]
fn xdp_on_tun_is_refused() -> Result<()> {
    let (cluster, _link) = joined_by_tun()?;
    for ingress in ["xdp", "xdp-generic"] {
        let refused = cluster.attach_to(TUN, &cluster.lab.a, &["--ingress", ingress]);
        let said = format!("{:#}", refused.err().context("it was attached")?);
        assert!(
            said.contains("not an Ethernet interface") && said.contains("leave --ingress out"),
            "{said}"
        );
    }
    Ok(())
}
