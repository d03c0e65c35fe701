//! Runs rows against the programs and reports all that went wrong.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, anyhow};
use aya::maps::{HashMap, PerCpuArray, PerCpuValues};
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};
use aya::util::nr_cpus;
use aya::{Ebpf, EbpfLoader};
use tests::packet::hex;
use tunnel_common::counters::{Count, PeerCounters};
use tunnel_common::flows::{Flow, FlowState};
use tunnel_common::maps;
use tunnel_common::outcome::{Direction, Reason, ReasonCounters};
use tunnel_common::peers::{Peer, PeerKey};
use tunnel_user::dataplane::object::EBPF_OBJECT;

use crate::hosts::{Host, SRVB};
use crate::row::{Counted, DROP, PASS, Passage, Row};

/// Bytes of `struct __sk_buff`, the context that a test run may be given.
const CONTEXT_LEN: usize = 192;
/// Offset of `__sk_buff.gso_segs`.
const CONTEXT_GSO_SEGS: usize = 164;
/// Offset of `__sk_buff.gso_size`.
const CONTEXT_GSO_SIZE: usize = 176;

/// Runs every row and panics with a report of all that failed.
pub fn check(rows: Vec<Row>) {
    let mut lab = Lab::default();
    let mut report = String::new();
    let mut failed = 0;
    let total = rows.len();
    for row in rows {
        let faults = match lab.run_row(&row) {
            Ok(faults) => faults,
            Err(error) => format!("  could not be run: {error:#}\n"),
        };
        if !faults.is_empty() {
            failed += 1;
            let _ = write!(report, "\n{row}\n{faults}");
        }
    }
    assert!(failed == 0, "{failed} of {total} rows failed\n{report}");
}

/// The hosts whose programs are loaded: loading takes longer than a hundred rows.
#[derive(Default)]
struct Lab {
    hosts: Vec<(Host, Loaded)>,
}

impl Lab {
    /// What is wrong with a row; empty if nothing is.
    fn run_row(&mut self, row: &Row) -> Result<String> {
        let mut faults = String::new();
        let loaded = self.configured(&row.there.host)?;
        for (index, (direction, packet)) in row.before.iter().enumerate() {
            let (verdict, after) = loaded.run(*direction, packet, 0)?;
            if verdict != PASS || after != *packet {
                let _ = writeln!(faults, "  packet {index} before it was not left alone");
            }
        }
        faults.push_str(&passage_faults(loaded, &row.there)?);
        if let Some(back) = &row.back
            && faults.is_empty()
        {
            let back_faults = passage_faults(self.configured(&back.host)?, back)?;
            if !back_faults.is_empty() {
                let at = back.host.member.name;
                let _ = write!(faults, "  on the way back, at {at}:\n{back_faults}");
            }
        }
        Ok(faults)
    }

    /// The programs as `host` has them, with nothing remembered.
    fn configured(&mut self, host: &Host) -> Result<&mut Loaded> {
        let known = self.hosts.iter().position(|(known, _)| known == host);
        let index = match known {
            Some(index) => index,
            None => {
                // No row can be run without it, and the verifier's log is long.
                let loaded = Loaded::new().unwrap_or_else(|error| panic!("{error:#}"));
                self.hosts.push((*host, loaded));
                self.hosts.len() - 1
            }
        };
        let loaded = &mut self.hosts[index].1;
        loaded.forget()?;
        loaded.configure(host)?;
        Ok(loaded)
    }
}

fn passage_faults(loaded: &mut Loaded, passage: &Passage) -> Result<String> {
    let mut faults = String::new();
    loaded.reset_counters()?;
    let (verdict, after) = loaded.run(passage.direction, &passage.packet, passage.segments)?;
    if verdict != passage.verdict {
        let _ = writeln!(
            faults,
            "  verdict: expected {}, got {}",
            verdict_name(passage.verdict),
            verdict_name(verdict)
        );
    }
    let expected = expected_counts(passage);
    let counted = loaded.counts()?;
    if counted != expected {
        let _ = writeln!(faults, "  counted: expected {expected:?}, got {counted:?}");
    }
    if let Some(expected) = passage.settled_at {
        let settled_at = loaded.peer(SRVB.public)?.settled_at;
        if settled_at != expected {
            let _ = writeln!(faults, "  settled_at: expected {expected}, got {settled_at}");
        }
    }
    if let Some(offset) = hex::first_difference(&passage.expected, &after) {
        let _ = writeln!(faults, "  packet: differs from {offset:#06x} on");
        for (title, bytes) in
            [("in", &passage.packet), ("expected", &passage.expected), ("got", &after)]
        {
            let _ = write!(faults, "   {title}, {} bytes\n{}", bytes.len(), hex::dump(bytes));
        }
    }
    Ok(faults)
}

fn verdict_name(verdict: u32) -> String {
    match verdict {
        PASS => "pass".to_owned(),
        DROP => "drop".to_owned(),
        other => format!("{other}"),
    }
}

/// A counter's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counter {
    /// Rewritten packets of the peer in this slot.
    Peer(Direction, u32),
    /// Packets that were not rewritten.
    Reason(Direction, Reason),
}

fn expected_counts(passage: &Passage) -> Vec<(Counter, Count)> {
    let count =
        Count { packets: u64::from(passage.segments.max(1)), bytes: passage.packet.len() as u64 };
    match passage.counted {
        Counted::Nowhere => Vec::new(),
        Counted::ForPeer(slot) => vec![(Counter::Peer(passage.direction, slot), count)],
        Counted::As(reason) => vec![(Counter::Reason(passage.direction, reason), count)],
    }
}

/// The programs in the kernel, and their maps.
struct Loaded {
    ebpf: Ebpf,
}

impl Loaded {
    fn new() -> Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .override_global("AYA_LOG_LEVEL", &0u8, false)
            .load(EBPF_OBJECT)
            .context("cannot load the object")?;
        for direction in [Direction::Egress, Direction::Ingress] {
            program(&mut ebpf, direction)?
                .load()
                .with_context(|| format!("the kernel refuses the program for {direction:?}"))?;
        }
        Ok(Self { ebpf })
    }

    /// Writes all entries of `peers_v4`: what the programs changed in them is undone.
    fn configure(&mut self, host: &Host) -> Result<()> {
        let map = self.ebpf.map_mut(maps::PEERS_V4).context("no map of peers")?;
        let mut peers: HashMap<_, PeerKey<[u8; 4]>, Peer<[u8; 4]>> = HashMap::try_from(map)?;
        for (key, peer) in host.entries() {
            peers.insert(key, peer, 0)?;
        }
        Ok(())
    }

    /// The entry of `peers_v4` under an address.
    fn peer(&self, address: Ipv4Addr) -> Result<Peer<[u8; 4]>> {
        let map = self.ebpf.map(maps::PEERS_V4).context("no map of peers")?;
        let peers: HashMap<_, PeerKey<[u8; 4]>, Peer<[u8; 4]>> = HashMap::try_from(map)?;
        Ok(peers.get(&PeerKey { address: address.octets() }, 0)?)
    }

    /// Deletes all flows that the programs remember.
    fn forget(&mut self) -> Result<()> {
        let map = self.ebpf.map_mut(maps::FLOWS_V4).context("no map of flows")?;
        let mut flows: HashMap<_, Flow<[u8; 4]>, FlowState> = HashMap::try_from(map)?;
        let known: Vec<Flow<[u8; 4]>> = flows.keys().collect::<Result<_, _>>()?;
        for flow in known {
            flows.remove(&flow)?;
        }
        Ok(())
    }

    /// Sends `packet` through a program: the verdict and the packet that came out.
    fn run(
        &mut self,
        direction: Direction,
        packet: &[u8],
        segments: u32,
    ) -> Result<(u32, Vec<u8>)> {
        let mut context = [0; CONTEXT_LEN];
        if let Some(segment) = (packet.len() as u32).checked_div(segments) {
            context[CONTEXT_GSO_SEGS..][..4].copy_from_slice(&segments.to_ne_bytes());
            context[CONTEXT_GSO_SIZE..][..4].copy_from_slice(&segment.to_ne_bytes());
        }
        let mut after = vec![0; packet.len() + 256];
        let result = program(&mut self.ebpf, direction)?.test_run(TestRunOptions {
            data_in: Some(packet),
            data_out: Some(&mut after),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        })?;
        after.truncate(result.data_size_out as usize);
        Ok((result.return_value, after))
    }

    /// Every counter that isn't zero.
    fn counts(&self) -> Result<Vec<(Counter, Count)>> {
        let mut counts = Vec::new();
        let map = self.ebpf.map(maps::PEER_COUNTERS).context("no counters")?;
        let per_peer: PerCpuArray<_, PeerCounters> = PerCpuArray::try_from(map)?;
        for slot in 0..per_peer.len() {
            for one in per_peer.get(&slot, 0)?.iter() {
                counts.push((Counter::Peer(Direction::Egress, slot), one.egress));
                counts.push((Counter::Peer(Direction::Ingress, slot), one.ingress));
            }
        }
        let map = self.ebpf.map(maps::REASON_COUNTERS).context("no counters")?;
        let per_reason: PerCpuArray<_, ReasonCounters> = PerCpuArray::try_from(map)?;
        for direction in [Direction::Egress, Direction::Ingress] {
            for one in per_reason.get(&(direction as u32), 0)?.iter() {
                for reason in Reason::ALL {
                    counts.push((Counter::Reason(direction, *reason), one.get(*reason)));
                }
            }
        }
        counts.retain(|(_, count)| *count != Count::default());
        Ok(counts)
    }

    /// Sets all counters to zero.
    fn reset_counters(&mut self) -> Result<()> {
        let cpus = nr_cpus().map_err(|(path, error)| anyhow!("{path}: {error}"))?;
        for (counter, _) in self.counts()? {
            match counter {
                Counter::Peer(_, slot) => {
                    let map = self.ebpf.map_mut(maps::PEER_COUNTERS).context("no counters")?;
                    let zeros = PerCpuValues::try_from(vec![PeerCounters::default(); cpus])?;
                    PerCpuArray::try_from(map)?.set(slot, zeros, 0)?;
                }
                Counter::Reason(direction, _) => {
                    let map = self.ebpf.map_mut(maps::REASON_COUNTERS).context("no counters")?;
                    let zeros = PerCpuValues::try_from(vec![ReasonCounters::default(); cpus])?;
                    PerCpuArray::try_from(map)?.set(direction as u32, zeros, 0)?;
                }
            }
        }
        Ok(())
    }
}

fn program(ebpf: &mut Ebpf, direction: Direction) -> Result<&mut SchedClassifier> {
    let name = match direction {
        Direction::Egress => maps::EGRESS_PROGRAM,
        Direction::Ingress => maps::INGRESS_PROGRAM,
    };
    let program = ebpf.program_mut(name).context("no such program")?;
    Ok(program.try_into()?)
}
