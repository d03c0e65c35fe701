//! Finds the drift: the differences between an attached interface and the configuration file. `rewrite run` checks for
//! drift before each attach. The check changes neither the interface nor the maps. If it finds no drift, the check
//! sends one more move notice to the awaited peers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::attach::request::Request;
use super::attach::resolve::{Resolved, resolve};
use super::attached::Running;
use super::{difference, load_file, move_notices};
use crate::config::Clusters;
use crate::dataplane::bpffs;
use crate::dataplane::in_flight::{self, Seen};
use crate::dataplane::lock;
use crate::dataplane::map_use;
use crate::dataplane::pins::Folder;
use crate::dataplane::upgrade::{self, Found, under_way};
use crate::error::Error;
use crate::host::clock::monotonic;
use crate::host::netlink::Netlink;
use crate::host::snapshot::Snapshot;
use crate::model::text::{counted, list, unpadded};
use crate::plan::attach_point::AttachPoint;
use crate::plan::awaited::shown;
use crate::plan::bypass::BypassTable;
use crate::plan::change::difference::Changes;
use crate::plan::follow::{Drift, Problem, Standing};
use crate::plan::peer_tables::PeerTables;
use crate::plan::peers::NamedPeer;
use crate::plan::{arp, local_tables, peer_tables, slots};

use tunnel_common::bypass::CLUSTER;

/// The answer to a daemon that wants to follow a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// The daemon may follow the file.
    Granted,
    /// The daemon may not follow the file. The text gives the reason, and says how to end the refusal.
    Denied(String),
}

/// Decides if the daemon of the interface in `folder` may follow a file with this content: a trial can forbid it. Even
/// with the permission, an attach can refuse the file, for example because the host lacks an address.
pub type MayFollow = fn(folder: &Folder, content: &[u8]) -> Result<Permission, Error>;

/// The pause between two looks at a command that may change the file and the interface.
const INTERVAL: Duration = Duration::from_millis(20);
/// The longest time to wait for such a command. The attach that follows waits for its end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Compares the interface with the file. A failure becomes [`Drift::Unknown`].
pub(crate) async fn find(
    request: &Request,
    folder: &Folder,
    netlink: &Netlink,
    may_follow: MayFollow,
) -> Drift {
    match compare_undisturbed(request, folder, netlink, may_follow).await {
        Ok(drift) => drift,
        Err(failure) => Drift::Unknown(problem(&failure, folder, netlink).await),
    }
}

/// Compares the interface with the file, and begins anew if a command has changed both between the two reads.
///
/// A command that changes both holds the interface's lock, and changes the file first. So the interface is never older
/// than a file that was read while nobody held the lock. It is newer if the file has changed since then.
async fn compare_undisturbed(
    request: &Request,
    folder: &Folder,
    netlink: &Netlink,
    may_follow: MayFollow,
) -> Result<Drift, Error> {
    bpffs::require()?;
    let start = Instant::now();
    loop {
        let (clusters, content) = load_file::load(&request.config, None).await?;
        if lock::is_held(folder)? && start.elapsed() < PATIENCE {
            tokio::time::sleep(INTERVAL).await;
            continue;
        }
        if let Permission::Denied(why) = may_follow(folder, content.text.as_bytes())? {
            let standing = standing(folder, netlink).await;
            return Ok(Drift::Unknown(Problem { why, standing, awaited: false }));
        }
        let drift = compare(request, folder, netlink, &clusters).await?;
        if !matches!(drift, Drift::Found(_)) || start.elapsed() >= PATIENCE {
            return Ok(drift);
        }
        let (_, now) = load_file::load(&request.config, None).await?;
        if now == content {
            return Ok(drift);
        }
    }
}

/// The problem that keeps the daemon from following the file, and the state of the interface.
pub(crate) async fn problem(failure: &Error, folder: &Folder, netlink: &Netlink) -> Problem {
    // The host's network managers may end a refusal, for example by adding an address. Only the operator can fix an
    // invalid file or an error of the kernel.
    let awaited = matches!(failure, Error::Refused { .. } | Error::Host { .. });
    let standing = standing(folder, netlink).await;
    Problem { why: failure.to_string(), standing, awaited }
}

/// True if the next attach will take over the previous version's attachment, or finish a takeover.
fn is_of_before(folder: &Folder) -> Result<bool, Error> {
    Ok(under_way(folder).is_some() || upgrade::find(folder)? != Found::Nothing)
}

async fn standing(folder: &Folder, netlink: &Netlink) -> Standing {
    find_standing(folder, netlink).await.unwrap_or(Standing::NotAttached)
}

async fn find_standing(folder: &Folder, netlink: &Netlink) -> Result<Standing, Error> {
    if !folder.exists() {
        return Ok(Standing::NotAttached);
    }
    let running = Running::open(folder.clone())?;
    let snapshot = Snapshot::take(netlink).await?;
    let Some(link) = snapshot.find(folder.interface()).filter(|link| link.up) else {
        return Ok(Standing::NotAttached);
    };
    let held = snapshot.all_addresses();
    let identity = &running.local.identity;
    let has_private = identity.on_loopback().all(|own| held.contains(&own.0.address()));
    if !has_private || !running.runs_on(link.index, netlink).await {
        return Ok(Standing::NotAttached);
    }
    // Check single addresses only: if a prefix is routed to a host, the host need not have an address of the prefix.
    let mut underlays =
        identity.mappings().filter(|mapping| mapping.is_single()).map(|m| m.underlay());
    if let Some(missing) = underlays.find(|own| !held.contains(&own.0.address())) {
        return Ok(Standing::Cut(format!("this host no longer has {missing}")));
    }
    if !link.carrier {
        return Ok(Standing::Cut(format!("{} has no carrier", link.name)));
    }
    Ok(Standing::AsItWas)
}

async fn compare(
    request: &Request,
    folder: &Folder,
    netlink: &Netlink,
    clusters: &Clusters,
) -> Result<Drift, Error> {
    let resolved = resolve(request, folder.clone(), clusters, netlink).await?;
    let interface = folder.interface();
    if !folder.exists() || folder.is_unfinished()? {
        return Ok(Drift::Found(vec![format!("{interface} is not attached")]));
    }
    if folder.lacks_maps()? {
        return Ok(Drift::Found(vec![format!("pins of {interface} are missing")]));
    }
    if is_of_before(folder)? {
        return Ok(Drift::Found(vec![format!("the previous version attached {interface}")]));
    }
    if let Seen::Killed(_) = in_flight::seen(folder)? {
        let why = format!("a command that changed {interface} was killed or failed halfway");
        return Ok(Drift::Found(vec![why]));
    }
    let running = Running::open(folder.clone())?;
    if !running.runs_on(resolved.link.index, netlink).await {
        return Ok(Drift::Found(vec![format!("{interface} does not run the programs")]));
    }
    let attachment = &running.attachment;
    if let Some(place) = AttachPoint::from_codes(attachment.hook, attachment.ingress)
        && !map_use::unseen(folder, place, attachment.ifindex, netlink).await?.is_empty()
    {
        let why = format!("the programs of {interface} use other maps than the pinned ones");
        return Ok(Drift::Found(vec![why]));
    }
    let strays = running.strays(netlink).await?;
    if !strays.is_empty() {
        let strays: Vec<_> = strays.iter().map(ToString::to_string).collect();
        let strays = strays.join("; ");
        return Ok(Drift::Found(vec![format!(
            "{interface} runs stray programs of rewrite, {strays}"
        )]));
    }
    let mut differences = records(&running, &resolved)?;
    for sysctl in arp::wanted(resolved.link.has_hardware_addresses, &resolved.membership) {
        if sysctl.effective(interface)? < sysctl.wanted() {
            let name = sysctl.name();
            differences.push(format!("ARP on {interface} can reveal the private address ({name})"));
        }
    }
    let (_, bypass) = running.peers()?;
    differences.extend(cluster_bypass(&bypass, &resolved));
    differences.extend(describe(&difference::between(Some(&running), &resolved)?.changes));
    let (tables, now) = (running.maps.peers()?, monotonic()?);
    let unrecorded = shown(&tables.v4, now, 0).len() + shown(&tables.v6, now, 0).len();
    if unrecorded > 0 {
        differences.push(format!(
            "peers have confirmed their new addresses: an end time for {}",
            counted(unrecorded, "former entry")
        ));
    }
    if differences.is_empty() {
        // Look for missing entries only if there is no other difference: a new peer is a difference already, and the
        // new peer's entries are always missing.
        differences = missing_entries(&running, &tables, &resolved)?;
    }
    if !differences.is_empty() {
        return Ok(Drift::Found(differences));
    }
    move_notices::ask_again(&tables, &running.local.identity);
    let peers = resolved.membership.peers.len();
    let noun = if peers == 1 { "peer" } else { "peers" };
    Ok(Drift::None(format!(
        "{interface} matches {}: {}, {peers} {noun}",
        request.config.display(),
        list(resolved.membership.identity.names()),
    )))
}

/// Describes the parts of the record that an attach by this process would change.
fn records(running: &Running, resolved: &Resolved<'_>) -> Result<Vec<String>, Error> {
    let attachment = &running.attachment;
    let mut differences = Vec::new();
    let version = unpadded(&attachment.version);
    if version != env!("CARGO_PKG_VERSION") {
        differences.push(format!("version {version} attached the interface"));
    }
    let revision = resolved.record(attachment.attached_at).revision;
    if attachment.revision != revision {
        differences.push(format!("the file's revision is {revision}"));
    }
    if (attachment.routes_managed == 1) == resolved.request.no_routes {
        let who = if resolved.request.no_routes { "the operator" } else { "rewrite" };
        differences.push(format!("{who} sets the routes from now on"));
    }
    if attachment.settings.moved == 1 && !resolved.local(Some(&running.maps))?.has_moved() {
        differences.push("this host no longer has its former underlay address".to_owned());
    }
    let settings = resolved.settings_over(&attachment.settings, attachment.settings.moved == 1);
    if attachment.settings != settings {
        differences.push("the programs were loaded for other members".to_owned());
    }
    Ok(differences)
}

/// Describes the map entries that an attach with the file would restore because somebody has removed them.
fn missing_entries(
    running: &Running,
    peers: &PeerTables,
    resolved: &Resolved<'_>,
) -> Result<Vec<String>, Error> {
    let Running { maps, local, .. } = running;
    let names = maps.names()?;
    let slots = slots::assign(&names, resolved.membership.peers.iter().map(|peer| &peer.name));
    let wanted = peer_tables::tables(&resolved.membership, &slots.by_name, 0);
    let held = maps.local_tables()?;
    let wanted_locally =
        local_tables::tables(&local.identity, &local_tables::previous_underlays(&held));
    let counts = [
        ("peers", lacking(&peers.v4, &wanted.v4) + lacking(&peers.v6, &wanted.v6)),
        ("names of peers", slots.new.len()),
        (
            "this host's addresses",
            lacking(&held.v4, &wanted_locally.v4) + lacking(&held.v6, &wanted_locally.v6),
        ),
    ];
    let missing = counts.into_iter().filter(|(_, count)| *count > 0);
    let described = |(what, count)| format!("the maps lack {} of {what}", counted(count, "entry"));
    Ok(missing.map(described).collect())
}

fn lacking<K: Ord, V, W>(held: &BTreeMap<K, V>, wanted: &BTreeMap<K, W>) -> usize {
    wanted.keys().filter(|key| !held.contains_key(key)).count()
}

fn cluster_bypass(running: &BypassTable, resolved: &Resolved<'_>) -> Option<String> {
    let wanted = &resolved.membership.bypass;
    let same = running.get(&CLUSTER).map_or(wanted.is_empty(), |running| running == wanted);
    (!same).then(|| format!("the bypass list of the cluster is now {}", list(wanted)))
}

fn describe(difference: &Changes) -> Vec<String> {
    let mut words = Vec::new();
    if let Some((from, to)) = &difference.local_members {
        words.push(format!("this host was {}, and is now {}", list(from), list(to)));
    }
    let peers = &difference.peers;
    words.extend(peers.added.iter().map(|peer| format!("{} is added", described(peer))));
    words.extend(peers.removed.iter().map(|peer| format!("{} is removed", described(peer))));
    let changed = peers.changed.iter();
    words.extend(changed.map(|(from, to)| format!("{} is now {}", described(from), described(to))));
    let private = |address| format!("private address {address}");
    words.extend(difference.added_addresses.iter().map(|a| format!("{} is not on lo", private(a))));
    let removed = difference.removed_addresses.iter();
    words.extend(removed.map(|a| format!("{} on lo is no longer needed", private(a))));
    words.extend(difference.routes.set.iter().map(|route| format!("route {route} is missing")));
    words.extend(
        difference.routes.remove.iter().map(|route| format!("route {route} is no longer needed")),
    );
    words
}

fn described(peer: &NamedPeer) -> String {
    let direct = if peer.direct { ", direct" } else { "" };
    let bypass = if peer.bypass.is_empty() {
        String::new()
    } else {
        format!(", bypass {}", list(&peer.bypass))
    };
    format!("peer {} ({}{direct}{bypass})", peer.name, list(&peer.addresses))
}
