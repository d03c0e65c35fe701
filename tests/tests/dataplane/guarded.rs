//! Tests packets that no outside host may send: packets to this host's private address, and packets from this address.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::capture::Capture;
use testkit::lab::{Addresses, FAMILIES, IPV4, IPV6, Lab, LabOptions, PUBLIC_INTERFACE, ROUTER_A};
use testkit::netns::Namespace;
use testkit::traffic::{BRIEFLY, ping, ping_with};
use testkit::wait::retry_eintr;

use crate::cluster::Cluster;
use crate::conversation::PORT;
use crate::inside::host_behind;

/// The wait for a datagram that must not arrive. It is short, since a lab has no delay.
const BRIEF: Duration = Duration::from_millis(300);
const DATAGRAMS: u64 = 3;

/// A socket of a service that is bound to one address.
fn service(host: &Namespace, address: IpAddr) -> Result<UdpSocket> {
    let socket = host
        .enter(|| UdpSocket::bind(SocketAddr::new(address, PORT)))?
        .with_context(|| format!("bind to {address}"))?;
    socket.set_read_timeout(Some(BRIEF))?;
    Ok(socket)
}

/// Sends [`DATAGRAMS`] datagrams from `source` to the service. Returns the number of datagrams that arrive.
fn arrive(from: &Namespace, source: IpAddr, service: &UdpSocket) -> Result<u64> {
    let socket = from
        .enter(|| UdpSocket::bind(SocketAddr::new(source, 0)))?
        .with_context(|| format!("bind to {source}"))?;
    for _ in 0..DATAGRAMS {
        socket.send_to(b"knock", service.local_addr()?)?;
    }
    let mut arrived = 0;
    while retry_eintr(|| service.recv(&mut [0; 16])).is_ok() {
        arrived += 1;
    }
    Ok(arrived)
}

/// Adds a private address to the router, so that the router can send from this address.
fn hold_on_the_router(lab: &Lab, address: IpAddr) -> Result<()> {
    lab.router.run(&["ip", "address", "add", &address.to_string(), "dev", "lo", "nodad"])?;
    Ok(())
}

/// Deletes the router's rule that drops packets from private IPv6 addresses.
fn lift_the_rule(lab: &Lab) -> Result<()> {
    lab.router.run(&["ip", "-6", "rule", "del", "from", "fd00::/8", "blackhole"])?;
    Ok(())
}

#[test]
fn nobody_outside_has_this_hosts_private_address() -> Result<()> {
    let cluster = Cluster::new(&FAMILIES, LabOptions::default())?;
    let lab = &cluster.lab;
    lift_the_rule(lab)?;
    for Addresses { a_private, a_public, .. } in FAMILIES {
        hold_on_the_router(lab, a_private)?;
        let service = service(&lab.a, a_public)?;
        assert_eq!(arrive(&lab.router, a_private, &service)?, DATAGRAMS, "with nothing attached");
    }
    for more in [&[][..], &["--ingress", "xdp"]] {
        cluster.attach(&lab.a, more)?;
        let before = cluster.stats(&lab.a)?.packets("ingress spoofed")?;
        for Addresses { a_private, a_public, .. } in FAMILIES {
            let service = service(&lab.a, a_public)?;
            assert_eq!(arrive(&lab.router, a_private, &service)?, 0, "{a_private}, {more:?}");
        }
        let spoofed = cluster.stats(&lab.a)?.packets("ingress spoofed")?;
        assert_eq!(spoofed - before, 2 * DATAGRAMS, "{more:?}");
        cluster.detach_from(PUBLIC_INTERFACE, &lab.a)?;
    }
    Ok(())
}

/// The forwarding host receives, on its other interface, packets whose source is its own private address.
#[test]
fn a_host_that_forwards_sends_no_packet_of_others_as_its_own() -> Result<()> {
    let cluster = Cluster::attached(&FAMILIES, LabOptions::default())?;
    let lab = &cluster.lab;
    let behind = [IpAddr::from([192, 0, 2, 77]), "2001:db8:77::1".parse()?];
    let inside = host_behind(lab, &lab.a, "inside-a", &behind)?;
    for Addresses { a_private, b_private, .. } in FAMILIES {
        assert_eq!(ping(&lab.a, b_private, 1, 8)?.returned, 1);
        inside.run(&["ip", "address", "add", &a_private.to_string(), "dev", "lo", "nodad"])?;
    }
    let before = [cluster.stats(&lab.a)?, cluster.stats(&lab.b)?];
    let requests = "icmp[0] = 8 or (icmp6 and ip6[40] = 128)";
    let capture = Capture::start(&lab.router, ROUTER_A, requests)?;
    for Addresses { a_private, b_private, .. } in FAMILIES {
        let source = a_private.to_string();
        let options = [&BRIEFLY[..], &["-I", &source]].concat();
        assert_eq!(ping_with(&inside, &options, b_private, 3, 8)?.returned, 0);
    }
    assert!(capture.stop()?.is_empty(), "a forged request left");
    let after = [cluster.stats(&lab.a)?, cluster.stats(&lab.b)?];
    // Only the IPv6 packets count: the kernel drops the IPv4 packets on arrival (net/ipv4/fib_frontend.c,
    // fib_validate_source).
    assert_eq!(after[0].not_rewritten(), [("egress spoofed", 3)]);
    assert_eq!(after[0].peer("srvb")?, before[0].peer("srvb")?);
    assert_eq!(after[1].peer("srva")?, before[1].peer("srva")?);
    for Addresses { b_private, .. } in FAMILIES {
        assert_eq!(ping(&lab.a, b_private, 1, 8)?.returned, 1, "its own go on");
    }
    Ok(())
}

/// The hardware address of an interface.
fn hardware_address(host: &Namespace, interface: &str) -> Result<String> {
    let shown = host.run(&["ip", "-o", "link", "show", "dev", interface])?;
    let mut words = shown.split_whitespace().skip_while(|word| *word != "link/ether");
    Ok(words.nth(1).context("no hardware address")?.to_owned())
}

/// Gives the router an on-link route to an address of A.
fn lead_to_the_neighbour(lab: &Lab, address: IpAddr) -> Result<()> {
    let address = address.to_string();
    lab.router.run(&["ip", "route", "replace", &address, "dev", ROUTER_A])?;
    Ok(())
}

/// Adds A's hardware address to the router's neighbour table, so that the router does not ask for it.
fn tell_the_neighbour(lab: &Lab, address: IpAddr) -> Result<()> {
    let hardware = hardware_address(&lab.a, PUBLIC_INTERFACE)?;
    let address = address.to_string();
    let words = ["ip", "neigh", "replace", &address, "lladdr", &hardware, "dev", ROUTER_A];
    lab.router.run(&words)?;
    Ok(())
}

/// True if the router gets an answer when it asks its link for the hardware address of `address`.
fn is_answered_for(lab: &Lab, from: IpAddr, address: IpAddr) -> Result<bool> {
    let text = address.to_string();
    let from = from.to_string();
    let options = [&BRIEFLY[..], &["-I", &from]].concat();
    ping_with(&lab.router, &options, address, 1, 8)?;
    let neighbour = lab.router.run(&["ip", "neigh", "show", &text, "dev", ROUTER_A])?;
    Ok(neighbour.contains("lladdr"))
}

#[test]
fn a_neighbour_does_not_reach_the_private_address() -> Result<()> {
    let cluster = Cluster::new(&FAMILIES, LabOptions::default())?;
    let lab = &cluster.lab;
    for family in FAMILIES {
        lead_to_the_neighbour(lab, family.a_private)?;
        let length = if family.a_private.is_ipv4() { "32" } else { "128" };
        let own = format!("{}/{length}", family.a_private);
        lab.a.run(&["ip", "address", "add", &own, "dev", "lo"])?;
    }
    // The kernel answers for an IPv4 address on the loopback interface, but not for an IPv6 address (net/ipv6/ndisc.c,
    // ndisc_recv_ns, requires an address of the receiving interface).
    assert!(is_answered_for(lab, IPV4.router_a, IPV4.a_private)?, "with nothing attached");
    assert!(!is_answered_for(lab, IPV6.router_a, IPV6.a_private)?);
    lab.router.run(&["ip", "neigh", "flush", "dev", ROUTER_A])?;
    for more in [&[][..], &["--ingress", "xdp"]] {
        cluster.attach(&lab.a, more)?;
        for family in FAMILIES {
            let (router, private) = (family.router_a, family.a_private);
            assert!(!is_answered_for(lab, router, private)?, "{private}, {more:?}");
            tell_the_neighbour(lab, private)?;
            let before = cluster.stats(&lab.a)?.packets("ingress private-destination")?;
            let service = service(&lab.a, private)?;
            assert_eq!(arrive(&lab.router, router, &service)?, 0, "{private}, {more:?}");
            let dropped = cluster.stats(&lab.a)?.packets("ingress private-destination")?;
            assert_eq!(dropped - before, DATAGRAMS, "{private}, {more:?}");
            lab.router.run(&["ip", "neigh", "del", &private.to_string(), "dev", ROUTER_A])?;
        }
        cluster.detach_from(PUBLIC_INTERFACE, &lab.a)?;
        let answered = is_answered_for(lab, IPV4.router_a, IPV4.a_private)?;
        ensure!(answered, "the address was there before, and is reached again");
        lab.router.run(&["ip", "neigh", "flush", "dev", ROUTER_A])?;
    }
    Ok(())
}

#[test]
fn a_direct_peer_on_the_link_reaches_the_private_address() -> Result<()> {
    let cluster = Cluster::new(&FAMILIES, LabOptions::default())?;
    let lab = &cluster.lab;
    lift_the_rule(lab)?;
    cluster.append_to_file("direct = true")?;
    cluster.attach(&lab.a, &[])?;
    for family in FAMILIES {
        // The router acts as srvb here.
        hold_on_the_router(lab, family.b_private)?;
        lead_to_the_neighbour(lab, family.a_private)?;
    }
    assert!(is_answered_for(lab, IPV4.b_private, IPV4.a_private)?);
    // For IPv6, the router asks from an address of the link, and the kernel answers only for the interface's own
    // addresses.
    assert!(!is_answered_for(lab, IPV6.b_private, IPV6.a_private)?);
    tell_the_neighbour(lab, IPV6.a_private)?;
    for family in FAMILIES {
        let service = service(&lab.a, family.a_private)?;
        assert_eq!(arrive(&lab.router, family.b_private, &service)?, DATAGRAMS);
        assert_eq!(arrive(&lab.router, family.router_a, &service)?, 0, "no peer");
    }
    let stats = cluster.stats(&lab.a)?;
    assert_eq!(stats.packets("ingress private-destination")?, 2 * DATAGRAMS);
    Ok(())
}
