//! Runs one episode: feeds the same packets to the programs and to the model. Both start in the state of a host that
//! has not seen a packet.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use testkit::packet::hex;
use tunnel_common::outcome::Direction;
use tunnel_user::plan::attach_point::Program;

use crate::cluster::{Cluster, Link};
use crate::counts::Counts;
use crate::difference::{self, Difference};
use crate::model::{Memory, Model, Prediction};
use crate::programs::{self, Programs};
use crate::round_trip;
use crate::steps::{Episode, STEPS, Step};
use crate::tally::Tally;
use testkit::test_run::Type;

/// The number of steps between two comparisons of counters and memory.
const BLOCK: u64 = 250;

/// The programs of a host and of the other side.
pub struct Hosts<'a> {
    /// The host and its peers.
    pub cluster: &'a Cluster,
    /// The host's programs.
    pub programs: &'a mut Programs,
    /// The [`round_trip::other_side`] of the cluster.
    pub other_cluster: &'a Cluster,
    /// The other side's programs.
    pub other_programs: &'a mut Programs,
    /// Seconds since the machine started.
    pub now: u32,
}

/// A difference between the programs and the model.
pub enum Fault {
    /// A difference in a step's result.
    Step(u64, Step, Prediction, Difference),
    /// A difference in counters or memory after this number of steps. A step of the last block has caused it.
    Block(u64, Difference),
}

/// If an episode takes longer than this and finds a difference, it runs again: the entries with the shortest lifetime,
/// half a minute, may have expired.
const LONGEST: Duration = Duration::from_secs(20);

/// Runs an episode up to the first difference. If counters or memory differ, `run` repeats the episode to find the
/// step.
pub fn run(hosts: &mut Hosts, episode: &Episode, tally: &mut Tally) -> Result<Option<Fault>> {
    let started = Instant::now();
    let mut found = run_comparing(hosts, episode, None, tally)?;
    if found.is_some() && started.elapsed() > LONGEST {
        found = run_comparing(hosts, episode, None, &mut Tally::default())?;
    }
    let Some(Fault::Block(end, difference)) = found else { return Ok(found) };
    let start = end.saturating_sub(BLOCK);
    let again = run_comparing(hosts, episode, Some(start), &mut Tally::default())?;
    Ok(Some(again.unwrap_or(Fault::Block(end, difference))))
}

/// Runs the whole episode, or stops at the first difference. Compares each step's result, and compares counters and
/// memory after every block, and after every step from `closely` on.
fn run_comparing(
    hosts: &mut Hosts,
    episode: &Episode,
    closely: Option<u64>,
    tally: &mut Tally,
) -> Result<Option<Fault>> {
    hosts.programs.start(hosts.cluster)?;
    hosts.other_programs.start(hosts.other_cluster)?;
    let mut model = Model::new(hosts.cluster, hosts.now);
    let mut counted = Counts::default();
    for index in 0..STEPS {
        let step = episode.step(index);
        let frame = &step.packet.bytes;
        let direction = programs::direction(step.program);
        let prediction = match direction {
            Direction::Egress => model.egress(frame, step.way.segments),
            Direction::Ingress => {
                model.ingress(frame, step.way.segments, is_returnable(hosts.cluster, &step))
            }
        };
        counted.count(direction, prediction.fate, step.way.segments, frame.len());
        tally.count(step.program, &prediction);
        if let Some(difference) = run_step(hosts, &step, &prediction, tally)? {
            return Ok(Some(Fault::Step(index, step, prediction, difference)));
        }
        let is_close = closely.is_some_and(|start| index >= start);
        if is_close || (index + 1) % BLOCK == 0 {
            let difference = compare_state(hosts, &model.memory, &counted)?;
            match difference {
                Some(difference) if is_close => {
                    return Ok(Some(Fault::Step(index, step, prediction, difference)));
                }
                Some(difference) => return Ok(Some(Fault::Block(index + 1, difference))),
                None => {}
            }
        }
    }
    Ok(None)
}

/// True if the program can send the frame back. In a test run, the frame belongs to the loopback device, whose link
/// address is zero (Linux, net/bpf/test_run.c, bpf_prog_test_run_skb).
fn is_returnable(cluster: &Cluster, step: &Step) -> bool {
    step.program == Program::Ingress
        && step.way.segments == 0
        && cluster.link == Link::Ethernet
        && step.packet.bytes.starts_with(&[0; 6])
}

/// Runs a step, and then takes the frame back through the other side's programs.
fn run_step(
    hosts: &mut Hosts,
    step: &Step,
    prediction: &Prediction,
    tally: &mut Tally,
) -> Result<Option<Difference>> {
    let ran = match hosts.programs.run(step.program, &step.packet.bytes, step.way) {
        Ok(ran) => ran,
        Err(error) => return Ok(Some(Difference::new(format!("  {error:#}\n")))),
    };
    let difference = difference::find(
        programs::verdict(step.program, ran.returned),
        prediction.fate.verdict(),
        &ran.frame,
        &prediction.after.frame,
        &prediction.after.doubtful,
    );
    if difference.is_some() || !round_trip::exists(hosts.cluster, step, prediction) {
        return Ok(difference);
    }
    tally.count_way_back(step.program);
    let back = round_trip::back(hosts.other_programs, step, prediction)?;
    Ok(back.map(|difference| Difference::new(format!("  on the way back:\n{difference}"))))
}

/// Compares counters and memory.
fn compare_state(hosts: &Hosts, memory: &Memory, counted: &Counts) -> Result<Option<Difference>> {
    let mut words = String::new();
    let (counts, before) = hosts.programs.counts()?;
    let expected = before.plus(counted);
    let names: BTreeSet<&String> = expected.0.keys().chain(counts.0.keys()).collect();
    for name in names {
        let (expected, got) = (expected.0.get(name), counts.0.get(name));
        if expected != got {
            let _ = writeln!(words, "  counter {name}: expected {expected:?}, got {got:?}");
        }
    }
    let held = hosts.programs.memory(hosts.cluster)?;
    for (range, expected) in &memory.marks {
        let got = held.marks.get(range);
        if got != Some(expected) {
            let _ = writeln!(words, "  marks of {range:?}: expected {expected:?}, got {got:?}");
        }
    }
    for (range, expected) in &memory.pairs {
        let got = held.pairs.get(range);
        if got != Some(expected) {
            let _ = writeln!(words, "  packets to {range:?}: expected {expected:?}, got {got:?}");
        }
    }
    for (key, expected) in &memory.flows {
        let got = held.flows.get(key);
        if got != Some(expected) {
            let _ = writeln!(words, "  {key:?}: expected {expected:?}, got {got:?}");
        }
    }
    for (key, got) in held.flows.iter().filter(|(key, _)| !memory.flows.contains_key(key)) {
        let _ = writeln!(words, "  {key:?}: expected no entry, got {got:?}");
    }
    Ok((!words.is_empty()).then(|| Difference::new(words)))
}

impl Fault {
    /// Describes the fault.
    pub fn report(&self) -> String {
        match self {
            Self::Block(end, difference) => {
                format!(
                    "in one of the {BLOCK} steps before {end}, and not when run again:\n{difference}"
                )
            }
            Self::Step(index, step, prediction, difference) => {
                let kind = match programs::type_of(step.program) {
                    Type::Tc => "tc",
                    Type::Xdp => "XDP",
                };
                format!(
                    "step {index}, {} at {kind}, {:?}\n  {}\n  expected: {:?}\n{difference}   in, {} \
                     bytes\n{}",
                    step.program.name(),
                    step.way,
                    step.packet.description,
                    prediction.fate,
                    step.packet.bytes.len(),
                    hex::dump(&step.packet.bytes),
                )
            }
        }
    }
}
