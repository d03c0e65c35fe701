//! Defines the suites, and runs each of them with the shared settings.

use anyhow::Result;
use clap::ValueEnum;
use testkit::rewrite_command::Rewrite;

use crate::cpu_noise::CpuNoise;
use crate::report::Table;
use crate::{end_to_end, growth, loader, per_packet, real_path};

/// The shared settings of all suites.
pub struct Setting {
    /// The time to spend on the run.
    pub effort: Effort,
    /// The `rewrite` command under test.
    pub rewrite: Rewrite,
    /// True if software emulates the processor.
    pub emulated: bool,
    /// The monitor of the processors' speed during samples.
    pub cpu_noise: CpuNoise,
}

/// The time to spend on a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Less than five minutes for all suites together.
    Short,
    /// More and longer rounds.
    Full,
}

impl Effort {
    /// Chooses between two numbers, for example of rounds or milliseconds.
    pub const fn choose<T: Copy>(self, short: T, full: T) -> T {
        match self {
            Self::Short => short,
            Self::Full => full,
        }
    }
}

/// A group of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Nanoseconds per packet of each program.
    PerPacket,
    /// Nanoseconds per run of each program, under load.
    RealPath,
    /// Traffic between two hosts, compared with the alternatives.
    EndToEnd,
    /// New connections and attaching, with more and more peers.
    Growth,
    /// Attaching, also with a million members.
    Loader,
}

impl Suite {
    /// The chosen suites, or all suites if `only` is empty.
    pub fn chosen(only: &[Self]) -> impl Iterator<Item = Self> {
        let all = Self::value_variants().iter().copied();
        all.filter(|suite| only.is_empty() || only.contains(suite))
    }

    /// Runs the suite and shows its progress on a terminal.
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
