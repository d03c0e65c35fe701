//! Demonstrates the main job: two hosts keep their private addresses, while the wire between the hosts
//! carries only public addresses.

mod progress;
mod steps;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use nix::unistd::geteuid;
use testkit::lab::{Lab, LabOptions};
use testkit::rewrite_command::Rewrite;

use crate::interrupt;
use progress::Progress;

/// The prefix of the lab's namespaces' names.
const PREFIX: &str = "rwdemo";

/// Builds the lab, runs every step, and reports the results.
pub fn run(binary: &Path) -> Result<()> {
    if !geteuid().is_root() {
        bail!("the lab is made of network namespaces: run it as root (sudo -E cargo xtask run)");
    }
    println!("{INTRODUCTION}");
    let options = LabOptions {
        prefix: PREFIX.into(),
        // Like a real wire, carry complete checksums and unmerged packets.
        checksum_offload: false,
        segmentation_offload: false,
        ..LabOptions::default()
    };
    let lab = Arc::new(Lab::new(&options)?);
    let interrupted = Arc::clone(&lab);
    interrupt::clean_up_on_signal("removing the lab", move || interrupted.cleanup())?;
    let rewrite = Rewrite::at(binary)?;

    let mut progress = Progress::default();
    steps::run(&mut progress, &lab, &rewrite);
    interrupt::park_if_interrupted();
    lab.cleanup().context("removing the lab")?;
    progress.end()
}

const INTRODUCTION: &str = "\
Two hosts whose software knows them as 10.0.0.1 and 10.0.0.2, and a router between them that
forwards neither:

  srva 198.51.100.2 ---- 198.51.100.1 router 203.0.113.1 ---- 203.0.113.2 srvb
       10.0.0.1                                                    10.0.0.2
";
