//! Traffic between two hosts through a router: its rates with rewrite and with the alternatives.
//!
//! Each variant has its own lab. All labs exist for the whole run: idle labs cost no processor time.

mod place;
mod tables;
mod traffic;
mod variants;

use anyhow::{Context as _, Result};

use crate::interrupt::{Interrupt, cleanly};
use crate::processor::Processor;
use crate::progress::Progress;
use crate::report::Table;
use crate::rounds::{Samples, Turn, interleave};
use crate::suite::Setting;
use place::Place;
use traffic::Traffic;
use variants::Variant;

pub use place::{PREFIX, carries};
pub use variants::iptables;

/// Runs the suite.
pub fn run(setting: &Setting) -> Result<Vec<Table>> {
    cleanly(|interrupt| {
        let processor = Processor::choose()?;
        let progress = Progress::start("end to end");
        let (mut places, mut notes) = (Vec::new(), Vec::new());
        for variant in Variant::tried(setting.emulated) {
            interrupt.stop_if_it_came()?;
            let name = variant.name();
            progress.at(&format!("end to end: a lab for {name}"));
            match Place::new(variant, &setting.rewrite, processor) {
                Ok(place) => places.push(place),
                Err(error) if variant.is_of_others() => {
                    notes.push(format!("{name} can't be had here: {error:#}."));
                }
                Err(error) => return Err(error.context(name)),
            }
        }
        let measured = measure(setting, &places, processor, &progress, interrupt)?;
        let variants: Vec<_> = places.iter().map(|place| place.variant).collect();
        Ok(tables::of(&variants, &measured, notes, setting.emulated))
    })
}

/// The samples for each kind of traffic, in the order of [`Traffic::ALL`], and for each place.
fn measure(
    setting: &Setting,
    places: &[Place],
    processor: Processor,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<Vec<Vec<Samples>>> {
    let effort = setting.effort;
    let sampler = setting.cpu_noise.sampler([processor], interrupt);
    let rounds = if setting.emulated { effort.choose(3, 9) } else { effort.choose(5, 15) };
    interleave(rounds, Traffic::ALL.len(), places.len(), |Turn { round, case, variant }| {
        let (traffic, place) = (Traffic::ALL[case], &places[variant]);
        let what = format!("{}, {}", traffic.name(), place.variant.name());
        progress.at(&format!("end to end: round {} of {rounds}, {what}", round + 1));
        let measure = || place.measure(traffic, traffic.time(effort), processor);
        sampler.sample(measure).context(what)
    })
}
