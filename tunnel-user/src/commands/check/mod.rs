//! `rewrite check`: checks the file and this host, and finds the obstacles to an attach. Changes nothing.

mod interface;

use std::path::Path;
use std::slice;

use crate::config::{Cluster, Clusters};
use crate::dataplane::bpffs::{self, BPFFS};
use crate::dataplane::pins::Folder;
use crate::dataplane::{hook, load};
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::model::text::{counted, list};
use crate::ops::attach::request::Request;
use crate::ops::attach::resolve::resolve;
use crate::ops::attached::Running;
use crate::ops::difference::{self, Difference, Planned};
use crate::ops::load_file;
use crate::plan::attach_point::{Hook, Ingress};
use crate::trial;

/// The weight of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// No fault.
    Good,
    /// A fact worth knowing; attach works.
    Note,
    /// An obstacle: attach would fail.
    Bad,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The finding's weight.
    pub level: Level,
    /// The description of the finding, and the remedy.
    pub what: String,
}

impl Finding {
    fn new(level: Level, what: impl Into<String>) -> Self {
        Self { level, what: what.into() }
    }

    fn of(result: Result<(), Error>, good: impl Into<String>) -> Self {
        match result {
            Ok(()) => Self::new(Level::Good, good),
            Err(failure) => Self::new(Level::Bad, failure.to_string()),
        }
    }
}

/// Checks the file, the kernel and the network for an attach with the ingress program at `wanted`. Without `wanted`,
/// the checks of the kernel and the interface assume tc, and the comparison with an attached interface keeps the
/// ingress program's present place. Checks `interface` alone or, without a name, the interface on each network of the
/// file.
///
/// # Errors
/// If a query to the kernel fails. Every other fault is a finding.
pub async fn run(
    config: &Path,
    self_names: &[String],
    interface: Option<&str>,
    wanted: Option<Ingress>,
) -> Result<Vec<Finding>, Error> {
    let ingress = wanted.unwrap_or_default();
    let mut findings = Vec::new();
    let cluster = match load_file::load(config, None).await {
        Ok((cluster, _)) => {
            let what = format!("{} is valid: {}", config.display(), described(&cluster));
            findings.push(Finding::new(Level::Good, what));
            Some(cluster)
        }
        Err(error) => {
            findings.push(Finding::new(Level::Bad, format!("{error:#}")));
            None
        }
    };
    let privileges = privileges::require(Task::LoadPrograms);
    let privileged = privileges.is_ok();
    findings.push(Finding::of(privileges, "this process has the privileges"));
    findings.push(Finding::of(bpffs::require(), "a BPF file system is mounted for the pins"));
    findings.extend(bpffs::writable_by_others().map(|mode| {
        Finding::new(
            Level::Note,
            format!(
                "other users can write to {BPFFS} (mode {mode:o}), and can create folders and \
                 pins at the paths of rewrite: chmod 0700 {BPFFS}, and mount it with mode=0700"
            ),
        )
    }));
    if privileged {
        let loads = load::probe(ingress);
        findings.push(Finding::of(loads, "the kernel's verifier accepts the programs"));
        let hook = match hook::best() {
            Hook::Tcx => "tcx",
            Hook::Clsact => "clsact, because this kernel has no tcx",
        };
        findings.push(Finding::new(Level::Good, format!("attach uses the hook {hook}")));
    }
    if let Some(clusters) = &cluster {
        let on_interface = interface.map(|name| clusters.on(name, None));
        let chosen = match on_interface {
            None => clusters.all(),
            Some(Ok(cluster)) => slice::from_ref(cluster),
            Some(Err(no_network)) => {
                findings.push(Finding::new(Level::Bad, no_network.to_string()));
                &[]
            }
        };
        for cluster in chosen {
            let count = findings.len();
            let link =
                interface::check(cluster, self_names, interface, ingress, &mut findings).await?;
            let is_right = findings[count..].iter().all(|finding| finding.level != Level::Bad);
            if let Some(link) = link.filter(|_| is_right && privileged) {
                let network = cluster.network().map(|network| network.name.clone());
                let request = Request {
                    ingress: wanted,
                    network,
                    ..Request::first(&link.name, config, self_names)
                };
                match changes_of_attach(&request, clusters).await {
                    Ok(planned) => {
                        let changes = described_changes(&planned.difference);
                        findings.push(Finding::new(Level::Good, changes));
                        findings.extend(endangered(&link.name, &planned));
                    }
                    Err(refusal) => findings.push(bad(refusal)),
                }
            }
        }
    }
    Ok(findings)
}

/// Finds the changes that attach would make, or the refusal of attach, with the same steps as attach. Runs only if the
/// other checks found no obstacle: they report all obstacles at once, and a refusal names only the first obstacle.
async fn changes_of_attach(request: &Request, clusters: &Clusters) -> Result<Planned, Error> {
    let netlink = Netlink::connect()?;
    let folder = Folder::of(NetworkNamespace::current()?, &request.interface);
    trial::require_none(&folder)?;
    let resolved = resolve(request, folder.clone(), clusters, &netlink).await?;
    if hook::best() == Hook::Clsact {
        netlink.clsact_of(&resolved.link).await?;
    }
    let running = Running::open(folder).ok();
    difference::planned(running.as_ref(), &resolved, &netlink).await
}

/// The open connections that a first attach of `interface` can end.
fn endangered(interface: &str, planned: &Planned) -> Vec<Finding> {
    let note = |what| Finding::new(Level::Note, what);
    match &planned.endangered {
        Err(unknown) => vec![note(unknown.clone())],
        Ok(found) => {
            let end = |found| note(format!("an attach of {interface} can end {found}"));
            let trial = format!(
                "rewrite attach {interface} --confirm-within 60s takes an attach back that ends your \
                 ssh"
            );
            let has_ssh = found.iter().any(|endangered| endangered.is_ssh);
            found.iter().map(end).chain(has_ssh.then(|| note(trial))).collect()
        }
    }
}

/// Describes the changes: `an attach of eth0 changes: addresses on lo +1, peers +2, routes +2`, with the command that
/// lists them.
fn described_changes(difference: &Difference) -> String {
    let Difference { interface, config, changes, .. } = difference;
    if changes.is_empty() {
        return format!("{interface} matches {}", config.display());
    }
    let (peers, routes) = (&changes.peers, &changes.routes);
    let (added, removed) = (&changes.added_addresses, &changes.removed_addresses);
    let counts = [
        ("addresses on lo", [('+', added.len()), ('~', 0), ('-', removed.len())]),
        (
            "peers",
            [('+', peers.added.len()), ('~', peers.changed.len()), ('-', peers.removed.len())],
        ),
        ("routes", [('+', routes.set.len()), ('~', 0), ('-', routes.remove.len())]),
    ];
    let described = |(what, counts): (&str, [(char, usize); 3])| {
        let some = counts.iter().filter(|(_, count)| *count > 0);
        let some: String = some.map(|(sign, count)| format!(" {sign}{count}")).collect();
        (!some.is_empty()).then(|| format!("{what}{some}"))
    };
    let mut described: Vec<_> = counts.into_iter().filter_map(described).collect();
    if changes.local_members.as_ref().is_some_and(|(from, _)| !from.is_empty()) {
        described.insert(0, "the identity of this host".to_owned());
    }
    described.extend(changes.bypass.as_ref().map(|_| "the bypass rules".to_owned()));
    described.extend(changes.settings.iter().map(|setting| setting.name.to_owned()));
    format!(
        "an attach of {interface} changes: {}; rewrite attach {interface} --dry-run lists them",
        described.join(", ")
    )
}

fn described(clusters: &Clusters) -> String {
    let of = |cluster: &Cluster| match cluster.network() {
        None => counted(cluster.members().len(), "member"),
        Some(network) => {
            format!("{} on {}", counted(cluster.members().len(), "member"), network.name)
        }
    };
    list(clusters.all().iter().map(of))
}

fn bad(failure: Error) -> Finding {
    Finding::new(Level::Bad, failure.to_string())
}
