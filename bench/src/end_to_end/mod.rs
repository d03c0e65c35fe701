//! Measures the rates of traffic between two hosts through a router, with rewrite and with its alternatives.
//!
//! Each variant has its own lab. All labs exist for the whole run: idle labs cost no processor time.

mod tables;
mod testbed;
mod traffic;
mod variants;

use anyhow::{Context as _, Result};

use crate::interrupt::{Interrupt, cleanly};
use crate::processor::Processor;
use crate::progress::Progress;
use crate::report::Table;
use crate::rounds::{Samples, Turn, interleave};
use crate::suite::Setting;
use testbed::Testbed;
use traffic::Traffic;
use variants::Variant;

pub use testbed::{PREFIX, require_traffic};
pub use variants::iptables;

/// Runs the suite.
pub fn run(setting: &Setting) -> Result<Vec<Table>> {
    cleanly(|interrupt| {
        let processor = Processor::choose()?;
        let progress = Progress::start("end to end");
        let (mut testbeds, mut notes) = (Vec::new(), Vec::new());
        for variant in Variant::measured(setting.emulated) {
            interrupt.check()?;
            let name = variant.name();
            progress.at(&format!("end to end: a lab for {name}"));
            match Testbed::new(variant, &setting.rewrite, processor) {
                Ok(testbed) => testbeds.push(testbed),
                Err(error) if variant.is_optional() => {
                    notes.push(format!("{name} is not available here: {error:#}."));
                }
                Err(error) => return Err(error.context(name)),
            }
        }
        let measured = measure(setting, &testbeds, processor, &progress, interrupt)?;
        let variants: Vec<_> = testbeds.iter().map(|testbed| testbed.variant).collect();
        Ok(tables::of(&variants, &measured, notes, setting.emulated))
    })
}

/// Measures each kind of traffic, in the order of [`Traffic::ALL`], in each testbed.
fn measure(
    setting: &Setting,
    testbeds: &[Testbed],
    processor: Processor,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<Vec<Vec<Samples>>> {
    let effort = setting.effort;
    let sampler = setting.cpu_noise.sampler([processor], interrupt);
    let rounds = if setting.emulated { effort.choose(3, 9) } else { effort.choose(5, 15) };
    interleave(rounds, Traffic::ALL.len(), testbeds.len(), |Turn { round, case, variant }| {
        let (traffic, testbed) = (Traffic::ALL[case], &testbeds[variant]);
        let what = format!("{}, {}", traffic.name(), testbed.variant.name());
        progress.at(&format!("end to end: round {} of {rounds}, {what}", round + 1));
        let measure = || testbed.measure(traffic, traffic.time(effort), processor);
        sampler.sample(measure).context(what)
    })
}
