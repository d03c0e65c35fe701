//! `rewrite check`: checks the file and this host, and finds the obstacles to an attach. Changes nothing.

use std::path::Path;

use crate::config::{Cluster, Clusters};
use crate::dataplane::bpffs::{self, BPFFS};
use crate::dataplane::pins::Folder;
use crate::dataplane::{hook, in_front, load};
use crate::error::Error;
use crate::host::bridge_netfilter;
use crate::host::forwarding;
use crate::host::link::Link;
use crate::host::netlink::Netlink;
use crate::host::network_manager::NetworkManager;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::host::snapshot::Snapshot;
use crate::model::Family;
use crate::model::text::list;
use crate::ops::attach::request::Request;
use crate::ops::attach::resolve::{require_ipv6_on_loopback, resolve};
use crate::ops::attached::Running;
use crate::ops::difference::{self, Difference, Planned};
use crate::ops::reverse_path;
use crate::ops::{load_file, routing};
use crate::plan::attach_point::{AttachPoint, Hook, Ingress};
use crate::plan::find_self::{self, HostAddresses};
use crate::plan::identity::Identity;
use crate::plan::membership::Membership;
use crate::plan::peers::PeerAddresses;
use crate::plan::routes::changes;
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
/// ingress program's present place.
///
/// # Errors
/// If a query to the kernel fails. Every other fault is a finding.
pub async fn run(
    config: &Path,
    self_names: &[String],
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
        for cluster in clusters.all() {
            let count = findings.len();
            let link = network(cluster, self_names, ingress, &mut findings).await?;
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
        "an attach of {interface} changes: {}; rewrite diff --interface {interface} lists them",
        described.join(", ")
    )
}

fn described(clusters: &Clusters) -> String {
    let of = |cluster: &Cluster| match cluster.network() {
        None => format!("{} members", cluster.members().len()),
        Some(network) => format!("{} members on {}", cluster.members().len(), network.name),
    };
    list(clusters.all().iter().map(of))
}

async fn network(
    cluster: &Cluster,
    self_names: &[String],
    ingress: Ingress,
    findings: &mut Vec<Finding>,
) -> Result<Option<Link>, Error> {
    let netlink = Netlink::connect()?;
    let snapshot = Snapshot::take(&netlink).await?;
    let all = snapshot.all_addresses();
    let held = HostAddresses { interface: "this host", on_interface: &all, on_host: &all };
    let membership = find_self::find(cluster, self_names, &held)
        .and_then(|identity| Membership::of(cluster, identity));
    let (membership, left_out) = match membership {
        Ok(found) => found,
        Err(failure) => {
            // Also report a loopback interface that is down: every host except a gateway needs it.
            findings.extend(snapshot.loopback().err().map(bad));
            findings.push(bad(failure));
            return Ok(None);
        }
    };
    let identity = &membership.identity;
    if identity.on_loopback().next().is_some() {
        findings.extend(snapshot.loopback().err().map(bad));
    }
    let missing = identity.on_loopback().filter(|own| !all.contains(&own.0.address()));
    findings.extend(require_ipv6_on_loopback(missing).err().map(bad));
    findings.extend(left_out.iter().map(|left| Finding::new(Level::Note, left.to_string())));
    let Some(link) = interface(&membership, &netlink, &snapshot).await else { return Ok(None) };
    let (name, names) = (&link.name, list(identity.names()));
    findings.push(Finding::new(
        Level::Good,
        format!("this host is {names}, and its interface is {name}: rewrite attach {name}"),
    ));
    let fits = snapshot.attachable(name).and_then(|(link, header_len)| {
        hook::require_ingress(ingress, link, header_len, snapshot.links())
    });
    findings.extend(fits.err().map(bad));
    match link.require_up() {
        Ok(()) => routes(&membership, link, &netlink, &snapshot, findings).await?,
        // Without the interface, the kernel has no route: one finding stands for all peers.
        Err(down) => findings.push(bad(down)),
    }
    let has_networks = cluster.network().is_some();
    let filtered = reverse_path::drops(identity, link, has_networks, &snapshot);
    findings.extend(filtered.into_iter().map(|what| Finding::new(Level::Note, what)));
    forwarding_off(identity, name, findings);
    findings.extend(
        bridge_netfilter::in_the_way(link)
            .map(|failure| Finding::new(Level::Note, failure.to_string())),
    );
    findings.extend(programs_in_front(link, ingress, &netlink).await?);
    if let Some(manager) = NetworkManager::of(link.index, name) {
        findings.push(Finding::new(Level::Note, manager.consequence(name)));
    }
    if link.up && !link.carrier {
        let what = format!("{name} has no carrier: plug the cable in, or bring up the other end");
        findings.push(Finding::new(Level::Note, what));
    }
    Ok(Some(link.clone()))
}

/// Finds other tools' programs that run before our programs, now or after an attach. Such a program may keep a packet
/// from reaching our program.
async fn programs_in_front(
    link: &Link,
    ingress: Ingress,
    netlink: &Netlink,
) -> Result<Vec<Finding>, Error> {
    let folder = Folder::of(NetworkNamespace::current()?, &link.name);
    let running = Running::open(folder.clone()).ok().filter(|_| folder.exists());
    let attached = running.and_then(|running| {
        let attachment = running.attachment;
        AttachPoint::from_codes(attachment.hook, attachment.ingress)
    });
    let found = match attached {
        Some(place) => in_front::of_attached(&folder, place, link.index, netlink).await?,
        None => {
            let place = AttachPoint { hook: hook::best(), ingress };
            in_front::of_next_attach(place, link.index, netlink).await?
        }
    };
    let name = &link.name;
    let finding = |program| {
        let what = format!(
            "{name} runs a program in front of rewrite, {program}: packets that it ends with \
             TCX_PASS skip rewrite; attach it behind rewrite"
        );
        Finding::new(Level::Note, what)
    };
    Ok(found.iter().map(finding).collect())
}

fn bad(failure: Error) -> Finding {
    Finding::new(Level::Bad, failure.to_string())
}

/// The interface that has an underlay address of this host. If no interface has an underlay address, for example
/// because a prefix is routed to the host: the interface on the path to a peer.
async fn interface<'a>(
    membership: &Membership,
    netlink: &Netlink,
    snapshot: &'a Snapshot,
) -> Option<&'a Link> {
    let underlays: Vec<_> = membership.identity.mappings().map(|m| m.underlay().0).collect();
    let has = |link: &&Link| {
        let own = snapshot.addresses_of(link.index);
        own.iter().any(|address| underlays.iter().any(|underlay| underlay.contains(*address)))
    };
    if let Some(link) = snapshot.links().iter().find(has) {
        return Some(link);
    }
    let public = membership.peers.first()?.addresses.first()?.public;
    let next_hops = netlink.next_hops_to(public.0.address(), None).await.ok()?;
    next_hops.first().and_then(|next_hop| snapshot.link(next_hop.link))
}

async fn routes(
    membership: &Membership,
    link: &Link,
    netlink: &Netlink,
    snapshot: &Snapshot,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let names = snapshot.names();
    let attached = routing::attached(link, &names);
    let (existing, policy) = (netlink.host_routes().await?, netlink.policy().await?);
    let identity = &membership.identity;
    for peer in &membership.peers {
        for addresses in &peer.addresses {
            let route = routing::to_peer(netlink, &attached, &policy, identity, addresses).await;
            let route = route.and_then(|route| changes(&attached, &existing, &[route]).map(|_| ()));
            let good = format!(
                "packets to {}, {}, leave through {}",
                peer.name, addresses.public, link.name
            );
            let is_good = route.is_ok();
            findings.push(Finding::of(route, good));
            if is_good {
                let others = routing::other_links(netlink, &attached, identity, addresses).await?;
                findings.extend(spread(&link.name, &others, addresses));
            }
        }
    }
    Ok(())
}

/// Reports that the kernel spreads packets to a peer's public address over several interfaces.
fn spread(name: &str, others: &[String], addresses: &PeerAddresses) -> Option<Finding> {
    let PeerAddresses { private, public } = addresses;
    (!others.is_empty()).then(|| {
        Finding::new(
            Level::Note,
            format!(
                "equal-cost routes spread packets to {public} over {name} and {}: packets to \
                 {private} leave through {name} alone, and packets from it must arrive there; \
                 attach the others as well if its packets arrive on them",
                list(others)
            ),
        )
    })
}

fn forwarding_off(identity: &Identity, interface: &str, findings: &mut Vec<Finding>) {
    let families = Family::ALL.into_iter().filter(|family| identity.has(*family));
    for family in families.filter(|family| !forwarding::forwards(*family, interface)) {
        if identity.is_gateway() {
            findings.push(Finding::new(
                Level::Note,
                format!(
                    "this host is a gateway, but does not forward {family} packets from \
                     {interface}: sysctl -w {}=1",
                    forwarding::sysctl(family, interface)
                ),
            ));
        }
    }
}
