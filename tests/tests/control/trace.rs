//! Tests that `rewrite trace` shows live packets as the host sees them and as the network sees them, and leaves nothing
//! behind.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::programs::loaded_links;
use nix::sys::signal::Signal;
use pcap_parser::pcapng::{Block, OptionCode};
use pcap_parser::{PcapBlockOwned, PcapError, create_reader};
use serde_json::Value;
use testkit::lab::{A_PRIVATE, A_PUBLIC, B_PRIVATE, B_PUBLIC};
use testkit::netns::Namespace;
use testkit::traffic::ping;
use testkit::wait::wait_until;

use crate::process::Process;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};

/// The line of `rewrite trace --verbose` after which each packet is seen.
const TRACING: &str = "tracing the programs";
/// In an emulated machine, the kernel verifies the four programs of a trace for tens of seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// The length of a ping's frame: Ethernet, IPv4, ICMP and the data.
const FRAME_LEN: u32 = 14 + 20 + 8 + 56;

/// Starts a trace on `host`, and waits until it runs.
fn trace(scenario: &Scenario, host: &Namespace, more: &[&str]) -> Result<Process> {
    let process = scenario.start(host, &[&["trace", "--verbose"], more].concat())?;
    process.wait_for_line(TRACING)?;
    Ok(process)
}

/// The packets that a trace with `--json` printed until its end.
fn packets(process: Process) -> Result<Vec<Value>> {
    let (status, lines) = process.end()?;
    ensure!(status.success(), "{status}: {lines:?}");
    lines
        .iter()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).with_context(|| line.clone()))
        .collect()
}

fn require_ping(host: &Namespace) -> Result<()> {
    ensure!(ping(host, B_PRIVATE, 1, 56)?.returned == 1);
    Ok(())
}

fn a_ping_is_seen_on_both_sides(more: &[&str]) -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(more)?;
    let process = trace(&scenario, host, &["--json", "--count", "2"])?;
    require_ping(host)?;
    let packets = packets(process)?;
    ensure!(packets.len() == 2, "{packets:#?}");
    let [a, b, public_a, public_b] =
        [A_PRIVATE, B_PRIVATE, A_PUBLIC, B_PUBLIC].map(|address| address.to_string());
    for (packet, direction, from, to, wire_from, wire_to) in [
        (&packets[0], "egress", &a, &b, &public_a, &public_b),
        (&packets[1], "ingress", &b, &a, &public_b, &public_a),
    ] {
        assert_eq!(packet["direction"], direction, "{packet:#}");
        assert_eq!(packet["peer"], "srvb", "{packet:#}");
        assert_eq!(packet["outcome"], "rewritten", "{packet:#}");
        assert_eq!(packet["bytes"], FRAME_LEN, "{packet:#}");
        assert_eq!(packet["on_host"]["source"], *from, "{packet:#}");
        assert_eq!(packet["on_host"]["destination"], *to, "{packet:#}");
        assert_eq!(packet["on_wire"]["source"], *wire_from, "{packet:#}");
        assert_eq!(packet["on_wire"]["destination"], *wire_to, "{packet:#}");
    }
    Ok(())
}

#[test]
#[ignore = "takes a kernel that lets programs trace programs: cargo xtask vm"]
fn a_ping_is_seen_on_both_sides_by_clsact() -> Result<()> {
    a_ping_is_seen_on_both_sides(CLSACT)
}

#[test]
#[ignore = "takes a kernel that lets programs trace programs: cargo xtask vm"]
fn a_ping_is_seen_on_both_sides_by_tcx() -> Result<()> {
    a_ping_is_seen_on_both_sides(NOTHING_MORE)
}

#[test]
#[ignore = "takes a kernel that lets programs trace programs: cargo xtask vm"]
fn a_ping_is_seen_on_both_sides_with_xdp() -> Result<()> {
    a_ping_is_seen_on_both_sides(XDP)
}

#[test]
#[ignore = "takes a kernel that lets programs trace programs: cargo xtask vm"]
fn only_the_wanted_packets_are_shown() -> Result<()> {
    let scenario = Scenario::new()?;
    let (host, other) = (&scenario.lab.a, &scenario.lab.b);
    scenario.attach_both(CLSACT)?;
    let ended = scenario.try_run(host, &["trace", "--peer", "srvx"])?;
    ended.require(4, &["no peer has the name or the private address srvx"])?;
    let replies = ["--peer", "srvb", "--direction", "ingress", "--count", "1"];
    let lines = trace(&scenario, host, &replies)?;
    // A packet to a private address itself is dropped: it can't come from a peer.
    let dropped = ["--json", "--reason", "private-destination", "--count", "1"];
    let dropped = trace(&scenario, other, &dropped)?;
    require_ping(host)?;
    let (status, said) = lines.end()?;
    ensure!(status.success(), "{said:?}");
    let shown: Vec<_> = said.iter().filter(|line| line.contains(" srvb ")).collect();
    ensure!(shown.len() == 1, "{said:?}");
    let [from, to] = [B_PRIVATE, A_PRIVATE].map(|address| address.to_string());
    let [wire_from, wire_to] = [B_PUBLIC, A_PUBLIC].map(|address| address.to_string());
    let expected = format!(
        " ingress srvb  icmp {from} > {to} echo reply, {FRAME_LEN} bytes: on the wire {wire_from} > {wire_to}"
    );
    ensure!(shown[0].ends_with(&expected), "{}", shown[0]);

    let to_private = format!("{B_PRIVATE}/32");
    scenario.lab.router.run(&["ip", "route", "add", &to_private, "via", &B_PUBLIC.to_string()])?;
    ping(&scenario.lab.router, B_PRIVATE, 1, 56)?;
    let packets = packets(dropped)?;
    ensure!(packets.len() == 1, "{packets:#?}");
    assert_eq!(packets[0]["outcome"], "dropped", "{:#}", packets[0]);
    assert_eq!(packets[0]["reason"], "private-destination", "{:#}", packets[0]);
    assert_eq!(packets[0]["peer"], Value::Null, "{:#}", packets[0]);
    Ok(())
}

#[test]
#[ignore = "takes a kernel that lets programs trace programs: cargo xtask vm"]
fn a_file_holds_each_packet_on_both_sides() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(CLSACT)?;
    let path = scenario.path("trace.pcapng");
    let process = trace(&scenario, host, &["--write", &path, "--count", "2"])?;
    require_ping(host)?;
    let (status, lines) = process.end()?;
    ensure!(status.success(), "{lines:?}");
    let file = fs::read(&path)?;
    let mut packets = Vec::new();
    let mut reader =
        create_reader(1 << 20, &file[..]).map_err(|_| anyhow::anyhow!("no capture"))?;
    loop {
        let (offset, block) = match reader.next() {
            Ok(next) => next,
            Err(PcapError::Eof) => break,
            Err(PcapError::Incomplete(_)) => {
                reader.refill().map_err(|error| anyhow::anyhow!("no capture: {error:?}"))?;
                continue;
            }
            Err(error) => anyhow::bail!("the capture is cut: {error:?}"),
        };
        if let PcapBlockOwned::NG(Block::EnhancedPacket(packet)) = block {
            let comment = packet.options.iter().find(|option| option.code == OptionCode::Comment);
            let comment = comment.context("no comment")?.as_bytes();
            let comment = String::from_utf8(comment.context("a cut comment")?.to_vec())?;
            let addresses = packet.data.get(26..34).context("a short packet")?.to_vec();
            assert_eq!(packet.origlen, FRAME_LEN);
            packets.push((packet.if_id, addresses, comment));
        }
        reader.consume(offset);
    }
    let [a, b, public_a, public_b] =
        [A_PRIVATE, B_PRIVATE, A_PUBLIC, B_PUBLIC].map(|address| address.octets());
    let sent = format!("srvb: on the wire {A_PUBLIC} > {B_PUBLIC}");
    let received = format!("srvb: on the wire {B_PUBLIC} > {A_PUBLIC}");
    let expected = [
        (0, [a, b].concat(), sent.clone()),
        (1, [public_a, public_b].concat(), sent),
        (1, [public_b, public_a].concat(), received.clone()),
        (0, [b, a].concat(), received),
    ];
    assert_eq!(packets, expected);
    Ok(())
}

#[test]
#[ignore = "takes a kernel that lets programs trace programs: cargo xtask vm"]
fn a_trace_follows_programs_that_are_replaced() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let process = trace(&scenario, host, &["--json", "--count", "2"])?;
    // IPv6 addresses need different programs.
    let both = scenario.lab.cluster_toml_of(&testkit::lab::FAMILIES);
    scenario.file("cluster.toml", both)?;
    scenario.attach(host, NOTHING_MORE)?;
    // The trace looks for new programs each second, and may first find the programs that run during the change.
    wait_until("packets of the new programs", PATIENCE, || {
        require_ping(host)?;
        Ok((!process.runs()).then_some(()))
    })?;
    assert_eq!(packets(process)?.len(), 2);

    let process = trace(&scenario, host, &[])?;
    scenario.detach(host)?;
    let (status, lines) = process.end()?;
    ensure!(status.success(), "{lines:?}");
    Ok(())
}

#[test]
#[ignore = "takes a kernel that lets programs trace programs: cargo xtask vm"]
fn nothing_is_left_of_a_trace_that_was_killed() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let process = trace(&scenario, host, &[])?;
    let links = links_of(&process)?;
    assert_eq!(links.len(), 4, "{links:?}");
    process.signal(Signal::SIGINT)?;
    let (status, lines) = process.end()?;
    ensure!(status.success(), "{lines:?}");
    assert_eq!(loaded(&links)?, BTreeSet::new());

    let process = trace(&scenario, host, &[])?;
    let links = links_of(&process)?;
    assert_eq!(loaded(&links)?, links);
    process.kill()?;
    wait_until("the end of the links", PATIENCE, || Ok(loaded(&links)?.is_empty().then_some(())))?;
    scenario.require_traffic()
}

/// The ids of the links with which a process traces.
fn links_of(process: &Process) -> Result<BTreeSet<u32>> {
    let mut links = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{}/fdinfo", process.id()))? {
        let info = fs::read_to_string(entry?.path()).unwrap_or_default();
        if info.contains("link_type:\ttracing") {
            let id = info.lines().find_map(|line| line.strip_prefix("link_id:\t"));
            links.insert(id.context("no link id")?.parse()?);
        }
    }
    Ok(links)
}

/// The links that the kernel still has.
fn loaded(links: &BTreeSet<u32>) -> Result<BTreeSet<u32>> {
    let ids = loaded_links().filter_map(Result::ok).map(|link| link.id());
    Ok(ids.filter(|id| links.contains(id)).collect())
}
