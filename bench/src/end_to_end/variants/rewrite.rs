//! rewrite, on both hosts.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use tests::lab::{Lab, PUBLIC_INTERFACE};
use tests::rewrite_command::Rewrite;

use super::Way;

/// Attached as it is by default.
pub fn set_up(lab: &Lab, rewrite: &Rewrite) -> Result<Way> {
    attach(lab, rewrite, &[])
}

/// With XDP at ingress.
pub fn set_up_xdp(lab: &Lab, rewrite: &Rewrite) -> Result<Way> {
    let way = attach(lab, rewrite, &["--ingress", "xdp"])?;
    for host in [&lab.a, &lab.b] {
        let link = host.run(&["ip", "link", "show", "dev", PUBLIC_INTERFACE])?;
        ensure!(link.contains("prog/xdp"), "no XDP program in {}: {link}", host.name());
    }
    Ok(way)
}

fn attach(lab: &Lab, rewrite: &Rewrite, options: &[&str]) -> Result<Way> {
    let folder = tempfile::tempdir().context("make a folder for the file")?;
    let file = folder.path().join("cluster.toml");
    fs::write(&file, lab.cluster_toml()).context("write the file")?;
    let file = file.to_str().context("a temporary folder that is not UTF-8")?;
    for host in [&lab.a, &lab.b] {
        let words = ["attach", PUBLIC_INTERFACE, "--config", file];
        rewrite.run(host, &[&words, options].concat())?;
    }
    Ok(Way::private())
}
