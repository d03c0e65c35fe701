//! A change whose previous state is too large to save says so, instead of a command that restores it.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use crate::scenario::Scenario;

/// One peer more than rewrite saves.
const PEERS: u32 = 10_001;

/// A file with srva and many peers.
fn many(revision: u32) -> String {
    let mut text = format!(
        "revision = {revision}\n\n[[member]]\nname = \"srva\"\nprivate = \"10.0.0.1\"\n\
         public = \"198.51.100.2\"\n"
    );
    for n in 0..PEERS {
        let (high, low) = (n / 250, 1 + n % 250);
        let _ = write!(
            text,
            "[[member]]\nname = \"m{n}\"\nprivate = \"10.7.{high}.{low}\"\npublic = \"172.20.{high}.{low}\"\n"
        );
    }
    text
}

#[test]
fn a_change_of_more_peers_than_rewrite_saves_says_so() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    for (revision, wanted) in [(1, "back: rewrite detach eth0\n"), (2, "more than 10000 peers ran")]
    {
        scenario.file("cluster.toml", many(revision))?;
        let path = scenario.path("cluster.toml");
        let words = ["attach", "eth0", "--config", &path, "--no-routes"];
        let ended = scenario.try_run(host, &words)?;
        ended.require(0, &[])?;
        ensure!(ended.stdout.contains(wanted), "{ended:?}");
    }
    Ok(())
}
