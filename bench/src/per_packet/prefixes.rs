//! Measures the nanoseconds per packet to and from peers that are prefixes.
//!
//! For a prefix, the programs check that the reverse translation leads to the same peer. Prefixes therefore can't
//! form a cycle (see `cycle`), in which a program rewrites its own output again. Each run here is a separate call,
//! also for the single address in the comparison.

use std::os::fd::AsFd as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testkit::test_run::{self, Way};
use tunnel_common::peers::Peer;
use tunnel_user::plan::attach_point::Program;

use super::cases::{Carries, Families, ipv4, ipv6};
use super::host::{Host, entries, type_of};
use super::octets::Octets;
use super::{Empty, columns, nanoseconds};
use crate::cpu_noise::Sampler;
use crate::progress::Progress;
use crate::report::{Better, Row, Spread, Table};
use crate::suite::Effort;

/// The number of calls in a sample. The sample is the median of the calls' durations.
const CALLS: usize = 2_000;
/// The number of host bits in a prefix.
const HOST_BITS: u8 = 8;
/// The host bits of the peer address in the packets.
const HOST: u32 = 5;

/// One row of the table.
struct Case {
    name: &'static str,
    peers: u32,
    host_bits: u8,
}

const CASES: [Case; 3] = [
    Case { name: "1 single address", peers: 1, host_bits: 0 },
    Case { name: "1 prefix", peers: 1, host_bits: HOST_BITS },
    Case { name: "1024 prefixes", peers: 1024, host_bits: HOST_BITS },
];

/// Measures all cases in interleaved rounds.
///
/// # Errors
/// If the kernel rejects a map or a program, or a program does not rewrite a packet.
pub fn table(
    effort: Effort,
    empty: &Empty,
    sampler: &Sampler,
    progress: &Progress,
) -> Result<Table> {
    let hosts = CASES.iter().map(Case::host).collect::<Result<Vec<_>>>()?;
    let rounds = effort.choose(5, 21);
    let mut rows: Vec<[[Vec<f64>; 3]; 2]> = CASES.iter().map(|_| Default::default()).collect();
    for round in 0..rounds {
        progress.at(&format!("peers that are prefixes, round {} of {rounds}", round + 1));
        for ((case, host), samples) in CASES.iter().zip(&hosts).zip(&mut rows) {
            for (column, program) in Program::ALL.into_iter().enumerate() {
                let frames = [
                    ipv4(program, Carries::Tcp, case.address(program)),
                    ipv6(program, Carries::Tcp, case.address(program)),
                ];
                for (frame, samples) in frames.iter().zip(samples.iter_mut()) {
                    let nanoseconds = sampler.sample(|| over_empty(host, program, frame, empty));
                    let what = || format!("{}, {program:?}", case.name);
                    samples[column].push(nanoseconds.with_context(what)?);
                }
            }
        }
    }
    let rows = CASES.iter().zip(&rows).flat_map(|(case, families)| {
        families.iter().zip(["IPv4", "IPv6"]).map(|(samples, version)| Row {
            what: format!("{version} TCP, {}", case.name),
            cells: samples.iter().map(|samples| Spread::of(samples)).collect(),
        })
    });
    Ok(Table {
        name: "per-packet-prefixes",
        title: format!(
            "Hits, minus an empty program of the same type: BPF_PROG_TEST_RUN, the median of {CALLS} calls \
             of one run a sample."
        ),
        unit: "ns",
        digits: 0,
        better: Better::Less,
        columns: columns(),
        rows: rows.collect(),
        notes: vec![
            "One run per call finds colder caches than many runs: compare within this table."
                .to_owned(),
        ],
    })
}

impl Case {
    fn host(&self) -> Result<Host> {
        let mut host = Host::load(self.peers, Families::Both, self.host_bits > 0)?;
        host.add(self.entries::<[u8; 4]>())?;
        host.add(self.entries::<[u8; 16]>())?;
        Ok(host)
    }

    fn entries<A: Octets>(&self) -> impl Iterator<Item = (A, Peer<A>)> {
        let (host_bits, length) = (self.host_bits, A::BITS - self.host_bits);
        (0..self.peers).flat_map(move |slot| entries(slot, slot << host_bits, length))
    }

    /// An address of the peer in the middle of the list.
    fn address<A: Octets>(&self, program: Program) -> A {
        let host = if self.host_bits == 0 { 0 } else { HOST };
        let address = ((self.peers / 2) << self.host_bits) + host;
        match program {
            Program::Egress => A::private(address),
            Program::Ingress | Program::Xdp => A::public(address),
        }
    }
}

fn over_empty(host: &Host, program: Program, frame: &[u8], empty: &Empty) -> Result<f64> {
    let of = type_of(program);
    let (nothing, program) = (empty.of(of), host.program(program)?);
    let mut times: [Vec<Duration>; 2] = Default::default();
    for _ in 0..CALLS {
        for (fd, times) in [nothing, program].into_iter().zip(&mut times) {
            times.push(test_run::repeat(fd, of, frame, Way::default(), 1)?.1);
        }
    }
    let ran = test_run::run(program.as_fd(), of, frame, Way::default())?;
    ensure!(ran.frame != frame, "the packet is not rewritten");
    let [nothing, own] = times.map(median);
    Ok(nanoseconds(own) - nanoseconds(nothing))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
