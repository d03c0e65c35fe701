//! Measures each program's nanoseconds per packet with BPF_PROG_TEST_RUN, minus the nanoseconds of an empty
//! program of the same type.

mod bare_lookup;
mod cases;
mod cycle;
mod host;
mod octets;
mod prefixes;

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use anyhow::{Context as _, Result, ensure};
use testkit::packet::hex;
use testkit::test_run::{self, Type, Way};
use tunnel_user::plan::attach_point::Program;

use self::bare_lookup::BareLookup;
use self::cases::{Case, Families, Version, Whose};
use self::cycle::Members;
pub use self::host::entries;
use self::host::{Host, type_of};
pub use self::octets::Octets;
use crate::cpu_noise::Sampler;
use crate::empty_program;
use crate::interrupt::cleanly;
use crate::processor::Processor;
use crate::progress::Progress;
use crate::report::{Better, Row, Spread, Table};
use crate::suite::{Effort, Setting};

/// The number of runs in a sample. The number is odd, so that a hot sample ends at the other member, and its output
/// differs from its input. A cold sample starts where the previous sample ended, so that no member repeats before all
/// members have had a turn.
const RUNS: u32 = 100_001;

/// Measures all cases in interleaved rounds. Each round takes one sample of each case, and runs the empty
/// program before each sample.
///
/// # Errors
/// If the kernel rejects a map or a program, or a program's output is not the expected packet.
pub fn run(setting: &Setting) -> Result<Vec<Table>> {
    cleanly(|interrupt| {
        let processor = Processor::choose()?;
        let sampler = setting.cpu_noise.sampler([processor], interrupt);
        processor.run(|| measure(setting.effort, &sampler))
    })
}

fn measure(effort: Effort, sampler: &Sampler) -> Result<Vec<Table>> {
    let progress = Progress::start("filling the maps");
    let hosts = cases::hosts()
        .map(|(members, families)| Ok((host(members, families)?, cases::cases(members, families))))
        .collect::<Result<Vec<_>>>()?;
    let empty = Empty {
        tc: empty_program::load(Type::Tc, "empty")?,
        xdp: empty_program::load(Type::Xdp, "empty")?,
    };
    let mut measured: Vec<_> = hosts
        .iter()
        .flat_map(|(host, cases)| cases.iter().map(move |case| Measured::new(host, *case)))
        .collect();
    let mut lookups = BareLookup::all()?;
    let rounds = effort.choose(7, 31);
    for round in 0..rounds {
        progress.at(&format!("nanoseconds per packet, round {} of {rounds}", round + 1));
        for measured in &mut measured {
            measured.once_more(&empty, sampler).with_context(|| measured.case.name())?;
        }
        for lookup in &mut lookups {
            lookup.once_more(&empty, sampler)?;
        }
    }
    let table = Table {
        name: "per-packet",
        title: format!(
            "Minus an empty program of the same type: BPF_PROG_TEST_RUN, {RUNS} runs a sample, {} bytes \
             of payload.",
            cases::PAYLOAD
        ),
        unit: "ns",
        digits: 0,
        better: Better::Less,
        columns: columns(),
        rows: measured.iter().map(Measured::row).collect(),
        notes: vec![
            "A hit alternates between two members; a cold hit takes all members in an order without locality, each \
             with its own counters."
                .to_owned(),
        ],
    };
    let lookups = bare_lookup::table(&lookups);
    Ok(vec![table, lookups, prefixes::table(effort, &empty, sampler, &progress)?])
}

fn columns() -> Vec<String> {
    Program::ALL.map(|program| heading(program).to_owned()).into()
}

const fn heading(program: Program) -> &'static str {
    match program {
        Program::Egress => "tc egress",
        Program::Ingress => "tc ingress",
        Program::Xdp => "XDP ingress",
    }
}

fn host(members: Members, families: Families) -> Result<Host> {
    let mut host = Host::load(members.all().end, families, false)?;
    if families.include(Version::V4) {
        host.add(cycle::entries::<[u8; 4]>(members))?;
    }
    if families.include(Version::V6) {
        host.add(cycle::entries::<[u8; 16]>(members))?;
    }
    Ok(host)
}

struct Empty {
    tc: OwnedFd,
    xdp: OwnedFd,
}

impl Empty {
    fn of(&self, of: Type) -> BorrowedFd<'_> {
        match of {
            Type::Tc => self.tc.as_fd(),
            Type::Xdp => self.xdp.as_fd(),
        }
    }
}

struct Measured<'a> {
    host: &'a Host,
    case: Case,
    /// Each program, the cycle's next member for the program, and the program's samples.
    programs: [(Program, u32, Vec<f64>); 3],
}

impl<'a> Measured<'a> {
    fn new(host: &'a Host, case: Case) -> Self {
        let first = match case.whose {
            Whose::Hot => case.members.hot()[0],
            Whose::Cold | Whose::Nobody => 0,
        };
        Self { host, case, programs: Program::ALL.map(|program| (program, first, Vec::new())) }
    }

    fn once_more(&mut self, empty: &Empty, sampler: &Sampler) -> Result<()> {
        for (program, member, samples) in &mut self.programs {
            let sample = || over_empty(self.host, self.case, *program, member, empty);
            samples.push(sampler.sample(sample)?);
        }
        Ok(())
    }

    fn row(&self) -> Row {
        let cells = self.programs.iter().map(|(_, _, samples)| Spread::of(samples)).collect();
        Row { what: self.case.name(), cells }
    }
}

/// Takes a sample that begins with `member`, and sets `member` to the next sample's first member.
fn over_empty(
    host: &Host,
    case: Case,
    program: Program,
    member: &mut u32,
    empty: &Empty,
) -> Result<f64> {
    let of = type_of(program);
    let frame = case.frame(program, *member);
    let way = Way::default();
    let (_, floor) = test_run::repeat(empty.of(of), of, &frame, way, RUNS)?;
    let (ran, time) = test_run::repeat(host.program(program)?, of, &frame, way, RUNS)?;
    if case.whose != Whose::Nobody {
        *member = case.members.after_steps(*member, RUNS);
    }
    let wanted = case.frame(program, *member);
    ensure!(
        ran.frame == wanted,
        "{program:?} returns another packet: {} instead of {}",
        hex::dump(&ran.frame),
        hex::dump(&wanted)
    );
    Ok(nanoseconds(time) - nanoseconds(floor))
}

fn nanoseconds(time: std::time::Duration) -> f64 {
    time.as_nanos() as f64
}
