//! Tests that a thread may replace a peer's entry while a program reads it. No packet goes to the wrong peer, and no
//! packet is left unchanged.
//!
//! The kernel immediately reuses the memory of a replaced entry for the next written entry. One thread
//! replaces the entries of b and c, and adds and removes d's entries. A second thread runs the
//! programs on packets of b.
//!
//! `REPLACED_RUNS` is the number of runs of each program in each family. Needs root.

mod host;
mod writer;

use std::env;
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result, ensure};
use testkit::packet::{Ipv4, Ipv6, Udp};
use testkit::test_run::{self, Type, Way};

use host::{Family, Host, Program};
use writer::Writer;

/// The number of runs of each program in an ordinary test.
const RUNS: u64 = 200_000;

/// The number of packets by outcome.
#[derive(Debug, Default)]
struct Tally {
    /// The number of packets that were rewritten to b's other address.
    rewritten: u64,
    /// The number of dropped packets: the entry was another peer's at both lookups, or was present at the second lookup
    /// only.
    contended: u64,
    left_alone: u64,
    /// The number of packets with any other content, for example another peer's address.
    misled: u64,
}

/// Runs a program on `before`, and expects `after`.
fn run(program: Program, family: Family, before: &[u8], after: &[u8]) -> Result<()> {
    let runs = match env::var("REPLACED_RUNS") {
        Ok(text) => text.parse().with_context(|| format!("REPLACED_RUNS={text}"))?,
        Err(_) => RUNS,
    };
    let host = Host::new()?;
    let (loaded, kind) = host.program(program)?;
    let writer = Writer::start(&host, family)?;
    let mut tally = Tally::default();
    for _ in 0..runs {
        let ran = test_run::run(loaded.as_fd(), kind, before, Way::default())?;
        let is_dropped = match kind {
            Type::Tc => ran.returned == 2,
            Type::Xdp => ran.returned == 1,
        };
        let count = match &ran.frame {
            _ if is_dropped => &mut tally.contended,
            frame if frame == after => &mut tally.rewritten,
            frame if frame == before => &mut tally.left_alone,
            _ => &mut tally.misled,
        };
        *count += 1;
    }
    let replaced = writer.stop()?;
    println!("{program:?} {family:?}: {tally:?} while entries were replaced {replaced} times");
    ensure!(replaced > runs / 100, "entries were replaced {replaced} times");
    ensure!(tally.misled == 0, "{tally:?}");
    ensure!(tally.left_alone == 0, "{tally:?}");
    ensure!(tally.contended * 1000 < runs, "too many are dropped: {tally:?}");
    Ok(())
}

fn ipv4(program: Program) -> Result<()> {
    let payload = || Udp::new(vec![7; 100]);
    let a_to_b = |a: [u8; 4], b: [u8; 4]| Ipv4::new(a.into(), b.into(), payload());
    let b_to_a = |a: [u8; 4], b: [u8; 4]| Ipv4::new(b.into(), a.into(), payload());
    let private = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let public = ([198, 51, 100, 2], [203, 0, 113, 2]);
    let [before, after] = match program {
        Program::Egress => [a_to_b(private.0, private.1), a_to_b(public.0, public.1)],
        Program::Ingress | Program::Xdp => {
            [b_to_a(public.0, public.1), b_to_a(private.0, private.1)]
        }
    }
    .map(|packet| packet.to_frame().to_bytes());
    run(program, Family::V4, &before, &after)
}

fn ipv6(program: Program) -> Result<()> {
    let payload = || Udp::new(vec![7; 100]);
    let private = ("fd00::1".parse()?, "fd00::2".parse()?);
    let public = ("2001:db8:a::2".parse()?, "2001:db8:b::2".parse()?);
    let [before, after] = match program {
        Program::Egress => [(private.0, private.1), (public.0, public.1)],
        Program::Ingress | Program::Xdp => [(public.1, public.0), (private.1, private.0)],
    }
    .map(|(source, destination)| Ipv6::new(source, destination, payload()).to_frame().to_bytes());
    run(program, Family::V6, &before, &after)
}

#[test]
fn egress_finds_the_right_peer_or_none_ipv4() -> Result<()> {
    ipv4(Program::Egress)
}

#[test]
fn egress_finds_the_right_peer_or_none_ipv6() -> Result<()> {
    ipv6(Program::Egress)
}

#[test]
fn ingress_finds_the_right_peer_or_none_ipv4() -> Result<()> {
    ipv4(Program::Ingress)
}

#[test]
fn ingress_finds_the_right_peer_or_none_ipv6() -> Result<()> {
    ipv6(Program::Ingress)
}

#[test]
fn xdp_finds_the_right_peer_or_none_ipv4() -> Result<()> {
    ipv4(Program::Xdp)
}

#[test]
fn xdp_finds_the_right_peer_or_none_ipv6() -> Result<()> {
    ipv6(Program::Xdp)
}
