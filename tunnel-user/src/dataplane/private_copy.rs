//! Runs packets through a private copy of an interface's programs and maps, by BPF_PROG_TEST_RUN.
//!
//! A test run of the attached programs would count in the live counters, and could write notes into the peers' entries
//! and the flows. The copy has the same instructions, the same settings and the same entries, in maps without pins, and
//! ends with this process (docs/decisions/0051).

use std::io;

use aya::programs::{ProgramInfo, TestRun as _, TestRunOptions, TestRunResult};
use tunnel_common::outcome::{Direction, Outcome, Reason, Verdict};
use tunnel_common::settings::{ETHERNET_HEADER_LEN, Settings};

use super::load::{Loaded, load_unpinned};
use super::map_pairs::{Pairs, pinned};
use super::pins::Folder;
use super::resize;
use crate::error::{Context as _, Error, is_io};
use crate::plan::attach_point::{AttachPoint, LoadOptions, Program};
use crate::plan::capacity::Capacity;

/// The length in bytes of `struct __sk_buff`, and the offsets of its fields `ingress_ifindex` and `ifindex` (Linux,
/// include/uapi/linux/bpf.h).
const SKB_LEN: usize = 192;
const SKB_INGRESS_IFINDEX: usize = 36;
const SKB_IFINDEX: usize = 40;

/// The room for a packet that grows, in bytes.
const GROWTH: usize = 256;

/// The copy of one interface's programs and maps.
pub struct PrivateCopy {
    loaded: Loaded,
    maps: Pairs,
    slots: u32,
    link: u32,
    direction: Direction,
}

/// The result of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The frame after the run.
    pub frame: Vec<u8>,
    /// The verdict.
    pub verdict: Verdict,
    /// The outcome, from the counter of the copy that has changed.
    pub outcome: Outcome,
}

impl PrivateCopy {
    /// Copies the program of `direction` and the maps in `folder`, of the interface with the index `link`.
    ///
    /// BPF_PROG_TEST_RUN takes Ethernet frames, so the copy's program reads an Ethernet header, even if the interface
    /// has another link header or none.
    ///
    /// # Errors
    /// [`Error::Pins`] if the pinned program and this version's program have different instructions; [`Error::Host`]
    /// and [`Error::Kernel`] if the kernel refuses the program or a map.
    pub fn of(
        folder: &Folder,
        place: AttachPoint,
        settings: &Settings,
        link: u32,
        direction: Direction,
    ) -> Result<Self, Error> {
        let settings = Settings { link_header_len: ETHERNET_HEADER_LEN, ..*settings };
        let options = LoadOptions { place, settings, verbose: false };
        let room = resize::pinned(folder)?;
        // An LRU map evicts entries before it is full (Linux, kernel/bpf/bpf_lru_list.c).
        let capacity = Capacity {
            flows_v4: room.flows_v4.saturating_mul(2),
            flows_v6: room.flows_v6.saturating_mul(2),
            ..room
        };
        let mut loaded = load_unpinned(&capacity, &options, &[direction])?;
        require_same(&mut loaded, folder, direction)?;
        let mut maps =
            Pairs::open(&mut |name, kind| pinned(folder, name, kind), &mut |name, _| {
                loaded.take_map(name)
            })?;
        maps.copy()?;
        Ok(Self { loaded, maps, slots: room.slots, link, direction })
    }

    /// Runs `frame`, an Ethernet frame, through the program. The copy's counters are still at zero.
    ///
    /// # Errors
    /// [`Error::Refused`] if the kernel does not accept such a frame; [`Error::Kernel`] if the run fails for another
    /// reason.
    pub fn run(mut self, frame: &[u8]) -> Result<Ran, Error> {
        let program = self.loaded.place().program(self.direction);
        let on_link = skb(self.link, &[SKB_IFINDEX]);
        let arrived = skb(self.link, &[SKB_IFINDEX, SKB_INGRESS_IFINDEX]);
        let ran = match self.direction {
            Direction::Egress => self.run_once(program, frame, &on_link),
            Direction::Ingress => match self.run_once(program, frame, &arrived) {
                // Older kernels take no `ingress_ifindex` (net/bpf/test_run.c, convert___skb_to_skb).
                Err(error) if is_invalid(&error) => self.run_once(program, frame, &on_link),
                ran => ran,
            },
        };
        let (result, after) = ran.map_err(|error| refusal(error, program, frame.len()))?;
        let verdict = verdict(program, result.return_value)?;
        Ok(Ran { frame: after, verdict, outcome: self.outcome()? })
    }

    fn run_once(
        &mut self,
        program: Program,
        frame: &[u8],
        context: &[u8],
    ) -> Result<(TestRunResult, Vec<u8>), Error> {
        let mut after = vec![0; frame.len().saturating_add(GROWTH)];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut after),
            ctx_in: (program != Program::Xdp).then_some(context),
            ..TestRunOptions::default()
        };
        let what = || format!("running the program {}", program.name());
        let result = match program {
            Program::Xdp => self.loaded.xdp(program)?.test_run(options).context(what)?,
            _ => self.loaded.tc(program)?.test_run(options).context(what)?,
        };
        after.truncate(usize::try_from(result.data_size_out).unwrap_or(usize::MAX));
        Ok((result, after))
    }

    /// The outcome whose counter has changed.
    fn outcome(&self) -> Result<Outcome, Error> {
        let what = || "reading the counters of the copy".into();
        let direction = self.direction;
        let reasons = self.maps.reason_counters.new.get(&(direction as u32), 0).context(what)?;
        let counted = |reason: &&Reason| reasons.iter().any(|cpu| cpu.get(**reason).packets > 0);
        if let Some(reason) = Reason::ALL.iter().find(counted) {
            return Ok(Outcome::NotRewritten(*reason));
        }
        for slot in 0..self.slots {
            let counters = self.maps.peer_counters.new.get(&slot, 0).context(what)?;
            let packets = counters.iter().map(|cpu| match direction {
                Direction::Egress => cpu.egress.packets,
                Direction::Ingress => cpu.ingress.packets.max(cpu.router_errors),
            });
            if packets.max() > Some(0) {
                return Ok(Outcome::Rewritten { slot });
            }
        }
        Ok(Outcome::NotOurs)
    }
}

/// Requires that the pinned program of `direction` has the same instructions as the copy's.
///
/// # Errors
/// [`Error::Pins`] if they differ.
fn require_same(loaded: &mut Loaded, folder: &Folder, direction: Direction) -> Result<(), Error> {
    let program = loaded.place().program(direction);
    let what = || format!("inspecting the program {}", program.name());
    let attached = ProgramInfo::from_pin(folder.program(program)).context(what)?.tag();
    let copied = match program {
        Program::Xdp => loaded.xdp(program)?.info().context(what)?.tag(),
        _ => loaded.tc(program)?.info().context(what)?.tag(),
    };
    if attached == copied {
        return Ok(());
    }
    let interface = folder.interface();
    Err(Error::pins(
        format!(
            "the program {} on {interface} has the tag {attached:016x}, and this binary's has \
             the tag {copied:016x}",
            program.name()
        ),
        format!(
            "explain with the binary that attached {interface}, or replace its programs by this \
             version's: rewrite attach {interface}"
        ),
    ))
}

/// A `struct __sk_buff` with the index of an interface at these offsets.
fn skb(link: u32, offsets: &[usize]) -> [u8; SKB_LEN] {
    let mut context = [0; SKB_LEN];
    for offset in offsets {
        if let Some(field) = context.get_mut(*offset..*offset + size_of::<u32>()) {
            field.copy_from_slice(&link.to_ne_bytes());
        }
    }
    context
}

fn is_invalid(error: &Error) -> bool {
    is_io(error, io::ErrorKind::InvalidInput)
}

fn refusal(error: Error, program: Program, len: usize) -> Error {
    if !is_invalid(&error) {
        return error;
    }
    Error::refused(
        format!("the kernel does not run the program {} on a frame of {len} bytes", program.name()),
        "explain another packet of the same flow: a test run takes frames from 14 bytes to less than \
         a page",
    )
}

/// The verdict of a program's return value. Linux, include/uapi/linux/pkt_cls.h: TC_ACT_UNSPEC, TC_ACT_SHOT and
/// TC_ACT_REDIRECT;
/// include/uapi/linux/bpf.h: XDP_PASS and XDP_DROP.
fn verdict(program: Program, value: u32) -> Result<Verdict, Error> {
    match (program, value) {
        (Program::Egress | Program::Ingress, u32::MAX) | (Program::Xdp, 2) => Ok(Verdict::Pass),
        (Program::Egress | Program::Ingress, 2) | (Program::Xdp, 1) => Ok(Verdict::Drop),
        (Program::Egress | Program::Ingress, 7) => Ok(Verdict::Redirect),
        _ => Err(Error::kernel(
            format!("running the program {}", program.name()),
            anyhow::anyhow!("it returned {value}"),
        )),
    }
}
