//! The loader: how long it takes to attach, with two members and with a million, and what the maps take.

mod fill;
mod memory;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use tests::lab::{Lab, LabOptions, PUBLIC_INTERFACE};
use tests::process;
use tests::rewrite_command::Rewrite;

use crate::chapter::Setting;
use crate::end_to_end::PREFIX;
use crate::interrupt::{Interrupt, cleanly};
use crate::others;
use crate::progress::Progress;
use crate::report::{Better, Row, Spread, Table};

/// How many peers are many.
const MANY: u32 = 1_000_000;

/// Measures.
///
/// # Errors
/// If a command fails, or the kernel refuses.
pub fn run(setting: &Setting) -> Result<Vec<Table>> {
    cleanly(|interrupt| {
        let progress = Progress::start("filling maps");
        let mut tables = vec![fill::table(setting.effort.choose(3, 11), MANY, interrupt)?];
        progress.at("making a lab");
        let host = Host::new(&setting.rewrite)?;
        let few = host.file("few.toml", &host.lab.cluster_toml())?;
        let many = host.lab.cluster_toml() + &others::members(MANY);
        let many = host.file("many.toml", &many)?;
        progress.at("attaching with one peer");
        let rounds = setting.effort.choose(9, 31);
        let of_few = host.commands(&[], &few, rounds, interrupt)?;
        progress.at("attaching with a million peers");
        let rounds = setting.effort.choose(1, 5);
        let of_many = host.commands(&["--no-routes"], &many, rounds, interrupt)?;
        progress.at("looking at the maps of a million peers");
        host.attach(&["--no-routes"], &many)?;
        tables
            .push(commands_table(&[("1 peer", of_few), ("1,000,000 peers, --no-routes", of_many)]));
        tables.push(memory::table(&host.lab.a, MANY)?);
        Ok(tables)
    })
}

/// How long each command took.
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
        title: "How long a command takes, from its start to its end.".to_owned(),
        unit: "ms",
        digits: 0,
        better: Better::Less,
        columns: ["attach", "attach again", "detach"].map(str::to_owned).into(),
        rows: rows.iter().map(row).collect(),
        notes: vec!["Attached again, nothing has changed.".to_owned()],
    }
}

/// A host to attach on.
struct Host<'a> {
    rewrite: &'a Rewrite,
    lab: Lab,
    folder: TempDir,
}

impl<'a> Host<'a> {
    fn new(rewrite: &'a Rewrite) -> Result<Self> {
        let lab = Lab::new(&LabOptions { prefix: PREFIX.to_owned(), ..LabOptions::default() })?;
        let folder = tempfile::tempdir().context("make a folder for files")?;
        Ok(Self { rewrite, lab, folder })
    }

    fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    fn commands(
        &self,
        words: &[&str],
        file: &Path,
        rounds: usize,
        interrupt: &Interrupt,
    ) -> Result<Commands> {
        let mut commands = Commands::default();
        for _ in 0..rounds {
            interrupt.stop_if_it_came()?;
            commands.attach.push(milliseconds(self.attach(words, file)?));
            commands.again.push(milliseconds(self.attach(words, file)?));
            commands.detach.push(milliseconds(self.run(&["detach", PUBLIC_INTERFACE])?));
        }
        Ok(commands)
    }

    fn attach(&self, words: &[&str], file: &Path) -> Result<Duration> {
        let file = file.to_str().context("a path that is no text")?;
        self.run(&[&["attach", PUBLIC_INTERFACE, "--config", file], words].concat())
    }

    fn run(&self, words: &[&str]) -> Result<Duration> {
        let mut command = self.rewrite.command(&self.lab.a, words);
        let start = Instant::now();
        process::run(&mut command)?;
        Ok(start.elapsed())
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
