//! `rewrite check`: is the file right, can this host run it, and what will be in the way. Changes
//! nothing.

use std::fs;
use std::path::Path;

use crate::config::{self, Cluster};
use crate::dataplane::hook::Hook;
use crate::dataplane::{load, pins};
use crate::failure::Failure;
use crate::host::netlink::Netlink;
use crate::host::privileges;
use crate::host::snapshot::Snapshot;
use crate::plan::identity;
use crate::plan::routes::{Attached, changes, to_peer};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Good,
    /// Worth knowing; attach works.
    Note,
    /// Attach would fail.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// What was found, and what to do about it.
    pub what: String,
}

impl Finding {
    fn new(level: Level, what: impl Into<String>) -> Self {
        Self { level, what: what.into() }
    }

    fn of(result: Result<(), Failure>, good: impl Into<String>) -> Self {
        match result {
            Ok(()) => Self::new(Level::Good, good),
            Err(failure) => Self::new(Level::Bad, failure.to_string()),
        }
    }
}

/// Looks at the file, the kernel and the network.
///
/// # Errors
/// Only if the kernel can't be asked; everything else is a finding.
pub async fn run(config: &Path, self_name: Option<&str>) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let cluster = match config::load(config) {
        Ok(cluster) => {
            let members = cluster.members().len();
            let what = format!("{} is right: {members} members", config.display());
            findings.push(Finding::new(Level::Good, what));
            Some(cluster)
        }
        Err(error) => {
            findings.push(Finding::new(Level::Bad, error.to_string()));
            None
        }
    };
    let privileges = privileges::require();
    let privileged = privileges.is_ok();
    findings.push(Finding::of(privileges, "the privileges are there"));
    findings.push(Finding::of(pins::require_bpffs(), "there is a BPF file system for the pins"));
    if privileged {
        let loads = load::try_out();
        findings.push(Finding::of(loads, "the kernel's verifier accepts the programs"));
        let hook = match Hook::best() {
            Hook::Tcx => "tcx",
            Hook::Clsact => "clsact, as this kernel has no tcx",
        };
        findings.push(Finding::new(Level::Good, format!("the programs will run by {hook}")));
    }
    if let Some(cluster) = cluster {
        network(&cluster, self_name, &mut findings).await?;
    }
    Ok(findings)
}

async fn network(
    cluster: &Cluster,
    self_name: Option<&str>,
    findings: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let netlink = Netlink::connect()?;
    let snapshot = Snapshot::take(&netlink).await?;
    if let Err(failure) = snapshot.loopback() {
        findings.push(Finding::new(Level::Bad, failure.to_string()));
    }
    let all = snapshot.all_addresses();
    let identity = match identity::find(cluster, self_name, "this host", &all, &all) {
        Ok(identity) => identity,
        Err(failure) => {
            findings.push(Finding::new(Level::Bad, failure.to_string()));
            return Ok(());
        }
    };
    let names = snapshot.names();
    let held_by = names
        .iter()
        .find(|(index, _)| snapshot.addresses_of(**index).contains(&identity.underlay.0));
    let Some((index, name)) = held_by else { return Ok(()) };
    findings.push(Finding::new(
        Level::Good,
        format!(
            "this host is {}, and its interface is {name}: rewrite attach {name}",
            identity.name
        ),
    ));
    findings
        .extend(snapshot.attachable(name).err().map(|f| Finding::new(Level::Bad, f.to_string())));

    let attached = Attached { index: *index, name, names: &names };
    let existing = netlink.host_routes().await?;
    for member in cluster.members().iter().filter(|member| member.name != identity.name) {
        let route = netlink.way_to(member.public.0).await.and_then(|way| {
            to_peer(&attached, identity.private, member.private, member.public, way)
        });
        let route = match route {
            Ok(route) => changes(&attached, &existing, &[route]).map(|_| ()),
            Err(failure) => Err(failure),
        };
        let good = format!("{}, {}, is reached through {name}", member.name, member.public);
        findings.push(Finding::of(route, good));
    }
    for (other, other_name) in &names {
        let has_private = snapshot.addresses_of(*other).contains(&identity.private.0);
        if has_private && other != index && strict_reverse_path(other_name) {
            findings.push(Finding::new(
                Level::Note,
                format!(
                    "{other_name} filters by reverse path (rp_filter is 1): while {name} is \
                     attached, packets that still arrive on {other_name} from the peers are \
                     dropped; sysctl -w net.ipv4.conf.{other_name}.rp_filter=2 lets them in"
                ),
            ));
        }
    }
    Ok(())
}

/// Linux, Documentation/networking/ip-sysctl.rst, rp_filter: the larger of the two counts.
fn strict_reverse_path(interface: &str) -> bool {
    let value = |name: &str| {
        fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"))
            .ok()
            .and_then(|text| text.trim().parse::<u8>().ok())
            .unwrap_or(0)
    };
    value("all").max(value(interface)) == 1
}
