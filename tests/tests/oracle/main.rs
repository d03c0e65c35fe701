//! Compares the programs with a model of the packet table, on random packets. Needs root.
//!
//! The test compares verdict, frame, counters and memory. A rewritten frame then goes through the programs at the other
//! end of the wire, which must restore the original frame. The exceptions are in `round_trip`.
//!
//! - `ORACLE_PACKETS`: the number of frames for each program; 30,000 if unset.
//! - `ORACLE_SEED`: the seed of an earlier run. Every run prints its seed.
//! - `ORACLE_EPISODE`: `CLUSTER/INDEX`, to run only that episode.
//! - `ORACLE_OBJECT`: the path of an object file to run in place of the built-in object.

mod cluster;
mod clusters;
mod counts;
mod difference;
mod episode;
mod model;
mod programs;
mod round_trip;
mod steps;
mod tables;
mod tally;

use std::env;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};
use tunnel_common::outcome::{Direction, Reason};
use tunnel_user::plan::attach_point::Program;

use cluster::{Cluster, Link};
use episode::Hosts;
use programs::{Abilities, Loaded};
use steps::{Episode, STEPS};
use tally::{
    NOT_OURS, NOTICE_MARKED, PROBE_STAMPED, REWRITTEN, REWRITTEN_WITH_QUOTE, ROUTER_ERROR, STAMPED,
    STAMPED_FOR_STRANGER, Tally,
};

/// Frames for each program in an ordinary run.
const PACKETS: u64 = 30_000;

/// With this number of frames for each program, every outcome occurs in each program, unless there is a fault.
const LONG: u64 = 300_000;

#[test]
fn programs_and_model_agree() {
    let seed = number("ORACLE_SEED").unwrap_or_else(new_seed);
    let packets = number("ORACLE_PACKETS").unwrap_or(PACKETS);
    println!("ORACLE_SEED={seed} ORACLE_PACKETS={packets}");
    let only = env::var("ORACLE_EPISODE").ok();
    let mut tally = Tally::default();
    let mut faults = String::new();
    let clusters = clusters::all();
    let mut loaded = Loaded::default();
    // Divide by the number of clusters on Ethernet: only these clusters run the XDP program, which must get `packets`
    // frames, too.
    let with_xdp = clusters.iter().filter(|cluster| cluster.link == Link::Ethernet).count();
    for cluster in &clusters {
        let share_of_packets = packets.div_ceil(with_xdp as u64);
        let share = Share { seed, packets: share_of_packets, only: only.as_deref() };
        let result = run_cluster(cluster, share, &mut loaded, &mut tally);
        match result {
            Ok(None) => {}
            Ok(Some(report)) => faults.push_str(&report),
            Err(error) => panic!("{}: {error:?}", cluster.name),
        }
    }
    println!("{tally}");
    assert!(faults.is_empty(), "\n{faults}ORACLE_SEED={seed}");
    if only.is_some() {
        assert!(tally.frames(Program::Egress) > 0, "ORACLE_EPISODE names no cluster");
    } else if packets >= PACKETS {
        assert_wide(&tally, packets);
    }
}

/// The share of one cluster in a run.
#[derive(Clone, Copy)]
struct Share<'a> {
    seed: u64,
    /// Frames for each program.
    packets: u64,
    only: Option<&'a str>,
}

impl Share<'_> {
    /// The index of the first episode to run in `cluster`, if there is one.
    fn first_episode(&self, cluster: &Cluster) -> Result<Option<u64>> {
        let Some(only) = self.only else { return Ok(Some(0)) };
        let asked =
            only.split_once('/').and_then(|(name, index)| Some((name, index.parse().ok()?)));
        let (name, index) = asked.context("ORACLE_EPISODE is not CLUSTER/INDEX")?;
        Ok((name == cluster.name).then_some(index))
    }
}

/// Runs the episodes in `cluster` up to the first difference, and returns the report on it.
fn run_cluster(
    cluster: &Cluster,
    share: Share,
    pool: &mut Loaded,
    tally: &mut Tally,
) -> Result<Option<String>> {
    let Some(first) = share.first_episode(cluster)? else { return Ok(None) };
    let started = Instant::now();
    let other_cluster = round_trip::other_side(cluster);
    let mut programs = pool.take(cluster)?;
    let mut other_programs = pool.take(&other_cluster)?;
    let abilities = Abilities::of(&mut programs)?;
    let loaded = started.elapsed();
    let mut of_cluster = Tally::default();
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?.tv_sec() as u32;
    let mut index = first;
    loop {
        let episode = Episode::new(cluster, abilities, share.seed, index);
        let mut hosts = Hosts {
            cluster,
            programs: &mut programs,
            other_cluster: &other_cluster,
            other_programs: &mut other_programs,
            now,
        };
        if let Some(fault) = episode::run(&mut hosts, &episode, &mut of_cluster)? {
            let (name, report) = (cluster.name, fault.report());
            return Ok(Some(format!("ORACLE_EPISODE='{name}/{index}', {report}\n")));
        }
        index += 1;
        let least =
            Program::ALL.iter().map(|program| of_cluster.frames(*program)).filter(|n| *n > 0);
        if share.only.is_some() || least.min() >= Some(share.packets) {
            break;
        }
    }
    println!(
        "{}: {} episodes of {STEPS} steps in {:?}, loaded in {loaded:?}, {abilities:?}",
        cluster.name,
        index - first,
        started.elapsed(),
    );
    tally.add(&of_cluster);
    pool.give_back(programs);
    pool.give_back(other_programs);
    Ok(None)
}

/// Requires that every outcome has occurred. In a long run, requires this of each program.
fn assert_wide(tally: &Tally, packets: u64) {
    for program in Program::ALL {
        let frames = tally.frames(program);
        assert!(frames >= packets, "{}: {frames} frames", program.name());
        assert!(tally.ways_back(program) * 5 > frames, "{tally}");
        let of_ingress = match programs::direction(program) {
            Direction::Ingress => {
                &[NOTICE_MARKED, ROUTER_ERROR, STAMPED, PROBE_STAMPED, STAMPED_FOR_STRANGER][..]
            }
            Direction::Egress => &[],
        };
        let of_both = [NOT_OURS, REWRITTEN, REWRITTEN_WITH_QUOTE];
        let others = of_both.into_iter().chain(of_ingress.iter().copied());
        let reasons = Reason::ALL.iter().filter(|reason| concerns(**reason, program));
        for name in others.chain(reasons.map(|reason| reason.name())) {
            let counted: &[Program] = if packets >= LONG { &[program] } else { &Program::ALL };
            let count: u64 = counted.iter().map(|program| tally.with_fate(*program, name)).sum();
            assert!(count > 0, "{}: no {name}", program.name());
        }
    }
}

/// True if packets of this program can count for `reason`.
fn concerns(reason: Reason, program: Program) -> bool {
    let direction = programs::direction(program);
    match reason {
        Reason::ProbeAnswered => program == Program::Ingress,
        // These reasons need a kernel that refuses a write, other sockets, or other processors.
        Reason::WriteFailed | Reason::PortConflict | Reason::Contended => false,
        Reason::ForeignSource => direction == Direction::Egress,
        Reason::ForeignDestination
        | Reason::PublicFlow
        | Reason::Spoofed
        | Reason::StrayReset
        | Reason::PrivateDestination => direction == Direction::Ingress,
        _ => true,
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

fn new_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that was set");
    since.as_nanos() as u64
}
