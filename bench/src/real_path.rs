//! Nanoseconds of a run on the real path: what the kernel counts of each program under load
//! (`kernel.bpf_stats_enabled`), beside an empty program at the same place.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aya::programs::loaded_programs;
use aya::sys::{Stats, enable_stats};
use nix::net::if_::if_nametoindex;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use tempfile::TempDir;
use tests::lab::{B_PRIVATE, B_PUBLIC, Lab, LabOptions, PUBLIC_INTERFACE};
use tests::netns::Namespace;
use tunnel_common::maps::{EGRESS_PROGRAM, INGRESS_PROGRAM, XDP_PROGRAM};

use crate::chapter::Setting;
use crate::empty_program::{self, Place};
use crate::progress::Progress;
use crate::report::{Better, Row, Spread, Table};

/// What is sent, and to which port.
const PAYLOAD: [u8; 64] = [7; 64];
const PORT: u16 = 9;
/// How long it may take to be refused.
const DIAL_PATIENCE: Duration = Duration::from_secs(5);
/// Fewer runs than these are no load.
const RUNS_MIN: u64 = 1_000;

/// Two hosts with programs at the same places.
struct Variant {
    heading: &'static str,
    lab: Lab,
    to: SocketAddr,
    egress: &'static str,
    ingress: &'static str,
    /// What the datagrams end in: nobody reads it.
    _sink: UdpSocket,
    /// Links of programs that nobody else holds, and the file of the cluster.
    _kept: (Vec<OwnedFd>, Option<TempDir>),
}

/// Measures rewrite by tc, by XDP, and nothing at the same places.
///
/// # Errors
/// If a lab can't be made, or the kernel has no tcx to attach the empty program with.
pub fn run(setting: &Setting) -> Result<Vec<Table>> {
    let progress = Progress::start("making labs");
    let variants = [
        empty("empty, tc", Place::TcxIngress)?,
        rewritten(setting, "rewrite, tc", &[], INGRESS_PROGRAM)?,
        empty("empty, XDP", Place::Xdp)?,
        rewritten(setting, "rewrite, XDP", &["--ingress", "xdp"], XDP_PROGRAM)?,
    ];
    let _stats = enable_stats(Stats::RunTime).context("have the kernel measure programs")?;
    let rounds = setting.effort.choose(5, 15);
    let duration = Duration::from_millis(setting.effort.choose(300, 1000));
    let mut samples: Vec<[Vec<f64>; 2]> = variants.iter().map(|_| Default::default()).collect();
    for round in 0..rounds {
        progress.at(&format!("the real path, round {} of {rounds}", round + 1));
        for (variant, samples) in variants.iter().zip(&mut samples) {
            let figures = variant.measure(duration).with_context(|| variant.heading.to_owned())?;
            for (samples, figure) in samples.iter_mut().zip(figures) {
                samples.push(figure);
            }
        }
    }
    let row = |what: &str, direction: usize| Row {
        what: what.to_owned(),
        cells: samples.iter().map(|samples| Spread::of(&samples[direction])).collect(),
    };
    Ok(vec![Table {
        name: "real-path",
        title: format!(
            "Of a run under load, as the kernel counts it: UDP of {} bytes from A to B as fast as it goes, \
             all on one processor.",
            PAYLOAD.len()
        ),
        unit: "ns",
        digits: 0,
        better: Better::Less,
        columns: variants.iter().map(|variant| variant.heading.to_owned()).collect(),
        rows: vec![row("egress of A", 0), row("ingress of B", 1)],
        notes: vec![
            "What the kernel takes to measure is within each figure. Egress is tc in all of them."
                .to_owned(),
        ],
    }])
}

fn lab() -> Result<Lab> {
    Lab::new(&LabOptions { prefix: "bp".to_owned(), ..LabOptions::default() })
}

fn rewritten(
    setting: &Setting,
    heading: &'static str,
    words: &[&str],
    ingress: &'static str,
) -> Result<Variant> {
    let lab = lab()?;
    let folder = tempfile::tempdir().context("make a folder")?;
    let file = folder.path().join("cluster.toml");
    std::fs::write(&file, lab.cluster_toml()).context("write the file")?;
    let file = file.to_str().context("the path of the file")?;
    for host in [&lab.a, &lab.b] {
        let attach = ["attach", PUBLIC_INTERFACE, "--config", file];
        setting.rewrite.run(host, &[&attach, words].concat())?;
    }
    let to = SocketAddr::from((B_PRIVATE, PORT));
    // Nobody listens; but a host that dials is attached, so that B no longer looks at the clock for each
    // of its packets.
    let dialled = lab.a.enter(|| TcpStream::connect_timeout(&to, DIAL_PATIENCE))?;
    ensure!(
        dialled.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused),
        "{to} does not refuse a connection"
    );
    let kept = (Vec::new(), Some(folder));
    let sink = sink(&lab.b)?;
    Ok(Variant { heading, lab, to, egress: EGRESS_PROGRAM, ingress, _sink: sink, _kept: kept })
}

fn empty(heading: &'static str, ingress: Place) -> Result<Variant> {
    let lab = lab()?;
    let mut links = Vec::new();
    let both = [(&lab.a, Place::TcxEgress, c"empty_egress"), (&lab.b, ingress, c"empty_ingress")];
    for (host, place, name) in both {
        let link = host.enter(|| -> io::Result<OwnedFd> {
            let program = empty_program::load(place.of(), name)?;
            empty_program::attach(&program, if_nametoindex(PUBLIC_INTERFACE)?, place)
        })?;
        links.push(link.context("attach the empty program (tcx: Linux 6.6)")?);
    }
    let to = SocketAddr::from((B_PUBLIC, PORT));
    let (egress, ingress) = ("empty_egress", "empty_ingress");
    let sink = sink(&lab.b)?;
    Ok(Variant { heading, lab, to, egress, ingress, _sink: sink, _kept: (links, None) })
}

fn sink(host: &Namespace) -> Result<UdpSocket> {
    host.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)))?.context("bind a socket")
}

impl Variant {
    /// Nanoseconds of a run of A's egress program, and of B's ingress program.
    fn measure(&self, duration: Duration) -> Result<[f64; 2]> {
        let before = Counted::now()?;
        send(&self.lab.a, self.to, duration)?;
        let after = Counted::now()?;
        Ok([after.busiest(&before, self.egress)?, after.busiest(&before, self.ingress)?])
    }
}

/// What the kernel has counted of every program: its name, runs and time, by id.
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

    /// Nanoseconds of a run since then, of the program of that name that ran most: other hosts have one
    /// as well, through which only answers go.
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

/// Sends as fast as it goes, from the first processor, where the receiving kernel then works as well.
fn send(from: &Namespace, to: SocketAddr, duration: Duration) -> Result<()> {
    let socket =
        from.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))?.context("make a socket")?;
    socket.connect(to).with_context(|| format!("choose a way to {to}"))?;
    thread::scope(|scope| {
        let sender = scope.spawn(|| -> Result<()> {
            let mut first = CpuSet::new();
            first.set(0).context("choose a processor")?;
            sched_setaffinity(Pid::from_raw(0), &first).context("stay on a processor")?;
            let end = Instant::now() + duration;
            while Instant::now() < end {
                for _ in 0..64 {
                    socket.send(&PAYLOAD).with_context(|| format!("send to {to}"))?;
                }
            }
            Ok(())
        });
        sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
