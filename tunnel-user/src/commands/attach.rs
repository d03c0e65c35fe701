//! `rewrite attach`: address, maps, programs and routes, as the file says; or nothing.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use tunnel_common::ABI_VERSION;
use tunnel_common::attachment::Attachment;
use tunnel_common::outcome::Direction;

use super::detach::Leave;
use super::undo::{Undo, undo};
use super::{detach, membership, routing};
use crate::address::Private;
use crate::config::{self, Cluster};
use crate::dataplane::hook::{self, Hook};
use crate::dataplane::load::{Capacity, load};
use crate::dataplane::maps::{Maps, padded};
use crate::dataplane::pins::{self, Folder};
use crate::failure::Failure;
use crate::host::arp;
use crate::host::netlink::{CLSACT, Link, Netlink};
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges;
use crate::host::snapshot::Snapshot;
use crate::interrupt::Interrupt;
use crate::plan::identity::{self, Identity};
use crate::plan::peers::NamedPeer;
use crate::plan::routes::RouteChanges;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The interface to attach to.
    pub interface: String,
    /// The file.
    pub config: PathBuf,
    /// Which member this host is, where its addresses do not tell.
    pub self_name: Option<String>,
    /// Leave the routes to the operator.
    pub no_routes: bool,
    /// Where the programs shall run; the best that the kernel has otherwise.
    pub hook: Option<Hook>,
    /// Load programs that log what they do not rewrite.
    pub verbose: bool,
}

/// What is now true.
#[derive(Clone, Debug)]
pub struct Report {
    /// The interface.
    pub interface: String,
    /// Whether it was attached before.
    pub was_attached: bool,
    /// Who this host is.
    pub identity: Identity,
    /// How many peers it has.
    pub peers: usize,
    /// Where the programs run.
    pub hook: Hook,
    /// Whether the private address was added to the loopback interface, now or before.
    pub loopback_address_added: bool,
    /// Whether the interface's sysctl arp_announce was set, now or before.
    pub arp_announce_set: bool,
    /// The routes that were set and removed.
    pub routes: RouteChanges,
    /// The entries of `peers_v4` that were set or removed.
    pub changed_entries: usize,
}

/// Everything known before the first change.
struct Plan<'a> {
    options: &'a Options,
    folder: Folder,
    link: Link,
    loopback: u32,
    identity: Identity,
    peers: Vec<NamedPeer>,
    routes: RouteChanges,
    /// Whether the loopback interface has the private address already.
    on_loopback: bool,
}

/// Attaches, or makes what is attached into what the file says.
///
/// # Errors
/// Nothing has changed then.
pub async fn run(options: &Options) -> Result<Report, Failure> {
    privileges::require()?;
    pins::require_bpffs()?;
    let cluster = config::load(&options.config)?;
    let netlink = Netlink::connect()?;
    let interrupt = Interrupt::listen()?;
    let _lock = pins::lock(&interrupt).await?;

    let folder = Folder::of(NetworkNamespace::current()?, &options.interface);
    let plan = plan(options, folder, &cluster, &netlink).await?;
    let before = existing(&plan, &netlink).await?;

    let mut steps = Vec::new();
    let (result, mut maps) = match before {
        Existing::Nothing { address_was_ours } => {
            (attach(&plan, &netlink, &interrupt, address_was_ours, &mut steps).await, None)
        }
        Existing::Running { mut maps, attachment, hook } => {
            let result =
                update(&plan, &mut maps, &attachment, hook, &netlink, &interrupt, &mut steps).await;
            (result, Some(maps))
        }
    };
    if result.is_err() {
        undo(&netlink, maps.as_deref_mut(), steps).await;
    }
    result
}

async fn plan<'a>(
    options: &'a Options,
    folder: Folder,
    cluster: &Cluster,
    netlink: &Netlink,
) -> Result<Plan<'a>, Failure> {
    let snapshot = Snapshot::take(netlink).await?;
    let link = snapshot.attachable(&options.interface)?.clone();
    let loopback = snapshot.loopback()?.index;
    let identity = identity::find(
        cluster,
        options.self_name.as_deref(),
        &options.interface,
        &snapshot.addresses_of(link.index),
        &snapshot.all_addresses(),
    )?;
    let others = cluster.members().iter().filter(|member| member.name != identity.name);
    let peers: Vec<_> = others.map(NamedPeer::from).collect();
    let routes = if options.no_routes {
        // Those of an earlier attach without --no-routes.
        RouteChanges { set: Vec::new(), remove: routing::ours(netlink, link.index).await? }
    } else {
        let ways = peers.iter().map(|peer| (peer.private, peer.public));
        routing::plan(netlink, &link, &snapshot.names(), identity.private, ways).await?
    };
    let on_loopback = snapshot.addresses_of(loopback).contains(&identity.private.0);
    Ok(Plan { options, folder, link, loopback, identity, peers, routes, on_loopback })
}

enum Existing {
    Nothing {
        /// Whether the private address on the loopback interface is left from an attach of ours.
        address_was_ours: bool,
    },
    Running {
        maps: Box<Maps>,
        attachment: Box<Attachment>,
        hook: Hook,
    },
}

/// Looks at what is pinned, and clears away what is left of an interface that is gone or of an
/// attach that was killed.
async fn existing(plan: &Plan<'_>, netlink: &Netlink) -> Result<Existing, Failure> {
    let folder = &plan.folder;
    if !folder.exists() {
        return Ok(Existing::Nothing { address_was_ours: false });
    }
    if folder.is_unfinished()? {
        tracing::warn!("an earlier attach to {} was killed: starting anew", folder.interface());
        folder.remove()?;
        return Ok(Existing::Nothing { address_was_ours: false });
    }
    let maps = Maps::open(folder)?;
    let attachment = maps.attachment()?;
    let running = match Hook::from_code(attachment.hook) {
        Some(hook) if attachment.ifindex == plan.link.index => {
            let link = plan.link.index;
            let egress = hook::runs(folder, hook, Direction::Egress, netlink, link).await;
            let ingress = hook::runs(folder, hook, Direction::Ingress, netlink, link).await;
            (egress && ingress).then_some(hook)
        }
        _ => None,
    };
    if let Some(hook) = running {
        let (maps, attachment) = (Box::new(maps), Box::new(attachment));
        return Ok(Existing::Running { maps, attachment, hook });
    }
    tracing::warn!(
        "the pins of {} are left from an interface that is gone or an attach that was killed: \
         starting anew",
        folder.interface()
    );
    let same_address = attachment.self_private == plan.identity.private.octets();
    let address_was_ours = attachment.loopback_address_added == 1 && same_address;
    let leave = if address_was_ours { Leave::RoutesAndAddress } else { Leave::Routes };
    detach::remove(folder, &attachment, netlink, leave).await?;
    Ok(Existing::Nothing { address_was_ours })
}

async fn attach(
    plan: &Plan<'_>,
    netlink: &Netlink,
    interrupt: &Interrupt,
    address_was_ours: bool,
    steps: &mut Vec<Undo>,
) -> Result<Report, Failure> {
    let folder = &plan.folder;
    // What an attach that was killed has left and this one takes over.
    let left = routing::ours(netlink, plan.link.index).await?;
    steps.extend(left.iter().map(|route| Undo::RemoveRoute(*route)));
    if address_was_ours {
        steps.push(Undo::RemoveAddress(plan.loopback, plan.identity.private));
    }
    steps.push(Undo::RemoveFolder(folder.clone()));
    folder.create()?;
    let capacity = Capacity::for_peers(plan.peers.len());
    let mut loaded = load(folder, capacity, plan.options.verbose)?;
    interrupt.check().await?;

    let mut maps = Maps::open(folder)?;
    let adds_address = !plan.on_loopback;
    let mut attachment = attachment(plan, now());
    attachment.loopback_address_added = u8::from(adds_address || address_was_ours);
    announce_public(plan, &mut maps, &mut attachment, steps)?;
    let changed_entries =
        membership::change(&mut maps, &plan.identity, &plan.peers, interrupt, &mut Vec::new())
            .await?;

    // Programs before address and routes: no packet with private addresses gets past them.
    let hook = plan.options.hook.unwrap_or_else(Hook::best);
    if hook == Hook::Clsact {
        // Recorded before it is done, so that a detach after a kill in between undoes it.
        attachment.clsact_added = u8::from(!has_clsact(plan, netlink).await?);
        maps.set_attachment(&attachment)?;
        if attachment.clsact_added == 1 {
            steps.push(Undo::RemoveClsact(plan.link.index));
        }
    }
    steps.push(Undo::Detach(folder.clone(), hook));
    hook::attach(&mut loaded, folder, hook)?;
    attachment.hook = hook.code();
    maps.set_attachment(&attachment)?;

    if adds_address {
        add_address(plan, netlink, steps).await?;
    }
    routing::change(netlink, &plan.routes, &[], interrupt, steps).await?;
    interrupt.check().await?;
    Ok(report(plan, &attachment, hook, false, changed_entries))
}

async fn has_clsact(plan: &Plan<'_>, netlink: &Netlink) -> Result<bool, Failure> {
    let name = &plan.link.name;
    match netlink.ingress_qdisc(plan.link.index).await?.as_deref() {
        None => Ok(false),
        Some(CLSACT) => Ok(true),
        Some(kind) => Err(Failure::refused(
            format!("{name} has a qdisc of the kind {kind}, in the place of clsact"),
            format!("remove it (tc qdisc del dev {name} {kind}), or attach by tcx"),
        )),
    }
}

async fn update(
    plan: &Plan<'_>,
    maps: &mut Maps,
    old: &Attachment,
    hook: Hook,
    netlink: &Netlink,
    interrupt: &Interrupt,
    steps: &mut Vec<Undo>,
) -> Result<Report, Failure> {
    require_hook(plan, hook)?;
    let capacity = Capacity::for_peers(plan.peers.len());
    let mut loaded = load(&plan.folder, capacity, plan.options.verbose)?;

    let old_private = Private::from(old.self_private);
    let same_address = old_private == plan.identity.private;
    let mut new = attachment(plan, old.attached_at);
    new.hook = old.hook;
    new.clsact_added = old.clsact_added;
    let address_is_ours = same_address && old.loopback_address_added == 1;
    new.loopback_address_added = u8::from(!plan.on_loopback || address_is_ours);
    new.arp_announce_set = old.arp_announce_set;
    new.arp_announce_before = old.arp_announce_before;
    steps.push(Undo::RestoreAttachment(Box::new(*old)));
    announce_public(plan, maps, &mut new, steps)?;

    if !plan.on_loopback {
        add_address(plan, netlink, steps).await?;
    }
    let changed_entries =
        membership::change(maps, &plan.identity, &plan.peers, interrupt, steps).await?;
    let previous = routing::ours(netlink, plan.link.index).await?;
    routing::change(netlink, &plan.routes, &previous, interrupt, steps).await?;
    hook::replace(&mut loaded, &plan.folder, hook)?;
    if !same_address && old.loopback_address_added == 1 {
        netlink.remove_loopback_address(plan.loopback, old_private).await?;
    }
    Ok(report(plan, &new, hook, true, changed_entries))
}

/// Keeps the private address out of ARP. Recorded before it is done, so that a detach after a kill
/// in between undoes it.
fn announce_public(
    plan: &Plan<'_>,
    maps: &mut Maps,
    attachment: &mut Attachment,
    steps: &mut Vec<Undo>,
) -> Result<(), Failure> {
    let interface = &plan.link.name;
    let sets = arp::effective(interface)? < arp::BEST_LOCAL;
    if sets {
        attachment.arp_announce_set = 1;
        attachment.arp_announce_before = arp::read(interface)?;
    }
    maps.set_attachment(attachment)?;
    if sets {
        steps.push(Undo::RestoreArpAnnounce(interface.clone(), attachment.arp_announce_before));
        arp::write(interface, arp::BEST_LOCAL)?;
    }
    Ok(())
}

fn require_hook(plan: &Plan<'_>, running: Hook) -> Result<(), Failure> {
    match plan.options.hook {
        Some(wanted) if wanted != running => Err(Failure::refused(
            format!("{} is attached by {} already", plan.link.name, running.name()),
            format!(
                "detach first to attach by {}; attach without --hook keeps what runs",
                wanted.name()
            ),
        )),
        _ => Ok(()),
    }
}

async fn add_address(
    plan: &Plan<'_>,
    netlink: &Netlink,
    steps: &mut Vec<Undo>,
) -> Result<(), Failure> {
    let address = plan.identity.private;
    steps.push(Undo::RemoveAddress(plan.loopback, address));
    netlink.add_loopback_address(plan.loopback, address).await
}

fn attachment(plan: &Plan<'_>, attached_at: u64) -> Attachment {
    let Identity { name, private, public, underlay } = &plan.identity;
    Attachment {
        abi_version: ABI_VERSION,
        ifindex: plan.link.index,
        attached_at,
        changed_at: now(),
        self_private: private.octets(),
        self_public: public.octets(),
        self_underlay: underlay.octets(),
        hook: 0,
        loopback_address_added: 0,
        clsact_added: 0,
        routes_managed: u8::from(!plan.options.no_routes),
        arp_announce_set: 0,
        arp_announce_before: 0,
        verbose: u8::from(plan.options.verbose),
        reserved: [0; 5],
        self_name: padded(name.as_str()),
        version: padded(env!("CARGO_PKG_VERSION")),
    }
}

fn report(
    plan: &Plan<'_>,
    attachment: &Attachment,
    hook: Hook,
    was_attached: bool,
    changed_entries: usize,
) -> Report {
    Report {
        interface: plan.link.name.clone(),
        was_attached,
        identity: plan.identity.clone(),
        peers: plan.peers.len(),
        hook,
        loopback_address_added: attachment.loopback_address_added == 1,
        arp_announce_set: attachment.arp_announce_set == 1,
        routes: plan.routes.clone(),
        changed_entries,
    }
}

/// Seconds since the Unix epoch.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
