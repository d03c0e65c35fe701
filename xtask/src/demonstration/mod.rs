//! The main job, done in front of the user: two hosts keep their private addresses, with nothing
//! but public ones on the wire between them.

mod steps;
mod story;

use std::path::Path;
use std::process;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result, bail};
use nix::unistd::geteuid;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tests::lab::{Lab, LabOptions};
use tests::rewrite_command::Rewrite;

use story::Story;

/// The first part of the names of the lab's namespaces.
const PREFIX: &str = "rwdemo";
/// What a shell makes of SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// Builds the lab, takes every step, and says which held.
pub fn run(binary: &Path) -> Result<()> {
    if !geteuid().is_root() {
        bail!("the lab is made of network namespaces: run it as root (sudo -E cargo xtask run)");
    }
    println!("{INTRODUCTION}");
    let options = LabOptions {
        prefix: PREFIX.into(),
        // So that the wire carries what a real one does: whole checksums, and no merged packets.
        checksum_offload: false,
        segmentation_offload: false,
        ..LabOptions::default()
    };
    let lab = Arc::new(Lab::new(&options)?);
    clean_up_when_interrupted(Arc::clone(&lab))?;
    let rewrite = Rewrite::at(binary)?;

    let mut story = Story::default();
    steps::tell(&mut story, &lab, &rewrite);
    lab.cleanup().context("taking the lab down")?;
    story.end()
}

const INTRODUCTION: &str = "\
Two hosts whose software knows them as 10.0.0.1 and 10.0.0.2, and a router between them that
forwards neither:

  srva 198.51.100.2 ---- 198.51.100.1 router 203.0.113.1 ---- 203.0.113.2 srvb
       10.0.0.1                                                    10.0.0.2
";

fn clean_up_when_interrupted(lab: Arc<Lab>) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("listening for signals")?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            eprintln!("\ninterrupted: taking the lab down");
            if let Err(error) = lab.cleanup() {
                eprintln!("{error:#}");
            }
            process::exit(EXIT_INTERRUPTED);
        }
    });
    Ok(())
}
