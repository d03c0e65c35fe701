//! Attaches rewrite to a lab's hosts and detaches it, and measures the duration of each command.

use std::time::{Duration, Instant};

use anyhow::Result;
use testkit::lab::{Lab, PUBLIC_INTERFACE};
use testkit::netns::Namespace;
use testkit::process;
use testkit::rewrite_command::Rewrite;

use crate::text_file::TextFile;

/// Attaches rewrite to both hosts.
pub fn attach_both(
    rewrite: &Rewrite,
    lab: &Lab,
    cluster: &TextFile,
    options: &[&str],
) -> Result<()> {
    for host in [&lab.a, &lab.b] {
        attach(rewrite, host, cluster, options)?;
    }
    Ok(())
}

/// Attaches rewrite to a host; returns the command's duration.
pub fn attach(
    rewrite: &Rewrite,
    host: &Namespace,
    cluster: &TextFile,
    options: &[&str],
) -> Result<Duration> {
    let words = ["attach", PUBLIC_INTERFACE, "--config", cluster.word()?];
    run(rewrite, host, &[&words, options].concat())
}

/// Detaches rewrite from a host; returns the command's duration.
pub fn detach(rewrite: &Rewrite, host: &Namespace) -> Result<Duration> {
    run(rewrite, host, &["detach", PUBLIC_INTERFACE])
}

fn run(rewrite: &Rewrite, host: &Namespace, words: &[&str]) -> Result<Duration> {
    let mut command = rewrite.command(host, words);
    let start = Instant::now();
    process::run(&mut command)?;
    Ok(start.elapsed())
}
