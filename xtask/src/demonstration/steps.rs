//! Defines the steps of the demonstration, in order.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use testkit::capture::Capture;
use testkit::frame::{Frame, bad_checksums, lengths, private_addresses};
use testkit::lab::Lab;
use testkit::netns::Namespace;
use testkit::rewrite_command::Rewrite;
use testkit::traffic::{BRIEFLY, checksum_errors, ping, ping_with, tcp_transfer, udp_exchange};

use super::progress::Progress;

const PRIVATE_A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PRIVATE_B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const PUBLIC_B: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const PORT: u16 = 24_007;
const TRANSFER: u64 = 32 << 20;
/// The number of bytes in a captured transfer. The number is small, so that tcpdump keeps up.
const CAPTURED_TRANSFER: u64 = 1 << 20;
const DATAGRAMS: u32 = 200;
const DATAGRAM_SIZE: usize = 1_000;
const PINGS: u32 = 3;
const PING_SIZE: u16 = 1_000;

/// Runs the steps.
pub fn run(progress: &mut Progress, lab: &Lab, rewrite: &Rewrite) {
    let hosts = [("srva", &lab.a), ("srvb", &lab.b)];
    let before = hosts.map(|(_, host)| state(host));

    progress.step(
        "before: the private addresses can't reach each other, the public ones can",
        || {
            let private = ping_with(&lab.a, &BRIEFLY, PRIVATE_B, 1, PING_SIZE)?;
            ensure!(private.returned == 0, "{PRIVATE_B} answered already");
            let public = ping(&lab.a, PUBLIC_B, 1, PING_SIZE)?;
            ensure!(public.returned == 1, "{PUBLIC_B} does not answer: the lab does not work");
            Ok(format!("ping {PRIVATE_B}: no answer; ping {PUBLIC_B}: an answer"))
        },
    );
    progress
        .step("rewrite attach eth0, on both hosts, with one file", || attach(lab, rewrite, &hosts));
    progress.step("ping crosses", || {
        let report = ping(&lab.a, PRIVATE_B, PINGS, PING_SIZE)?;
        ensure!(report.returned == PINGS, "{} of {PINGS} answers arrived", report.returned);
        Ok(format!("{PINGS} of {PINGS} answers from {PRIVATE_B}"))
    });
    progress.step("TCP crosses in both directions, byte for byte", || {
        let there = tcp(&lab.a, &lab.b, PRIVATE_B, TRANSFER)?;
        let back = tcp(&lab.b, &lab.a, PRIVATE_A, TRANSFER)?;
        Ok(format!("{there}\n{back}"))
    });
    progress.step("UDP crosses", || {
        let dst = SocketAddrV4::new(PRIVATE_B, PORT);
        let report = udp_exchange(&lab.a, &lab.b, None, dst, DATAGRAMS, DATAGRAM_SIZE)?;
        ensure!(report.returned == DATAGRAMS, "{} of {DATAGRAMS} echoes arrived", report.returned);
        let seen = report.sender_seen.context("the server saw no sender")?;
        ensure!(seen.ip() == PRIVATE_A, "srvb saw {seen} as the sender");
        Ok(format!("{DATAGRAMS} of {DATAGRAMS} echoed; srvb saw {seen} as their source"))
    });
    progress.step(
        "the router's wire sees public addresses only, no added byte, no bad checksum",
        || wire(lab),
    );
    progress.step("the receivers' kernels counted no checksum error", || {
        for (name, host) in hosts {
            let errors: Vec<_> =
                checksum_errors(host)?.into_iter().filter(|(_, count)| *count != 0).collect();
            ensure!(errors.is_empty(), "{name} counted {errors:?}");
        }
        Ok("Ip, Tcp, Udp, Icmp InCsumErrors: 0 on both hosts")
    });
    progress.step("bpftool shows the peers as text", || bpftool(&lab.a));
    progress.step("rewrite stats counts per peer and direction", || {
        let text = rewrite.run(&lab.a, &["stats"])?;
        let line = text.lines().find(|line| line.contains("srvb")).context("no line of srvb")?;
        // A byte count of 1 KiB or more has a fraction: the integers are packet counts and very small byte counts.
        let counts: Vec<u64> = line.split_whitespace().skip(1).flat_map(str::parse).collect();
        ensure!(counts.len() >= 2 && counts.iter().all(|n| *n > 0), "{line}");
        ensure!(line.ends_with(" ago"), "srvb was not heard: {line}");
        // Ignore public-flow: the replies to the ping between the public addresses stay unrewritten.
        let others =
            text.lines().any(|l| l.contains("not rewritten") && !l.contains("public-flow"));
        ensure!(!others, "{text}");
        Ok(text)
    });
    progress.step("rewrite status reports that it works", || rewrite.run(&lab.a, &["status"]));
    progress.step("after detach everything is as it was", || {
        let mut output = String::new();
        for ((name, host), before) in hosts.iter().zip(before) {
            let _ = write!(output, "{name}: {}", rewrite.run(host, &["detach", "eth0"])?);
            let (before, after) = (before?, state(host)?);
            ensure!(before == after, "{name} was:\n{before}\nand is:\n{after}");
        }
        let report = ping_with(&lab.a, &BRIEFLY, PRIVATE_B, 1, PING_SIZE)?;
        ensure!(report.returned == 0, "{PRIVATE_B} still answers");
        Ok(output + "addresses, routes, qdiscs, programs and pins are as before; no answer to ping")
    });
}

fn attach(lab: &Lab, rewrite: &Rewrite, hosts: &[(&str, &Namespace); 2]) -> Result<String> {
    let file = std::env::temp_dir().join(format!("{}.toml", lab.a.name()));
    fs::write(&file, lab.cluster_toml()).with_context(|| format!("writing {}", file.display()))?;
    let config = file.to_str().context("a temporary folder that is not UTF-8")?;
    let outputs: Result<String> = hosts
        .iter()
        .map(|(name, host)| {
            let output = rewrite.run(host, &["attach", "eth0", "--config", config])?;
            Ok(format!("{name}: {output}"))
        })
        .collect();
    fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
    Ok(format!("{}\n{}", lab.cluster_toml().trim_end(), outputs?))
}

fn tcp(from: &Namespace, to: &Namespace, dst: Ipv4Addr, bytes: u64) -> Result<String> {
    let report = tcp_transfer(from, to, None, SocketAddrV4::new(dst, PORT), bytes)?;
    Ok(format!(
        "{} MiB to {dst} in {:.2} s, the same checksum at both ends",
        report.bytes >> 20,
        report.elapsed.as_secs_f64()
    ))
}

/// On both sides of the router, captures pings to B's private and public address, and a TCP transfer to the private
/// address. Fails if rewrite changes the length of frames, a private address is on the wire, or a checksum is bad.
fn wire(lab: &Lab) -> Result<String> {
    let private = on_the_wire(lab, || ping(&lab.a, PRIVATE_B, PINGS, PING_SIZE).map(|_| ()))?;
    let public = on_the_wire(lab, || ping(&lab.a, PUBLIC_B, PINGS, PING_SIZE).map(|_| ()))?;
    let distinct = |frames: &[Frame]| lengths(frames).into_iter().collect::<BTreeSet<_>>();
    let (rewritten, plain) = (distinct(&private), distinct(&public));
    ensure!(rewritten == plain, "frames of {rewritten:?} bytes, and of {plain:?} without rewrite");

    let transfer =
        on_the_wire(lab, || tcp(&lab.a, &lab.b, PRIVATE_B, CAPTURED_TRANSFER).map(|_| ()))?;
    for frames in [&private, &transfer] {
        ensure!(!frames.is_empty(), "the capture saw nothing");
        let leaked = private_addresses(frames);
        ensure!(leaked.is_empty(), "private addresses on the wire: {:?}", leaked.first());
        let bad = bad_checksums(frames)?;
        ensure!(bad.is_empty(), "{} bad checksums, the first: {:?}", bad.len(), bad.first());
    }
    Ok(format!(
        "{} frames of ping and {} of TCP: no private address, no bad checksum;\n\
         ping's are of {rewritten:?} bytes, as those between the public addresses",
        private.len(),
        transfer.len(),
    ))
}

fn on_the_wire(lab: &Lab, traffic: impl FnOnce() -> Result<()>) -> Result<Vec<Frame>> {
    let sides = ["eth-a", "eth-b"];
    let captures: Vec<_> = sides
        .into_iter()
        .map(|side| Capture::start(&lab.router, side, "ip or arp"))
        .collect::<Result<_>>()?;
    traffic()?;
    let mut frames = Vec::new();
    for capture in captures {
        frames.extend(capture.stop()?);
    }
    Ok(frames)
}

fn bpftool(host: &Namespace) -> Result<String> {
    let map = pins(host)?.join("eth0/peers_v4");
    let map = map.to_str().context("a path that is not UTF-8")?;
    let dump = host.run(&["bpftool", "map", "dump", "pinned", map])?;
    // bpftool 7 breaks the line after an array's last number.
    let joined = dump.split_whitespace().collect::<String>();
    for field in [r#""private":[10,0,0,2]"#, r#""public":[203,0,113,2]"#] {
        ensure!(joined.contains(field), "no {field} in:\n{dump}");
    }
    Ok(format!("bpftool map dump pinned {map}\n{dump}"))
}

/// The folder of a namespace's pins.
fn pins(host: &Namespace) -> Result<PathBuf> {
    Ok(PathBuf::from(format!("/sys/fs/bpf/rewrite/netns-{}", host.inode()?)))
}

/// The host state that detach must restore: addresses, routes, qdiscs, programs, and the presence of pins.
fn state(host: &Namespace) -> Result<String> {
    let mut text = String::new();
    for command in [
        &["ip", "-details", "address", "show"][..],
        &["ip", "-details", "route", "show", "table", "all"],
        &["tc", "qdisc", "show"],
        &["bpftool", "net", "show"],
    ] {
        text.push_str(&host.run(command)?);
    }
    let _ = writeln!(text, "pins: {}", pins(host)?.exists());
    Ok(text)
}
