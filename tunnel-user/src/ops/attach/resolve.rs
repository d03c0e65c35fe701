//! Resolves the request of an attach against the file and the host, before the first change.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use tunnel_common::ABI_VERSION;
use tunnel_common::attachment::Attachment;
use tunnel_common::settings::Settings;

use super::request::Request;
use crate::config::{Cluster, Clusters, NetworkName};
use crate::dataplane::hook;
use crate::dataplane::maps::Maps;
use crate::dataplane::pins::{self, Folder};
use crate::dataplane::record::padded;
use crate::error::Error;
use crate::host::forwarding::ipv6_disabled;
use crate::host::link::Link;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::snapshot::{LOOPBACK, Snapshot};
use crate::model::{Drain, Family, Private};
use crate::ops::attached::Running;
use crate::ops::{other_networks, routing};
use crate::plan::arp;
use crate::plan::attach_point::{AttachPoint, Hook, LoadOptions};
use crate::plan::change::{Attached, LocalChange, Wanted};
use crate::plan::digest::DIGEST_LEN;
use crate::plan::find_self::{self, HostAddresses};
use crate::plan::membership::{LeftOut, Membership};
use crate::plan::route::{PeerRoute, RouteChanges};
use crate::plan::settings::{InterfaceSettings, settings};

/// The wanted state: the request, with everything that follows from the file and the host.
pub(crate) struct Resolved<'a> {
    pub request: &'a Request,
    pub folder: Folder,
    pub link: Link,
    pub loopback: u32,
    pub membership: Membership,
    pub left_out: Vec<LeftOut>,
    clusters: &'a Clusters,
    /// The settings, with `moved` unset: only the maps show whether this host has moved.
    pub settings: Settings,
    pub routes: RouteChanges,
    /// The addresses of the interface.
    pub interface_addresses: Vec<IpAddr>,
    /// The time of a first attach, in seconds since the Unix epoch.
    pub attached_at: u64,
    /// The time for which the programs accept packets from peers' former addresses.
    pub drain: Drain,
    /// The file's drain time, which the record keeps for later changes.
    drain_of_file: Drain,
    /// The file's revision; 0 if the file has none.
    revision: u32,
    /// The network that the interface is on, if the file has networks.
    pub network: Option<NetworkName>,
    /// The private addresses that the loopback interface already has.
    on_loopback: BTreeSet<Private>,
    /// True if the interface was attached before.
    is_attached: bool,
    /// The private ranges whose traffic goes through another attached interface.
    elsewhere: BTreeSet<Private>,
    /// Our routes through the interface.
    our_routes: Vec<PeerRoute>,
}

/// Resolves the request against the file and a snapshot of the host.
///
/// # Errors
/// [`Error::Refused`] if the file does not show the interface's network, if the interface can't be attached or is
/// attached by a former name, if this host can't be found among the members, if a peer and this host have no address
/// family in common, if the loopback interface is down or has IPv6 disabled and a private address needs it, or if the
/// routes to the peers can't be planned. Other errors if the host's state can't be read.
pub(crate) async fn resolve<'a>(
    request: &'a Request,
    folder: Folder,
    clusters: &'a Clusters,
    netlink: &Netlink,
) -> Result<Resolved<'a>, Error> {
    let cluster = clusters.on(&request.interface, request.network.as_ref())?;
    let snapshot = Snapshot::take(netlink).await?;
    let (link, header_len) = snapshot.attachable(&request.interface)?;
    require_no_other_name(&folder, link)?;
    let on_interface = snapshot.addresses_of(link.index);
    let held = HostAddresses {
        interface: &request.interface,
        on_interface: &on_interface,
        on_host: &snapshot.all_addresses(),
    };
    let identity = find_self::find(cluster, &request.self_names, &held)?;
    let (membership, left_out) = Membership::of(cluster, identity)?;
    let wanted: BTreeSet<_> = membership.identity.on_loopback().collect();
    let loopback = loopback(&snapshot, !wanted.is_empty())?;
    let on_loopback = on_loopback(&snapshot, loopback, &membership);
    require_ipv6_on_loopback(wanted.difference(&on_loopback).copied())?;
    let is_attached = folder.exists()
        && Running::open(folder.clone())
            .is_ok_and(|running| running.attachment.ifindex == link.index);
    let elsewhere = match request.no_routes {
        true => BTreeSet::new(),
        false => elsewhere(&folder, is_attached, clusters, cluster, netlink).await?,
    };
    let our_routes = routing::ours(netlink, link.index).await?;
    let routes = if request.no_routes {
        // Remove the routes of an earlier attach without --no-routes.
        RouteChanges { set: Vec::new(), remove: our_routes.clone() }
    } else {
        link.require_up()?;
        routing::plan(netlink, link, &snapshot.names(), &membership, &elsewhere).await?
    };
    Ok(Resolved {
        request,
        folder,
        link: link.clone(),
        loopback,
        settings: settings(
            &membership,
            &InterfaceSettings::of(
                &membership,
                header_len,
                request.vlan.unwrap_or_default(),
                &on_interface,
            ),
            false,
        ),
        membership,
        left_out,
        routes,
        interface_addresses: on_interface,
        attached_at: now(),
        drain: request.drain.unwrap_or_else(|| cluster.drain()),
        drain_of_file: cluster.drain(),
        revision: cluster.revision().unwrap_or(0),
        network: cluster.network().map(|network| network.name.clone()),
        on_loopback,
        clusters,
        is_attached,
        elsewhere,
        our_routes,
    })
}

fn on_loopback(snapshot: &Snapshot, loopback: u32, membership: &Membership) -> BTreeSet<Private> {
    let held = snapshot.addresses_of(loopback);
    let own = membership.identity.on_loopback();
    own.filter(|own| held.contains(&own.0.address())).collect()
}

/// The private ranges whose traffic stays on another attached interface. A first attach takes the traffic over from
/// networks that the file prefers less. A later attach leaves the traffic where `rewrite peer set --network` has put
/// it. An interface that was attached with a file without networks always keeps its traffic: the current file does not
/// rank that interface.
async fn elsewhere(
    folder: &Folder,
    is_attached: bool,
    clusters: &Clusters,
    cluster: &Cluster,
    netlink: &Netlink,
) -> Result<BTreeSet<Private>, Error> {
    let others = other_networks::others(folder)?;
    if others.is_empty() {
        return Ok(BTreeSet::new());
    }
    let own_rank = clusters.rank(cluster.network().map(|network| network.name.as_str()));
    let stays = |other: &&Running| {
        let network = other.network();
        is_attached || network.is_none() || clusters.rank(network.as_deref()) <= own_rank
    };
    other_networks::reached_by(netlink, others.iter().filter(stays)).await
}

/// The loopback interface's index. If `needed`, the loopback interface gets addresses, so it must be up.
fn loopback(snapshot: &Snapshot, needed: bool) -> Result<u32, Error> {
    match snapshot.find(LOOPBACK) {
        Some(link) if !needed => Ok(link.index),
        _ => snapshot.loopback().map(|link| link.index),
    }
}

/// Refuses an interface that was renamed while attached: its programs still run, and its pins have the former name.
fn require_no_other_name(folder: &Folder, link: &Link) -> Result<(), Error> {
    let name = &link.name;
    for other in pins::folders(NetworkNamespace::current()?)? {
        // Skip pins that are not ours or that another version made.
        if other == *folder
            || !Running::open(other.clone())
                .is_ok_and(|running| running.attachment.ifindex == link.index)
        {
            continue;
        }
        let former = other.interface();
        return Err(Error::refused(
            format!("{name} is already attached, by its former name {former}"),
            format!(
                "detach it by the former name, then attach it: rewrite detach {former}; rewrite \
                 attach {name}"
            ),
        ));
    }
    Ok(())
}

/// Refuses to add an IPv6 address to a loopback interface on which IPv6 is disabled. `missing` holds the private
/// addresses to add.
pub(crate) fn require_ipv6_on_loopback(
    mut missing: impl Iterator<Item = Private>,
) -> Result<(), Error> {
    let Some(address) = missing.find(|own| own.0.family() == Family::Ipv6) else { return Ok(()) };
    if !ipv6_disabled(LOOPBACK) {
        return Ok(());
    }
    Err(Error::refused(
        format!("IPv6 is disabled on {LOOPBACK}, and the private address {address} needs it"),
        format!("enable it: sysctl -w net.ipv6.conf.{LOOPBACK}.disable_ipv6=0"),
    ))
}

impl Resolved<'_> {
    /// Updates the parts that other commands may have changed meanwhile: the private addresses on the loopback
    /// interface, and the routes. The caller holds the shared lock.
    ///
    /// # Errors
    /// If the kernel refuses, or the file lacks the requested network.
    pub async fn refresh(&mut self, netlink: &Netlink) -> Result<(), Error> {
        let snapshot = Snapshot::take(netlink).await?;
        self.on_loopback = on_loopback(&snapshot, self.loopback, &self.membership);
        let our_routes = routing::ours(netlink, self.link.index).await?;
        let Self { request, folder, is_attached, clusters, .. } = self;
        if request.no_routes {
            self.routes.remove = our_routes;
            return Ok(());
        }
        let cluster = clusters.on(&request.interface, request.network.as_ref())?;
        let elsewhere = elsewhere(folder, *is_attached, clusters, cluster, netlink).await?;
        // Skip the route look-ups if nothing changed: with a million peers, they take a long time.
        if (&elsewhere, &our_routes) != (&self.elsewhere, &self.our_routes) {
            let (link, names) = (&self.link, snapshot.names());
            self.routes =
                routing::plan(netlink, link, &names, &self.membership, &elsewhere).await?;
        }
        Ok(())
    }

    /// True if packets to a peer's private address keep leaving through another attached interface.
    pub fn stays_elsewhere(&self, address: IpAddr) -> bool {
        self.elsewhere.iter().any(|private| private.0.contains(address))
    }

    /// The private addresses that the loopback interface lacks.
    fn missing_addresses(&self) -> BTreeSet<Private> {
        let own = self.membership.identity.on_loopback();
        own.filter(|own| !self.on_loopback.contains(own)).collect()
    }

    /// The private addresses to record as added by rewrite: the addresses that this attach will add, because they are
    /// missing, and the addresses in `added`, from an earlier attach, that this host still needs.
    pub fn added_addresses(&self, added: &BTreeSet<Private>) -> BTreeSet<Private> {
        let mut addresses = self.missing_addresses();
        addresses.extend(self.membership.identity.on_loopback().filter(|own| added.contains(own)));
        addresses
    }

    /// The change of this host's identity on the interface. The interface's `maps` hold the current identity; a first
    /// attach has no maps. The caller fills in the added addresses later.
    ///
    /// # Errors
    /// If the maps can't be read.
    pub fn local(&self, maps: Option<&Maps>) -> Result<LocalChange, Error> {
        let identity = &self.membership.identity;
        let Some(maps) = maps else { return Ok(LocalChange::first(identity)) };
        let (before, tables) = (maps.local_members()?.identity, maps.local_tables()?);
        Ok(LocalChange::following(&before, &tables, identity, &self.interface_addresses))
    }

    /// The load options of the wanted programs. An attached interface keeps its attach point: the hook (tcx or clsact),
    /// and tc or XDP for ingress.
    ///
    /// # Errors
    /// If the request asks for a different attach point, or the kernel lacks the requested hook.
    pub fn programs(
        &self,
        attached: Option<&Attached>,
        local: &LocalChange,
    ) -> Result<LoadOptions, Error> {
        let Request { hook, ingress, verbose, .. } = *self.request;
        let (place, settings) = match attached {
            None => {
                let place =
                    AttachPoint { hook: available(hook)?, ingress: ingress.unwrap_or_default() };
                (place, self.settings)
            }
            Some(attached) => {
                self.require_place(attached.place)?;
                let running = &attached.attachment.settings;
                (attached.place, self.settings_over(running, local.has_moved()))
            }
        };
        Ok(LoadOptions { place, settings, verbose })
    }

    fn require_place(&self, running: AttachPoint) -> Result<(), Error> {
        let name = &self.link.name;
        if let Some(wanted) = self.request.hook.filter(|wanted| *wanted != running.hook) {
            return Err(Error::refused(
                format!("{name} is already attached by {}", running.hook.name()),
                format!(
                    "detach first to attach by {}; attach without --hook keeps what runs",
                    wanted.name()
                ),
            ));
        }
        if let Some(wanted) = self.request.ingress.filter(|wanted| *wanted != running.ingress) {
            return Err(Error::refused(
                format!("{name} is already attached with ingress by {}", running.ingress.name()),
                format!(
                    "detach first to attach with --ingress {}; attach without --ingress keeps what runs",
                    wanted.name()
                ),
            ));
        }
        Ok(())
    }

    /// The wanted state, from which the planner derives the steps.
    pub fn wanted<'p>(&'p self, programs: LoadOptions, local: &'p LocalChange) -> Wanted<'p> {
        Wanted {
            membership: &self.membership,
            local,
            programs,
            record: Attachment { settings: programs.settings, ..self.record(self.attached_at) },
            sysctls: arp::wanted(self.link.has_hardware_addresses, &self.membership),
            missing: self.missing_addresses(),
            routes: self.routes.clone(),
            drain: self.drain,
        }
    }

    /// The wanted settings. If the request does not say which tagged frames to handle, the choice in `running` stays.
    pub fn settings_over(&self, running: &Settings, has_moved: bool) -> Settings {
        let mut settings = Settings { moved: u8::from(has_moved), ..self.settings };
        if self.request.vlan.is_none() {
            (settings.vlan, settings.vlan_id) = (running.vlan, running.vlan_id);
        }
        settings
    }

    /// The record that attach starts with. It has no hook yet, and no changes to the host.
    pub fn record(&self, attached_at: u64) -> Attachment {
        Attachment {
            abi_version: ABI_VERSION,
            ifindex: self.link.index,
            attached_at,
            changed_at: now(),
            settings: self.settings,
            hook: 0,
            ingress: 0,
            clsact_added: 0,
            routes_managed: u8::from(!self.request.no_routes),
            arp_announce_set: 0,
            arp_announce_before: 0,
            verbose: u8::from(self.request.verbose),
            arp_ignore_set: 0,
            drain: self.drain_of_file.seconds(),
            arp_ignore_before: 0,
            reserved: [0; 3],
            version: padded(env!("CARGO_PKG_VERSION")),
            network: padded(self.network.as_ref().map_or("", NetworkName::as_str)),
            digest_v4: [0; DIGEST_LEN],
            digest_v6: [0; DIGEST_LEN],
            revision: self.revision,
            reserved_end: [0; 4],
        }
    }
}

/// The requested hook, or the kernel's best hook.
fn available(wanted: Option<Hook>) -> Result<Hook, Error> {
    match (wanted, hook::best()) {
        (Some(Hook::Tcx), Hook::Clsact) => Err(Error::host(
            "this kernel has no tcx, which mainline has since Linux 6.6",
            "attach with --hook clsact, or leave --hook out",
        )),
        (Some(wanted), _) => Ok(wanted),
        (None, best) => Ok(best),
    }
}

/// Seconds since the Unix epoch.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
