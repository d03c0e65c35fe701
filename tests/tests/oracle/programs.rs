//! Loads the programs into the kernel and runs them.

use std::env;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result};
use aya::programs::{SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader};
use tunnel_common::maps;
use tunnel_common::outcome::{Direction, Verdict};
use tunnel_common::settings::{ETHERNET_HEADER_LEN, SETTINGS, Settings};
use tunnel_user::dataplane::load::EBPF_OBJECT;
use tunnel_user::plan::attach_point::Program;

use crate::cluster::Cluster;
use crate::counts::Counts;
use crate::model::Memory;
use crate::tables;
use testkit::test_run::{self, Ran, Type, Way};

/// The maximum number of slots in a cluster.
const SLOTS: u32 = 16;

/// The type of a program.
pub fn type_of(program: Program) -> Type {
    match program {
        Program::Egress | Program::Ingress => Type::Tc,
        Program::Xdp => Type::Xdp,
    }
}

/// The direction of a program's packets.
pub fn direction(program: Program) -> Direction {
    match program {
        Program::Egress => Direction::Egress,
        Program::Ingress | Program::Xdp => Direction::Ingress,
    }
}

/// The verdict of a program's return value.
pub fn verdict(program: Program, returned: u32) -> Option<Verdict> {
    match (type_of(program), returned.cast_signed()) {
        // TC_ACT_UNSPEC and XDP_PASS.
        (Type::Tc, -1) | (Type::Xdp, 2) => Some(Verdict::Pass),
        // TC_ACT_SHOT and XDP_DROP.
        // TC_ACT_REDIRECT.
        (Type::Tc, 7) => Some(Verdict::Redirect),
        (Type::Tc, 2) | (Type::Xdp, 1) => Some(Verdict::Drop),
        _ => None,
    }
}

/// The programs of one host.
pub struct Programs {
    ebpf: Ebpf,
    settings: Settings,
    /// The counts at the most recent start.
    counted: Counts,
}

impl Programs {
    /// Loads the programs with these settings.
    pub fn load(settings: Settings) -> Result<Self> {
        let object = match env::var_os("ORACLE_OBJECT") {
            Some(path) => fs::read(&path).with_context(|| format!("cannot read {path:?}"))?,
            None => EBPF_OBJECT.to_vec(),
        };
        let mut ebpf = EbpfLoader::new()
            .override_global("AYA_LOG_LEVEL", &0_u8, false)
            .override_global(SETTINGS, &settings, true)
            .map_max_entries(maps::PEER_COUNTERS, SLOTS)
            .load(&object)
            .context("cannot load the object")?;
        for program in Program::ALL {
            if program == Program::Xdp && settings.link_header_len != ETHERNET_HEADER_LEN {
                continue;
            }
            let name = program.name();
            let loaded = ebpf.program_mut(name).with_context(|| format!("no program {name}"))?;
            match type_of(program) {
                Type::Tc => <&mut SchedClassifier>::try_from(loaded)?.load(),
                Type::Xdp => <&mut Xdp>::try_from(loaded)?.load(),
            }
            .with_context(|| format!("the kernel refuses {name}"))?;
        }
        Ok(Self { ebpf, settings, counted: Counts::default() })
    }

    /// True if the XDP program is loaded. It is loaded only on Ethernet.
    pub fn has_xdp(&self) -> bool {
        self.settings.link_header_len == ETHERNET_HEADER_LEN
    }

    /// Resets the programs to the state of a host that has not seen a packet.
    pub fn start(&mut self, cluster: &Cluster) -> Result<()> {
        tables::fill(&mut self.ebpf, cluster)?;
        self.counted = tables::counts(&self.ebpf)?;
        Ok(())
    }

    /// Runs one of the programs.
    pub fn run(&mut self, program: Program, frame: &[u8], way: Way) -> Result<Ran> {
        let name = program.name();
        let loaded = self.ebpf.program(name).with_context(|| format!("no program {name}"))?;
        let fd = match type_of(program) {
            Type::Tc => <&SchedClassifier>::try_from(loaded)?.fd()?,
            Type::Xdp => <&Xdp>::try_from(loaded)?.fd()?,
        };
        test_run::run(fd.as_fd(), type_of(program), frame, way)
            .with_context(|| format!("cannot run {name}"))
    }

    /// The memory of the programs.
    pub fn memory(&self, cluster: &Cluster) -> Result<Memory> {
        tables::memory(&self.ebpf, cluster)
    }

    /// The programs' current counts, and their counts at the most recent start.
    pub fn counts(&self) -> Result<(Counts, &Counts)> {
        Ok((tables::counts(&self.ebpf)?, &self.counted))
    }
}

/// Loaded programs of many hosts, for reuse: loading takes longer than a run of a few thousand frames.
#[derive(Default)]
pub struct Loaded(Vec<Programs>);

impl Loaded {
    /// The programs for `cluster`. The caller must return them by [`Self::give_back`].
    pub fn take(&mut self, cluster: &Cluster) -> Result<Programs> {
        let settings = tables::settings(cluster);
        match self.0.iter().position(|programs| programs.settings == settings) {
            Some(index) => Ok(self.0.swap_remove(index)),
            None => Programs::load(settings),
        }
    }

    /// Takes programs back, for use with another cluster.
    pub fn give_back(&mut self, programs: Programs) {
        self.0.push(programs);
    }
}

/// The states of an skb or an XDP buffer in which this kernel can run a program.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// True if the kernel supports [`Way::has_sum`].
    pub sum: bool,
    /// True if the kernel supports [`Way::linear`] for an skb.
    pub skb_linear: bool,
    /// True if the kernel supports [`Way::linear`] for an XDP buffer.
    pub xdp_linear: bool,
}

impl Abilities {
    /// Finds the abilities by running frames that concern no peer.
    pub fn of(programs: &mut Programs) -> Result<Self> {
        let frame = [0; 64];
        let has_xdp = programs.has_xdp();
        let mut can = |program, way| match programs.run(program, &frame, way) {
            Ok(_) => Ok(true),
            Err(error) => match error.downcast_ref::<io::Error>().map(io::Error::kind) {
                Some(io::ErrorKind::InvalidInput) => Ok(false),
                _ => Err(error),
            },
        };
        let linear = Way { linear: Some(20), ..Way::default() };
        Ok(Self {
            sum: can(Program::Egress, Way { has_sum: true, ..Way::default() })?,
            skb_linear: can(Program::Egress, linear)?,
            xdp_linear: has_xdp && can(Program::Xdp, linear)?,
        })
    }
}
