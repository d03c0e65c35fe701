//! Measures the loader: the time to attach with one peer and with a million peers, and the memory of the maps.

mod fill;
mod memory;

use std::time::Duration;

use anyhow::Result;
use testkit::lab::{Lab, LabOptions};
use testkit::netns::Namespace;
use testkit::rewrite_command::Rewrite;

use crate::attaching::{attach, detach};
use crate::cpu_noise::Sampler;
use crate::end_to_end::PREFIX;
use crate::idle_peers;
use crate::interrupt::cleanly;
use crate::processor::Processor;
use crate::progress::Progress;
use crate::report::{Better, Row, Spread, Table};
use crate::suite::Setting;
use crate::text_file::TextFile;

/// A large number of peers.
const MANY: u32 = 1_000_000;

/// Runs the suite.
///
/// # Errors
/// If a command fails, or the kernel rejects a map.
pub fn run(setting: &Setting) -> Result<Vec<Table>> {
    cleanly(|interrupt| {
        let progress = Progress::start("filling maps");
        let mut tables = vec![fill::table(setting, MANY, interrupt)?];
        progress.at("creating a lab");
        let lab = Lab::new(&LabOptions { prefix: PREFIX.to_owned(), ..LabOptions::default() })?;
        let few = TextFile::with(&lab.cluster_toml())?;
        let many = TextFile::with(&(lab.cluster_toml() + &idle_peers::members(MANY)))?;
        let (rewrite, host) = (&setting.rewrite, &lab.a);
        let sampler = setting.cpu_noise.sampler(Processor::all()?, interrupt);
        progress.at("attaching with one peer");
        let rounds = setting.effort.choose(9, 31);
        let of_few = measure(rewrite, host, &few, &[], rounds, &sampler)?;
        progress.at("attaching with a million peers");
        let rounds = setting.effort.choose(1, 5);
        // Attaching a million peers takes so long that CPU noise would disturb almost every sample. With no processor
        // to probe, the sampler keeps every sample.
        let sampler = setting.cpu_noise.sampler([], interrupt);
        let of_many = measure(rewrite, host, &many, &["--no-routes"], rounds, &sampler)?;
        progress.at("reading the maps of a million peers");
        attach(rewrite, host, &many, &["--no-routes"])?;
        tables
            .push(commands_table(&[("1 peer", of_few), ("1,000,000 peers, --no-routes", of_many)]));
        tables.push(memory::table(host, MANY)?);
        Ok(tables)
    })
}

/// The durations of each command in milliseconds, one per round.
#[derive(Clone, Debug, Default)]
struct Commands {
    attach: Vec<f64>,
    again: Vec<f64>,
    detach: Vec<f64>,
}

fn commands_table(rows: &[(&str, Commands)]) -> Table {
    let row = |(what, commands): &(&str, Commands)| Row {
        what: (*what).to_owned(),
        cells: [&commands.attach, &commands.again, &commands.detach]
            .map(|samples| Spread::of(samples))
            .into(),
    };
    Table {
        name: "loader",
        title: "The duration of a command, from start to end.".to_owned(),
        unit: "ms",
        digits: 0,
        better: Better::Less,
        columns: ["attach", "attach again", "detach"].map(str::to_owned).into(),
        rows: rows.iter().map(row).collect(),
        notes: vec!["\"attach again\" finds nothing to change.".to_owned()],
    }
}

/// Attaches, attaches again and detaches in each round.
fn measure(
    rewrite: &Rewrite,
    host: &Namespace,
    cluster: &TextFile,
    options: &[&str],
    rounds: usize,
    sampler: &Sampler,
) -> Result<Commands> {
    let mut commands = Commands::default();
    for _ in 0..rounds {
        let [attached, again, detached] = sampler.sample(|| {
            let attached = attach(rewrite, host, cluster, options)?;
            let again = attach(rewrite, host, cluster, options)?;
            Ok([attached, again, detach(rewrite, host)?].map(milliseconds))
        })?;
        commands.attach.push(attached);
        commands.again.push(again);
        commands.detach.push(detached);
    }
    Ok(commands)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
