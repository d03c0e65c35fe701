//! Loads the programs into the kernel, runs them, and fills and reads their maps.

use std::io;

use anyhow::{Context as _, Result, bail};
use aya::maps::HashMap;
use aya::programs::{
    ProgramError, SchedClassifier, TestRun as _, TestRunOptions, TestRunResult, Xdp,
};
use aya::{Ebpf, EbpfLoader};
use tunnel_common::bypass::{BypassKey, BypassValue};
use tunnel_common::counters::Count;
use tunnel_common::maps;
use tunnel_common::outcome::Verdict;
use tunnel_common::settings::{SETTINGS, Settings};
use tunnel_user::dataplane::load::EBPF_OBJECT;

use super::counters::{self, Counter};
use super::family_maps::{Maps, empty_hash};
use crate::family::{Dual, Family};
use crate::hosts::Host;
use crate::hosts::entries::Octets;
use crate::row::{Ingress, Note, Passage};

/// The capacity of `peer_counters`: enough for the peers of any test host, and small, as every row reads all slots.
const SLOTS: u32 = 16;
/// The length in bytes of `struct __sk_buff`, the context that a test run may get.
const CONTEXT_LEN: usize = 192;
/// The offset of `__sk_buff.gso_segs`.
const CONTEXT_GSO_SEGS: usize = 164;
/// The offset of `__sk_buff.gso_size`.
const CONTEXT_GSO_SIZE: usize = 176;

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The egress program.
    Egress,
    /// The ingress program at tc.
    Ingress,
    /// The ingress program at XDP.
    Xdp,
}

/// Two fields of an skb that the kernel segments or has merged. Both are 0 in any other skb.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segmentation {
    /// The field `gso_segs`: the number of segments, or 0 if the kernel has not counted them.
    pub segments: u32,
    /// The field `gso_size`: the number of payload bytes in each segment. The last segment may be shorter.
    pub len: u32,
}

impl Segmentation {
    /// The fields for the packet of a passage.
    pub fn of(passage: &Passage) -> Self {
        let (segments, packet_len) = (passage.segments, passage.packet.len() as u32);
        match passage.uncounted {
            Some(len) => Self { segments: 0, len },
            None => Self { segments, len: packet_len.checked_div(segments).unwrap_or(0) },
        }
    }
}

/// The programs, loaded with one combination of settings.
pub struct Loaded {
    ebpf: Ebpf,
    runs_xdp: bool,
}

impl Loaded {
    /// Loads the programs.
    pub fn new(settings: &Settings) -> Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .override_global("AYA_LOG_LEVEL", &0u8, false)
            .override_global(SETTINGS, settings, true)
            .map_max_entries(maps::PEER_COUNTERS, SLOTS)
            .load(EBPF_OBJECT)
            .context("cannot load the object")?;
        for name in [maps::EGRESS_PROGRAM, maps::INGRESS_PROGRAM] {
            let program: &mut SchedClassifier = program(&mut ebpf, name)?;
            program.load().with_context(|| format!("the kernel refuses {name}"))?;
        }
        let runs_xdp = loads_xdp(program(&mut ebpf, maps::XDP_PROGRAM)?)?;
        Ok(Self { ebpf, runs_xdp })
    }

    /// True if the kernel runs the ingress program at this hook.
    pub fn runs(&self, ingress: Ingress) -> bool {
        match ingress {
            Ingress::Tc => true,
            Ingress::Xdp => self.runs_xdp,
        }
    }

    /// Replaces the entries of the maps of peers, local ranges and bypass rules with `host`'s entries. The fields that
    /// the programs changed thereby return to `host`'s values. Empties the flow maps.
    pub fn configure(&mut self, host: &Host) -> Result<()> {
        <[u8; 4]>::configure(&mut self.ebpf, host)?;
        <[u8; 16]>::configure(&mut self.ebpf, host)?;
        let map = self.ebpf.map_mut(maps::BYPASS).context("no bypass rules")?;
        let mut rules: HashMap<_, BypassKey, BypassValue> = HashMap::try_from(map)?;
        empty_hash(&mut rules)?;
        for key in host.bypass_keys() {
            rules.insert(key, 1, 0)?;
        }
        Ok(())
    }

    /// The value that the programs stored in this field of the address's peer entry.
    pub fn noted(&self, family: Option<Family>, address: Dual, note: Note) -> Result<u32> {
        macro_rules! noted {
            ($octets:ty) => {{
                let peer = <$octets>::peer(&self.ebpf, <$octets>::of(address))?;
                match note {
                    Note::GraceUntil => peer.grace_until,
                    Note::Plain => peer.replies_native.into(),
                    Note::PublicFlows => peer.public_flows.into(),
                }
            }};
        }
        match family {
            Some(Family::V4) => Ok(noted!([u8; 4])),
            Some(Family::V6) => Ok(noted!([u8; 16])),
            None => bail!("a packet of no family leaves no note"),
        }
    }

    /// Runs a program on `packet`. Returns the verdict and the output packet.
    pub fn run(
        &mut self,
        of: Program,
        packet: &[u8],
        segmentation: Segmentation,
    ) -> Result<(Verdict, Vec<u8>)> {
        let mut context = [0; CONTEXT_LEN];
        context[CONTEXT_GSO_SEGS..][..4].copy_from_slice(&segmentation.segments.to_ne_bytes());
        context[CONTEXT_GSO_SIZE..][..4].copy_from_slice(&segmentation.len.to_ne_bytes());
        let mut after = vec![0; packet.len() + 256];
        let options = TestRunOptions {
            data_in: Some(packet),
            data_out: Some(&mut after),
            ctx_in: (of != Program::Xdp).then_some(&context),
            ..TestRunOptions::default()
        };
        let TestRunResult { return_value, data_size_out, .. } = match of {
            Program::Egress => {
                let program: &mut SchedClassifier = program(&mut self.ebpf, maps::EGRESS_PROGRAM)?;
                program.test_run(options)?
            }
            Program::Ingress => {
                let program: &mut SchedClassifier = program(&mut self.ebpf, maps::INGRESS_PROGRAM)?;
                program.test_run(options)?
            }
            Program::Xdp => {
                let program: &mut Xdp = program(&mut self.ebpf, maps::XDP_PROGRAM)?;
                program.test_run(options)?
            }
        };
        after.truncate(data_size_out as usize);
        Ok((verdict(of, return_value)?, after))
    }

    /// Every counter that isn't zero.
    pub fn counts(&self) -> Result<Vec<(Counter, Count)>> {
        counters::counts(&self.ebpf)
    }

    /// Sets all counters to zero.
    pub fn reset_counters(&mut self) -> Result<()> {
        counters::reset(&mut self.ebpf)
    }
}

/// The verdict of a program's return value. Linux, include/uapi/linux/pkt_cls.h: TC_ACT_UNSPEC, TC_ACT_SHOT and TC_ACT_REDIRECT;
/// include/uapi/linux/bpf.h: XDP_PASS and XDP_DROP.
fn verdict(of: Program, value: u32) -> Result<Verdict> {
    match (of, value) {
        (Program::Egress | Program::Ingress, u32::MAX) | (Program::Xdp, 2) => Ok(Verdict::Pass),
        (Program::Egress | Program::Ingress, 2) | (Program::Xdp, 1) => Ok(Verdict::Drop),
        (Program::Egress | Program::Ingress, 7) => Ok(Verdict::Redirect),
        _ => bail!("{of:?} returned {value}"),
    }
}

/// True if the kernel accepts the program. False on kernels before Linux 5.18: they lack the program flag
/// BPF_F_XDP_HAS_FRAGS (commit c2f2cdbeffda) and the helpers bpf_xdp_load_bytes and bpf_xdp_store_bytes (commit
/// 3f364222d032).
fn loads_xdp(program: &mut Xdp) -> Result<bool> {
    let error = match program.load() {
        Ok(()) => return Ok(true),
        Err(error) => error,
    };
    if let ProgramError::LoadError { io_error, verifier_log } = &error {
        let log = verifier_log.to_string();
        let is_unknown =
            log.is_empty() || log.contains("invalid func") || log.contains("unknown func");
        if io_error.kind() == io::ErrorKind::InvalidInput && is_unknown {
            let what = log.lines().find(|line| line.contains("func")).unwrap_or("its flags");
            println!("no rows at XDP: the kernel does not know {what}");
            return Ok(false);
        }
    }
    Err(error).with_context(|| format!("the kernel refuses {}", maps::XDP_PROGRAM))
}

fn program<'a, T>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut T>
where
    &'a mut T: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    let program = ebpf.program_mut(name).with_context(|| format!("no program {name}"))?;
    Ok(program.try_into()?)
}

/// The number of instructions that the kernel's verifier processes for each program with these settings; `None` if the
/// kernel does not report the number (before Linux 5.16, commit aba64c7da983). The list omits the XDP program if the
/// kernel does not run it.
pub fn verified_instructions(settings: &Settings) -> Result<Vec<(&'static str, Option<u32>)>> {
    let Loaded { mut ebpf, runs_xdp } = Loaded::new(settings)?;
    let mut verified = Vec::new();
    for name in [maps::EGRESS_PROGRAM, maps::INGRESS_PROGRAM] {
        let program: &mut SchedClassifier = program(&mut ebpf, name)?;
        verified.push((name, program.info()?.verified_instruction_count()));
    }
    if runs_xdp {
        let program: &mut Xdp = program(&mut ebpf, maps::XDP_PROGRAM)?;
        verified.push((maps::XDP_PROGRAM, program.info()?.verified_instruction_count()));
    }
    Ok(verified)
}
