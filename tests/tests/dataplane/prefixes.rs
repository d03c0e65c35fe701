//! Tests sites with prefixes, each behind a gateway, and one host of a site at another place.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use testkit::capture::Capture;
use testkit::frame::private_addresses;
use testkit::lab::{FAMILIES, LabOptions, ROUTER_A, ROUTER_B};

use crate::cluster::Cluster;
use crate::conversation::{self, MEGABYTE, checksums_were_right};
use crate::inside::host_behind;
use crate::third_host;

const FILE: &str = r#"
[[member]]
name    = "site1"
private = ["10.1.0.0/24", "fd01::/64"]
public  = ["198.18.1.0/24", "2001:db8:1::/64"]

[[member]]
name    = "site2"
private = ["10.2.0.0/24", "fd02::/64"]
public  = ["198.18.2.0/24", "2001:db8:2::/64"]

[[member]]
name    = "moved"
private = ["10.2.0.9", "fd02::9"]
public  = ["192.0.2.2", "2001:db8:c::2"]
"#;

const fn host(site: u8, number: u8) -> [IpAddr; 2] {
    [
        IpAddr::V4(Ipv4Addr::new(10, site, 0, number)),
        IpAddr::V6(Ipv6Addr::new(0xfd00 + site as u16, 0, 0, 0, 0, 0, 0, number as u16)),
    ]
}

#[test]
fn hosts_of_two_sites_and_a_single_member_talk_to_each_other() -> Result<()> {
    let cluster = Cluster::new(&FAMILIES, LabOptions::default())?;
    let lab = &cluster.lab;
    let moved = third_host::hang_on_the_router(lab)?;
    let in_site1 = host_behind(lab, &lab.a, "inside-a", &host(1, 7))?;
    let in_site2 = host_behind(lab, &lab.b, "inside-b", &host(2, 200))?;
    for (number, family) in FAMILIES.iter().enumerate() {
        for (networks, gateway) in [
            (["198.18.1.0/24", "2001:db8:1::/64"], family.a_public),
            (["198.18.2.0/24", "2001:db8:2::/64"], family.b_public),
        ] {
            let words = ["ip", "route", "add", networks[number], "via", &gateway.to_string()];
            lab.router.run(&words)?;
        }
    }
    cluster.write_file(FILE)?;
    cluster.attach(&lab.a, &["--self", "site1"])?;
    cluster.attach(&lab.b, &["--self", "site2"])?;
    cluster.attach(&moved, &[])?;

    let captures = [ROUTER_A, ROUTER_B].map(|port| Capture::start_headers(&lab.router, port, ""));
    for number in 0..FAMILIES.len() {
        let [one, two, single] = [host(1, 7), host(2, 200), host(2, 9)].map(|ips| ips[number]);
        conversation::both_ways(&in_site1, &in_site2, one, two, MEGABYTE / 8)?;
        // The moved host is outside its site.
        conversation::both_ways(&in_site1, &moved, one, single, MEGABYTE / 8)?;
        conversation::both_ways(&in_site2, &moved, two, single, MEGABYTE / 8)?;
    }
    for capture in captures {
        assert_eq!(private_addresses(&capture?.stop()?), []);
    }
    checksums_were_right(lab)?;
    for (host, peers) in
        [(&lab.a, ["site2", "moved"]), (&lab.b, ["site1", "moved"]), (&moved, ["site1", "site2"])]
    {
        let stats = cluster.stats(host)?;
        assert_eq!(stats.not_rewritten(), []);
        for peer in peers {
            let rewritten = stats.peer(peer)?;
            assert!(rewritten.egress.packets > 0 && rewritten.ingress.packets > 0, "{stats:?}");
        }
    }
    Ok(())
}
