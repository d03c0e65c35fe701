//! rewrite, attached to hosts of a lab and detached from them, and how long that takes.

use std::time::{Duration, Instant};

use anyhow::Result;
use testkit::lab::{Lab, PUBLIC_INTERFACE};
use testkit::netns::Namespace;
use testkit::process;
use testkit::rewrite_command::Rewrite;

use crate::text_file::TextFile;

/// Attaches it to both hosts.
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

/// Attaches it to a host; returns how long the command took, from its start to its end.
pub fn attach(
    rewrite: &Rewrite,
    host: &Namespace,
    cluster: &TextFile,
    options: &[&str],
) -> Result<Duration> {
    let words = ["attach", PUBLIC_INTERFACE, "--config", cluster.word()?];
    run(rewrite, host, &[&words, options].concat())
}

/// Detaches it from a host; returns how long the command took.
pub fn detach(rewrite: &Rewrite, host: &Namespace) -> Result<Duration> {
    run(rewrite, host, &["detach", PUBLIC_INTERFACE])
}

fn run(rewrite: &Rewrite, host: &Namespace, words: &[&str]) -> Result<Duration> {
    let mut command = rewrite.command(host, words);
    let start = Instant::now();
    process::run(&mut command)?;
    Ok(start.elapsed())
}
