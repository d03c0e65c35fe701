//! Measures the nanoseconds per run of each program in the kernel's packet path under load, with the kernel's
//! statistics (`kernel.bpf_stats_enabled`). For comparison, also measures an empty program at the same attach point.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aya::programs::loaded_programs;
use aya::sys::{Stats, enable_stats};
use testkit::lab::{A_PRIVATE, A_PUBLIC, B_PRIVATE, B_PUBLIC, Lab, LabOptions};
use testkit::netns::Namespace;
use tunnel_user::plan::attach_point::Program;

use crate::attaching::attach_both;
use crate::empty_program::{self, AttachPoint};
use crate::end_to_end::{PREFIX, require_traffic};
use crate::interrupt::{Interrupt, cleanly};
use crate::processor::Processor;
use crate::progress::Progress;
use crate::report::{Better, Row, Spread, Table};
use crate::suite::Setting;
use crate::text_file::TextFile;

/// The datagrams' payload and destination port.
const PAYLOAD: [u8; 64] = [7; 64];
const PORT: u16 = 9;
/// The minimum number of runs for a valid measurement.
const RUNS_MIN: u64 = 1_000;
/// The empty programs' names.
const EMPTY_EGRESS: &str = "empty_egress";
const EMPTY_INGRESS: &str = "empty_ingress";

/// Two hosts, with an egress program on A and an ingress program on B.
struct Variant {
    heading: &'static str,
    lab: Lab,
    to: SocketAddr,
    /// The names of A's egress program, and of B's ingress program.
    names: [&'static str; 2],
    /// The socket that receives the datagrams. No code reads from this socket.
    _sink: UdpSocket,
    /// The links of the empty programs. Dropping this field detaches the programs.
    _links: Vec<OwnedFd>,
}

/// Measures rewrite with tc and with XDP, and empty programs at the same attach points.
///
/// # Errors
/// If a lab can't be made, or the kernel lacks tcx for the empty program.
pub fn run(setting: &Setting) -> Result<Vec<Table>> {
    cleanly(|interrupt| {
        let processor = Processor::choose()?;
        let progress = Progress::start("creating labs");
        let variants = [
            empty("empty, tc", AttachPoint::TcxIngress, interrupt)?,
            rewritten("rewrite, tc", Program::Ingress, &[], setting, interrupt)?,
            empty("empty, XDP", AttachPoint::Xdp, interrupt)?,
            rewritten("rewrite, XDP", Program::Xdp, &["--ingress", "xdp"], setting, interrupt)?,
        ];
        let _stats = enable_stats(Stats::RunTime).context("have the kernel measure programs")?;
        let sampler = setting.cpu_noise.sampler([processor], interrupt);
        let rounds = setting.effort.choose(5, 15);
        let duration = Duration::from_millis(setting.effort.choose(300, 1000));
        let mut samples: Vec<Samples> = variants.iter().map(|_| Default::default()).collect();
        for round in 0..rounds {
            progress.at(&format!("the real path, round {} of {rounds}", round + 1));
            for (variant, samples) in variants.iter().zip(&mut samples) {
                let measure = || variant.measure(duration, processor);
                let figures = sampler.sample(measure);
                for (samples, figure) in samples.iter_mut().zip(figures.context(variant.heading)?) {
                    samples.push(figure);
                }
            }
        }
        Ok(vec![table(&variants, &samples)])
    })
}

/// The samples of A's egress program, and of B's ingress program.
type Samples = [Vec<f64>; 2];

fn table(variants: &[Variant], samples: &[Samples]) -> Table {
    let row = |what: &str, direction: usize| Row {
        what: what.to_owned(),
        cells: samples.iter().map(|samples| Spread::of(&samples[direction])).collect(),
    };
    Table {
        name: "real-path",
        title: format!(
            "One run under load, by the kernel's statistics: UDP with {} bytes from A to B at full speed, all on \
             one processor.",
            PAYLOAD.len()
        ),
        unit: "ns",
        digits: 0,
        better: Better::Less,
        columns: variants.iter().map(|variant| variant.heading.to_owned()).collect(),
        rows: vec![row("egress of A", 0), row("ingress of B", 1)],
        notes: vec![
            "Each figure includes the kernel's own cost of measuring. Egress is tc in all variants."
                .to_owned(),
        ],
    }
}

fn lab(interrupt: &Interrupt) -> Result<Lab> {
    interrupt.check()?;
    Lab::new(&LabOptions { prefix: PREFIX.to_owned(), ..LabOptions::default() })
}

fn rewritten(
    heading: &'static str,
    ingress: Program,
    options: &[&str],
    setting: &Setting,
    interrupt: &Interrupt,
) -> Result<Variant> {
    let lab = lab(interrupt)?;
    attach_both(&setting.rewrite, &lab, &TextFile::with(&lab.cluster_toml())?, options)?;
    require_traffic(&lab, A_PRIVATE, B_PRIVATE)?;
    let names = [Program::Egress, ingress].map(Program::name);
    Variant::new(heading, lab, B_PRIVATE, names, Vec::new())
}

fn empty(heading: &'static str, ingress: AttachPoint, interrupt: &Interrupt) -> Result<Variant> {
    let lab = lab(interrupt)?;
    let links = vec![
        empty_program::attach(&lab.a, AttachPoint::TcxEgress, EMPTY_EGRESS)?,
        empty_program::attach(&lab.b, ingress, EMPTY_INGRESS)?,
    ];
    require_traffic(&lab, A_PUBLIC, B_PUBLIC)?;
    Variant::new(heading, lab, B_PUBLIC, [EMPTY_EGRESS, EMPTY_INGRESS], links)
}

impl Variant {
    fn new(
        heading: &'static str,
        lab: Lab,
        to: Ipv4Addr,
        names: [&'static str; 2],
        links: Vec<OwnedFd>,
    ) -> Result<Self> {
        let to = SocketAddr::from((to, PORT));
        let sink = lab.b.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)))?;
        let sink = sink.with_context(|| format!("bind to port {PORT} in {}", lab.b.name()))?;
        Ok(Self { heading, lab, to, names, _sink: sink, _links: links })
    }

    /// Measures the nanoseconds per run of A's egress program and of B's ingress program.
    fn measure(&self, duration: Duration, processor: Processor) -> Result<[f64; 2]> {
        let before = Counted::now()?;
        send(&self.lab.a, self.to, duration, processor)?;
        let after = Counted::now()?;
        let [egress, ingress] = self.names;
        Ok([after.busiest(&before, egress)?, after.busiest(&before, ingress)?])
    }
}

/// The kernel's statistics of every loaded program: the name, the number of runs and the total run time, by
/// program ID.
struct Counted(BTreeMap<u32, (String, u64, Duration)>);

impl Counted {
    fn now() -> Result<Self> {
        let each = loaded_programs().map(|info| {
            let info = info.context("ask for a program")?;
            let name = info.name_as_str().unwrap_or_default().to_owned();
            Ok((info.id(), (name, info.run_count(), info.run_time())))
        });
        Ok(Self(each.collect::<Result<_>>()?))
    }

    /// The nanoseconds per run since `before` of the busiest program with this name. Programs on other hosts
    /// have the same name, but process none of the datagrams.
    fn busiest(&self, before: &Self, name: &str) -> Result<f64> {
        let since = self.0.iter().filter(|(_, (found, ..))| found == name).map(|(id, now)| {
            let (_, runs, time) = before.0.get(id).cloned().unwrap_or_default();
            (now.1 - runs, now.2 - time)
        });
        let (runs, time) = since.max().with_context(|| format!("no program {name}"))?;
        ensure!(runs >= RUNS_MIN, "{name} ran {runs} times only");
        Ok(time.as_nanos() as f64 / runs as f64)
    }
}

/// Sends datagrams at full speed. The kernel receives the datagrams on the same processor.
fn send(from: &Namespace, to: SocketAddr, duration: Duration, processor: Processor) -> Result<()> {
    from.enter(|| {
        processor.keep_thread()?;
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("create a socket")?;
        socket.connect(to).with_context(|| format!("connect to {to}"))?;
        let end = Instant::now() + duration;
        while Instant::now() < end {
            for _ in 0..64 {
                socket.send(&PAYLOAD).with_context(|| format!("send to {to}"))?;
            }
        }
        Ok(())
    })?
}
