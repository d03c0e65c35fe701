//! Tests an attach to an interface without a link header.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::thread;

use anyhow::{Context, Result, ensure};
use nix::libc;
use testkit::netns::Namespace;

use crate::dual_stack::require_answer;
use crate::host_state::HostState;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};

/// Members whose public addresses are on an interface that a test adds.
pub const CLUSTER: &str = "\
[[member]]
name    = \"srva\"
private = [\"10.0.0.1\", \"fd00::1\"]
public  = [\"192.0.2.1\", \"2001:db8:7::1\"]

[[member]]
name    = \"srvb\"
private = [\"10.0.0.2\", \"fd00::2\"]
public  = [\"192.0.2.2\", \"2001:db8:7::2\"]
";

/// Requests and flags from Linux, include/uapi/linux/if_tun.h.
const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
const TUNSETLINK: libc::Ioctl = 0x4004_54cd;
const IFF_TUN: u16 = 1;
const IFF_NO_PI: u16 = 0x1000;

/// The beginning of `struct ifreq`, padded to the full length of that struct.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: u16,
    reserved: [u8; 22],
}

/// Creates tun0 on a host. Reads from the file return the packets that the interface sends.
fn tun(host: &Namespace) -> Result<File> {
    let file = host.enter(|| -> Result<File> {
        let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
        let mut request =
            InterfaceRequest { name: [0; 16], flags: IFF_TUN | IFF_NO_PI, reserved: [0; 22] };
        request.name[..4].copy_from_slice(b"tun0");
        // SAFETY: the file is open, and the request has the length that the kernel reads.
        let done = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &raw mut request) };
        ensure!(done == 0, "TUNSETIFF: {}", std::io::Error::last_os_error());
        Ok(file)
    })??;
    Ok(file)
}

/// Starts a thread that carries packets from one interface to the other, until one of the interfaces is gone.
fn carry(mut from: File, mut to: File) {
    thread::spawn(move || {
        let mut packet = vec![0; 65_536];
        while let Ok(length) = from.read(&mut packet) {
            if to.write_all(&packet[..length]).is_err() {
                break;
            }
        }
    });
}

/// A lab in which tun0 connects A and B, in addition to the lab's own network.
fn prepared() -> Result<Scenario> {
    let scenario = Scenario::new()?;
    scenario.file("cluster.toml", CLUSTER)?;
    let (a, b) = (tun(&scenario.lab.a)?, tun(&scenario.lab.b)?);
    carry(a.try_clone().context("another handle")?, b.try_clone().context("another handle")?);
    carry(b, a);
    for (host, last) in [(&scenario.lab.a, 1), (&scenario.lab.b, 2)] {
        let run = |words: &str| host.run(&words.split(' ').collect::<Vec<_>>());
        run("ip link set tun0 addrgenmode none")?;
        run("ip link set tun0 up")?;
        run(&format!("ip address add 192.0.2.{last}/24 dev tun0"))?;
        run(&format!("ip address add 2001:db8:7::{last}/64 dev tun0 nodad"))?;
        host.sysctl("net.ipv4.conf.tun0.rp_filter", "0")?;
    }
    Ok(scenario)
}

fn attach(scenario: &Scenario, host: &Namespace, more: &[&str]) -> Result<String> {
    let path = scenario.path("cluster.toml");
    scenario.rewrite.run(host, &[&["attach", "tun0", "--config", &path], more].concat())
}

fn packets_without_a_link_header(more: &[&str]) -> Result<()> {
    let scenario = prepared()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    let before = HostState::of(a)?;
    let said = attach(&scenario, a, more)?;
    ensure!(!said.contains("arp_announce"), "nobody asks by ARP: {said}");
    attach(&scenario, b, more)?;
    let route = a.run(&["ip", "route", "show", "10.0.0.2"])?;
    ensure!(route.contains("dev tun0") && !route.contains("via"), "{route}");
    for address in ["10.0.0.2", "fd00::2"] {
        require_answer(a, address)?;
    }
    let stats = scenario.json(a, &["stats", "--json"])?;
    let counted = &stats["interfaces"][0]["peers"][0];
    assert_eq!(
        (&counted["egress"]["packets"], &counted["ingress"]["packets"]),
        (&4.into(), &4.into())
    );
    // The byte counters include no link header.
    assert_eq!(counted["egress"]["bytes"], 2 * (20 + 64) + 2 * (40 + 64));
    scenario.require_healthy(a)?;
    scenario.rewrite.run(a, &["detach", "tun0"])?;
    before.assert_unchanged(a, "after detach");
    Ok(())
}

#[test]
fn packets_without_a_link_header_are_rewritten() -> Result<()> {
    packets_without_a_link_header(NOTHING_MORE)
}

#[test]
fn packets_without_a_link_header_are_rewritten_with_clsact() -> Result<()> {
    packets_without_a_link_header(CLSACT)
}

#[test]
fn xdp_takes_ethernet() -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    let words = [&["attach", "tun0", "--config", &path], XDP].concat();
    let ended = scenario.try_run(host, &words)?;
    ended.require(4, &["tun0 is not an Ethernet interface", "--ingress xdp", "tc"])?;
    before.assert_unchanged(host, "after a refused attach");
    Ok(())
}

#[test]
fn a_type_that_is_not_known_is_refused_by_its_number() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let file = tun(host)?;
    // ARPHRD_DLCI, the link type of frame relay. After TUNSETLINK, net/core treats tun0 as a frame relay interface.
    let dlci: libc::c_int = 15;
    // SAFETY: the file is open, and the argument is a number.
    let done = unsafe {
        libc::ioctl(file.as_raw_fd(), TUNSETLINK, libc::c_ulong::from(dlci.unsigned_abs()))
    };
    ensure!(done == 0, "TUNSETLINK: {}", std::io::Error::last_os_error());
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    let ended = scenario.try_run(host, &["attach", "tun0", "--config", &path])?;
    ended.require(4, &["tun0 has the link type", "(15)", "help: "])?;
    before.assert_unchanged(host, "after a refused attach");
    Ok(())
}
