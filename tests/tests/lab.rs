//! Tests the lab, on which all other tests rely.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;

use anyhow::{Context, Result};
use testkit::capture::Capture;
use testkit::frame::{AddressField, Checksum, bad_checksums, lengths, private_addresses};
use testkit::lab::{
    A_PRIVATE, A_PUBLIC, B_PRIVATE, B_PUBLIC, CABLE_INTERFACE, Lab, LabOptions, ROUTER_A, ROUTER_B,
    ROUTER_B_ADDRESS,
};
use testkit::netns::Namespace;
use testkit::traffic::{
    BRIEFLY, PingReport, checksum_errors, ping, ping_with, tcp_transfer, udp_exchange,
};

const PORT: u16 = 5000;
const MEGABYTE: u64 = 1 << 20;

fn without_offloads() -> LabOptions {
    LabOptions { checksum_offload: false, segmentation_offload: false, ..LabOptions::default() }
}

#[test]
fn traffic_between_public_addresses_passes_the_router() -> Result<()> {
    let lab = Lab::new(&without_offloads())?;
    let capture = Capture::start(&lab.router, ROUTER_B, "")?;
    let there = SocketAddrV4::new(B_PUBLIC, PORT);
    let back = SocketAddrV4::new(A_PUBLIC, PORT);
    let report = tcp_transfer(&lab.a, &lab.b, None, there, MEGABYTE)?;
    assert_eq!(report.bytes, MEGABYTE);
    assert_eq!(report.sender_seen, report.sender);
    tcp_transfer(&lab.b, &lab.a, Some(B_PUBLIC), back, MEGABYTE)?;
    assert_eq!(udp_exchange(&lab.a, &lab.b, None, there, 5, 1000)?.returned, 5);
    assert_eq!(ping(&lab.a, B_PUBLIC, 2, 1400)?.returned, 2);

    let frames = capture.stop()?;
    assert_eq!(private_addresses(&frames), []);
    assert_eq!(bad_checksums(&frames)?, []);
    assert_eq!(lengths(&frames).into_iter().max(), Some(1500));
    for host in [&lab.a, &lab.b] {
        assert_eq!(checksum_errors(host)?.len(), 0);
    }
    Ok(())
}

#[test]
fn the_router_forwards_no_private_address() -> Result<()> {
    let lab = Lab::new(&LabOptions::default())?;
    let in_a = Capture::start(&lab.router, ROUTER_A, "")?;
    let in_b = Capture::start(&lab.router, ROUTER_B, "")?;
    // The router drops packets to a private address and packets from a private address.
    assert_eq!(ping_with(&lab.a, &BRIEFLY, B_PRIVATE, 1, 8)?.returned, 0);
    lab.a.run(&["ip", "address", "add", "10.0.0.1/32", "dev", "lo"])?;
    let spoofed = SocketAddrV4::new(B_PUBLIC, PORT);
    let report = udp_exchange(&lab.a, &lab.b, Some(A_PRIVATE), spoofed, 1, 8)?;
    assert_eq!(report.returned, 0);

    let seen = private_addresses(&in_a.stop()?);
    for (place, address) in
        [(AddressField::Destination, B_PRIVATE), (AddressField::Source, A_PRIVATE)]
    {
        let found = seen.iter().any(|private| private.place == place && private.address == address);
        assert!(found, "{place:?} {address} in {seen:?}");
    }
    assert_eq!(private_addresses(&in_b.stop()?), []);
    Ok(())
}

#[test]
fn unfinished_checksums_of_offload_are_seen_in_a_capture() -> Result<()> {
    let lab = Lab::new(&LabOptions::default())?;
    let capture = Capture::start(&lab.router, ROUTER_B, "udp")?;
    let there = SocketAddrV4::new(B_PUBLIC, PORT);
    assert_eq!(udp_exchange(&lab.a, &lab.b, None, there, 1, 8)?.returned, 1);
    let bad = bad_checksums(&capture.stop()?)?;
    assert_eq!(bad.len(), 2);
    assert!(bad.iter().all(|bad| bad.of == Checksum::Udp), "{bad:?}");
    Ok(())
}

#[test]
fn hosts_discover_a_narrow_path() -> Result<()> {
    let lab = Lab::new(&LabOptions { path_mtu: Some(1300), ..without_offloads() })?;
    let errors = Capture::start(&lab.router, ROUTER_A, "icmp[0] = 3 and icmp[1] = 4")?;
    let passed = Capture::start(&lab.router, ROUTER_B, "tcp")?;
    let there = SocketAddrV4::new(B_PUBLIC, PORT);
    tcp_transfer(&lab.a, &lab.b, None, there, MEGABYTE)?;
    assert!(!errors.stop()?.is_empty());
    assert_eq!(lengths(&passed.stop()?).into_iter().max(), Some(1300));
    Ok(())
}

#[test]
fn a_cut_cable_has_no_carrier_until_it_is_plugged_in() -> Result<()> {
    let lab = Lab::new(&LabOptions { cable: true, ..LabOptions::default() })?;
    let there = SocketAddrV4::new(B_PRIVATE, PORT);
    tcp_transfer(&lab.a, &lab.b, Some(A_PRIVATE), there, MEGABYTE)?;
    for (change, carrier) in
        [(Lab::cut_cable as fn(&Lab) -> Result<()>, false), (Lab::plug_cable, true)]
    {
        change(&lab)?;
        for host in [&lab.a, &lab.b] {
            let link = host.run(&["ip", "link", "show", CABLE_INTERFACE])?;
            assert_eq!(link.contains("LOWER_UP"), carrier, "{link}");
            let addresses = host.run(&["ip", "address", "show", CABLE_INTERFACE])?;
            assert!(addresses.contains("inet 10.0.0."), "{addresses}");
        }
    }
    tcp_transfer(&lab.a, &lab.b, Some(A_PRIVATE), there, MEGABYTE)?;
    Ok(())
}

#[test]
fn no_reply_and_no_route_are_told_apart() -> Result<()> {
    let lab = Lab::new(&LabOptions::default())?;
    let lost = PingReport { sent: 1, returned: 0 };
    let nobody = Ipv4Addr::new(203, 0, 113, 77);
    assert_eq!(ping_with(&lab.a, &BRIEFLY, nobody, 1, 8)?, lost);
    lab.a.run(&["ip", "route", "del", "default"])?;
    let error = ping(&lab.a, ROUTER_B_ADDRESS, 1, 8).expect_err("there is no route");
    assert!(format!("{error:#}").contains("unreachable"), "{error:#}");
    Ok(())
}

#[test]
fn what_a_killed_run_left_is_swept_away() -> Result<()> {
    let mut dead = Command::new("true").spawn().context("start `true`")?;
    let pid = dead.id();
    dead.wait().context("wait for `true`")?;
    let left = Namespace::create(&format!("rwsweep{pid}-0-a"))?;
    let mut process = left.command("sleep").arg("600").spawn().context("sleep")?;
    let others = Namespace::create(&format!("rwsweep{}-0-a", std::process::id()))?;

    Lab::sweep("rwsweep")?;
    assert!(!left.path().exists());
    assert!(others.path().exists());
    assert!(!process.wait().context("wait for `sleep`")?.success());
    Ok(())
}

#[test]
fn a_lab_leaves_no_namespace() -> Result<()> {
    let lab = Lab::new(&LabOptions::default())?;
    let path = lab.a.path();
    assert!(fs::exists(&path)?);
    drop(lab);
    assert!(!fs::exists(&path)?);
    Ok(())
}
