//! The suites of a run.

use anyhow::Result;
use clap::ValueEnum;
use testkit::rewrite_command::Rewrite;

use crate::cpu_noise::CpuNoise;
use crate::report::Table;
use crate::{end_to_end, growth, loader, per_packet, real_path};

/// The tools of a suite.
pub struct Setting {
    /// The longest time that it may take.
    pub effort: Effort,
    /// The product.
    pub rewrite: Rewrite,
    /// True if software plays the processor.
    pub emulated: bool,
    /// The speed of the processors while samples are taken.
    pub cpu_noise: CpuNoise,
}

/// The longest time that a run may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// All suites together less than five minutes.
    Short,
    /// More rounds, and longer ones.
    Full,
}

impl Effort {
    /// One of two numbers: of rounds, of milliseconds.
    pub const fn choose<T: Copy>(self, short: T, full: T) -> T {
        match self {
            Self::Short => short,
            Self::Full => full,
        }
    }
}

/// One thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Nanoseconds per packet of each program.
    PerPacket,
    /// Nanoseconds of a run under load.
    RealPath,
    /// Traffic from host to host, beside the alternatives.
    EndToEnd,
    /// The same with more and more peers.
    Growth,
    /// Attaching, and a million members.
    Loader,
}

impl Suite {
    /// The ones that are asked for; all of them if none is.
    pub fn chosen(only: &[Self]) -> impl Iterator<Item = Self> {
        let all = Self::value_variants().iter().copied();
        all.filter(|suite| only.is_empty() || only.contains(suite))
    }

    /// Measures, and shows how far it is on a terminal.
    pub fn run(self, setting: &Setting) -> Result<Vec<Table>> {
        match self {
            Self::PerPacket => per_packet::run(setting),
            Self::RealPath => real_path::run(setting),
            Self::EndToEnd => end_to_end::run(setting),
            Self::Growth => growth::run(setting),
            Self::Loader => loader::run(setting),
        }
    }
}
