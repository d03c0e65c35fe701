//! Describes the measuring machine, because figures of different machines are not comparable.

use std::env;
use std::fmt;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use nix::sys::utsname::uname;
use serde::Serialize;
use testkit::process;

/// The environment variables that pass [`Machine::commit`] and [`Machine::rustc`] to a virtual machine, which
/// can't determine the two values.
const COMMIT: &str = "BENCH_COMMIT";
const RUSTC: &str = "BENCH_RUSTC";
/// The processor's name in qemu's software emulation.
const EMULATED: &str = "QEMU TCG";

/// The machine and the versions of its software.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// The number of processors.
    pub processors: usize,
    /// The memory in megabytes.
    pub memory: u64,
    /// The kernel's release.
    pub kernel: String,
    /// The commit of rewrite, with `-dirty` after local changes.
    pub commit: String,
    /// The version of rustc.
    pub rustc: String,
}

/// Describes this machine.
pub fn describe() -> Result<Machine> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("read /proc/cpuinfo")?;
    let processors: Vec<_> = values(&cpuinfo, "model name").collect();
    let meminfo = fs::read_to_string("/proc/meminfo").context("read /proc/meminfo")?;
    let total = values(&meminfo, "MemTotal").next().context("no MemTotal")?;
    let kilobytes: u64 =
        total.trim_end_matches(" kB").parse().with_context(|| format!("MemTotal is {total}"))?;
    Ok(Machine {
        processor: processors.first().copied().unwrap_or("unknown").to_owned(),
        processors: processors.len(),
        memory: kilobytes / 1024,
        kernel: uname().context("ask for the kernel")?.release().to_string_lossy().into_owned(),
        commit: from_environment(COMMIT)
            .unwrap_or_else(|| output_of("git", &["describe", "--always", "--dirty"])),
        rustc: from_environment(RUSTC).unwrap_or_else(|| output_of("rustc", &["--version"])),
    })
}

impl Machine {
    /// True if software emulates the processor: then all instructions cost about the same, and far more
    /// than on a real processor.
    pub fn is_emulated(&self) -> bool {
        self.processor.contains(EMULATED)
    }
}

fn from_environment(variable: &str) -> Option<String> {
    env::var(variable).ok()
}

fn values<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then_some(value.trim())
    })
}

/// The output of a command, or `unknown` if the command fails. A failure does not stop the measurement.
fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = process::run(Command::new(program).args(arguments));
    output.map_or_else(|_| "unknown".to_owned(), |output| output.trim().to_owned())
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, processors, memory, kernel, commit, rustc } = self;
        write!(
            f,
            "{processors} x {processor}, {memory} MB, Linux {kernel}; rewrite {commit}, {rustc}"
        )
    }
}
