//! Attaches rewrite to both hosts.

use anyhow::{Result, ensure};
use testkit::lab::{Lab, PUBLIC_INTERFACE};
use testkit::rewrite_command::Rewrite;

use super::Endpoints;
use crate::attaching::attach_both;
use crate::text_file::TextFile;

/// Attaches rewrite with its default options.
pub fn set_up(lab: &Lab, rewrite: &Rewrite) -> Result<Endpoints> {
    attach(lab, rewrite, &[])
}

/// Attaches rewrite with XDP at ingress.
pub fn set_up_xdp(lab: &Lab, rewrite: &Rewrite) -> Result<Endpoints> {
    let endpoints = attach(lab, rewrite, &["--ingress", "xdp"])?;
    for host in [&lab.a, &lab.b] {
        let link = host.run(&["ip", "link", "show", "dev", PUBLIC_INTERFACE])?;
        ensure!(link.contains("prog/xdp"), "no XDP program in {}: {link}", host.name());
    }
    Ok(endpoints)
}

fn attach(lab: &Lab, rewrite: &Rewrite, options: &[&str]) -> Result<Endpoints> {
    attach_both(rewrite, lab, &TextFile::with(&lab.cluster_toml())?, options)?;
    Ok(Endpoints::private())
}
