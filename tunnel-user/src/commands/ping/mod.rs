//! `rewrite ping`: sends packets to the peers through the dataplane, and reports the state of each path.

mod path_probes;
mod report;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;

use self::path_probes::Search;
use self::report::report;
pub use self::report::{Peer, Report, Stamp};
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::link::Link;
use crate::host::netlink::Netlink;
use crate::host::privileges::{self, Task};
use crate::host::snapshot::Snapshot;
use crate::model::{Family, Prefix};
use crate::ops::attached::{self, Running};
use crate::ops::ping::{Target, exchange};
use crate::plan::peers::no_such_peer;
use crate::plan::ping::{Known, Observed, State, judge};
use crate::plan::ping_message::{Kind, Nonce};
use crate::plan::running_peers::{Awaited, RunningPeer};

/// The MTU of an interface whose own MTU is unknown, in bytes.
const MTU_USUAL: u16 = 1500;

/// A peer's address, with the interface whose entries have it.
struct Pinged<'a> {
    running: &'a Running,
    peer: &'a RunningPeer,
    family: Family,
    /// The peer's public address that packets go to.
    public: Prefix,
    /// This host's underlay address that packets come from.
    underlay: IpAddr,
    target: Target,
}

impl Pinged<'_> {
    /// The interface and the slot of the peer's counters, which count the packets of both families.
    fn counter(&self) -> (&str, u32) {
        (self.running.folder.interface(), self.peer.slot)
    }
}

/// The usual number of packets to each peer.
pub const COUNT: u32 = 3;

/// [`run`] with the usual number of packets. `None` on a gateway, which has no private address of its own, and if no
/// interface is attached.
///
/// # Errors
/// The errors of [`run`].
pub async fn unless_gateway(
    interface: Option<&str>,
    wanted: &[String],
) -> Result<Option<Report>, Error> {
    let is_gateway = async |folders: Vec<Folder>| {
        let gateways = attached::select(folders, interface)?
            .into_iter()
            .map(|folder| Running::open(folder).map(|running| running.local.identity.is_gateway()));
        let gateways = gateways.collect::<Result<Vec<_>, _>>()?;
        Ok(gateways.into_iter().all(|is_gateway| is_gateway))
    };
    match attached::undisturbed(is_gateway).await? {
        true => Ok(None),
        false => run(&Request { interface, ..Request::of(wanted) }).await.map(Some),
    }
}

/// The request of a ping.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The interface whose peers are pinged; `None` for the peers of all attached interfaces.
    pub interface: Option<&'a str>,
    /// The names or private addresses of the peers; all peers if empty.
    pub peers: &'a [String],
    /// The number of small packets to each peer.
    pub count: u32,
    /// The network whose paths are probed, whichever network the traffic uses; `None` for pings between private
    /// addresses.
    pub network: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// Pings between private addresses, to these peers.
    #[must_use]
    pub const fn of(peers: &'a [String]) -> Self {
        Self { interface: None, peers, count: COUNT, network: None }
    }
}

/// Pings peers, or probes the paths to them.
///
/// # Errors
/// [`Error::Refused`] if no interface (with this name, of this network) is attached, no peer has the name, or this host
/// is a gateway; [`Error::Host`] without CAP_NET_RAW.
pub async fn run(request: &Request<'_>) -> Result<Report, Error> {
    let Request { interface, peers: wanted, count, network } = *request;
    privileges::require(Task::UseMaps)?;
    let all = attached::undisturbed(async |folders| {
        attached::select(folders, interface)?.into_iter().map(opened).collect()
    });
    let all: Vec<(Running, Vec<RunningPeer>)> = all.await?;
    if all.is_empty() {
        return Err(attached::none_attached());
    }
    let all = match network {
        Some(network) => path_probes::on_network(all, network, interface)?,
        None => all,
    };
    if all.iter().all(|(running, _)| running.local.identity.is_gateway()) {
        return Err(Error::refused(
            "this host is a gateway: the private addresses belong to the hosts behind it",
            "ping from a host behind this gateway: ping PRIVATE-ADDRESS",
        ));
    }
    let netlink = Netlink::connect()?;
    let snapshot = Snapshot::take(&netlink).await?;
    let mut pinged: Vec<Pinged<'_>> = Vec::new();
    let mut networks = Vec::new();
    for (running, peers) in &all {
        let link = snapshot.find(running.folder.interface());
        let mtu = link.and_then(|link| link.mtu).unwrap_or(MTU_USUAL);
        for peer in peers {
            collect(running, peer, wanted, mtu, &mut pinged, &mut networks);
        }
    }
    require_found(wanted, network, &all, &pinged)?;
    let pinged = one_for_each_address(&netlink, pinged).await;
    let observed = match network {
        Some(_) => {
            let all: Vec<_> = pinged.iter().collect();
            path_probes::observe(&netlink, &snapshot, &all, count, Search::PathMtu).await?
        }
        None => observe(&netlink, &snapshot, &pinged, count).await?,
    };
    let mut peers: Vec<_> =
        pinged.iter().zip(&observed).map(|(pinged, seen)| report(pinged, seen, network)).collect();
    peers.sort_by(|a, b| a.name.cmp(&b.name));
    networks.sort();
    networks.dedup();
    Ok(Report { network: network.map(str::to_owned), peers, networks })
}

/// Pings between private addresses. Sends path probes to the peers that do not answer.
async fn observe(
    netlink: &Netlink,
    snapshot: &Snapshot,
    pinged: &[Pinged<'_>],
    count: u32,
) -> Result<Vec<Observed>, Error> {
    let mut other_ways = Vec::new();
    for pinged in pinged {
        other_ways.push(other_way(netlink, snapshot, pinged).await);
    }
    let before = arrivals(pinged)?;
    let targets: Vec<_> = pinged.iter().map(|pinged| pinged.target.clone()).collect();
    let observed = exchange(&targets, count, nonce()).await;
    let observed = observed.map_err(|error| no_socket(Kind::Ping, error))?;
    let after = arrivals(pinged)?;
    let mut answers: BTreeMap<(&str, u32), u64> = BTreeMap::new();
    for (pinged, observed) in pinged.iter().zip(&observed) {
        *answers.entry(pinged.counter()).or_default() += observed.answers;
    }
    let counts = before.into_iter().zip(after).zip(other_ways);
    let mut all = Vec::new();
    for ((pinged, observed), ((before, after), other_way)) in
        pinged.iter().zip(observed).zip(counts)
    {
        let rewritten: u64 = after.saturating_sub(before);
        let own = answers.get(&pinged.counter()).copied().unwrap_or(0);
        let (is_native, arrived) = (rewritten < own, rewritten.saturating_sub(own));
        all.push(Observed { is_native, arrived, other_way, ..observed });
    }
    let is_silent = |(pinged, observed): &(&Pinged<'_>, &mut Observed)| {
        observed.other_way.is_none() && judge(observed, &known(pinged)) == State::NoAnswer
    };
    let mut silent: Vec<_> = pinged.iter().zip(&mut all).filter(is_silent).collect();
    let probed: Vec<_> = silent.iter().map(|(pinged, _)| *pinged).collect();
    // A failure to probe leaves the pings' result.
    match path_probes::observe(netlink, snapshot, &probed, count, Search::Nothing).await {
        Ok(probes) => {
            for ((_, observed), probe) in silent.iter_mut().zip(probes) {
                observed.is_path_open = probe.stamp.is_some_and(|stamp| stamp.from_peer);
            }
        }
        Err(error) => tracing::debug!("no path probes: {error}"),
    }
    Ok(all)
}

/// Opens an attached interface, and reads its peers.
fn opened(folder: Folder) -> Result<(Running, Vec<RunningPeer>), Error> {
    let running = Running::open(folder)?;
    let peers = running.peers()?.0;
    Ok((running, peers))
}

/// Adds the targets of a ping for `peer`, in each family that this host has.
fn collect<'a>(
    running: &'a Running,
    peer: &'a RunningPeer,
    wanted: &[String],
    mtu: u16,
    pinged: &mut Vec<Pinged<'a>>,
    networks: &mut Vec<String>,
) {
    let is_named = wanted.is_empty() || wanted.iter().any(|word| word == peer.peer.name.as_str());
    for addresses in &peer.peer.addresses {
        let (private, family) = (addresses.private.0, addresses.family());
        let named = is_named || wanted.iter().any(|word| word.parse() == Ok(private));
        let Some(own) = running.local.identity.single(family) else { continue };
        // Packets to a peer that has moved may still go to its former address.
        let is_of = |awaited: &&Awaited| awaited.public == addresses.public;
        let awaited = peer.awaited.iter().find(is_of);
        let public = awaited.map_or(addresses.public, |awaited| awaited.sent_to).0;
        let underlay = awaited.and_then(|awaited| awaited.sent_from).unwrap_or(own.underlay());
        let (underlay, from) = (underlay.0.address(), own.private().0.address());
        let mut add = |to: IpAddr| {
            let target = Target { kind: Kind::Ping, from, to, device: None, mtu };
            pinged.push(Pinged { running, peer, family, public, underlay, target });
        };
        if private.is_single() && named {
            add(private.address());
        } else if !private.is_single() {
            let hosts = wanted.iter().filter_map(|word| word.parse::<IpAddr>().ok());
            hosts.filter(|host| private.contains(*host)).for_each(&mut add);
            if named {
                networks.push(peer.peer.name.to_string());
            }
        }
    }
}

/// Keeps one interface for each address: the interface by which the kernel sends, else the first interface.
async fn one_for_each_address<'a>(netlink: &Netlink, pinged: Vec<Pinged<'a>>) -> Vec<Pinged<'a>> {
    let mut chosen: BTreeMap<IpAddr, Pinged<'a>> = BTreeMap::new();
    for candidate in pinged {
        let to = candidate.target.to;
        if !chosen.contains_key(&to) || is_routed_by(netlink, &candidate).await {
            chosen.insert(to, candidate);
        }
    }
    chosen.into_values().collect()
}

/// True if the kernel sends packets to the address by this interface.
async fn is_routed_by(netlink: &Netlink, pinged: &Pinged<'_>) -> bool {
    let Target { from, to, .. } = pinged.target;
    let index = pinged.running.attachment.ifindex;
    let next_hops = netlink.next_hops_to(to, Some(from)).await;
    next_hops.is_ok_and(|next_hops| next_hops.iter().any(|next_hop| next_hop.link == index))
}

/// The interface by which the kernel sends packets to the address, if the packets do not pass the attached interface.
/// Packets also pass the attached interface if they take a bridge or bond above it, or a VLAN on it.
async fn other_way(netlink: &Netlink, snapshot: &Snapshot, pinged: &Pinged<'_>) -> Option<String> {
    let Target { from, to, .. } = pinged.target;
    let attached = snapshot.find(pinged.running.folder.interface())?;
    let next_hops = netlink.next_hops_to(to, Some(from)).await.ok()?;
    let leads_there = |link: &Link| leads_to(link, attached);
    let mut ways = next_hops.iter().filter_map(|next_hop| snapshot.link(next_hop.link));
    let first = ways.next()?;
    let all_differ = !leads_there(first) && !ways.any(leads_there);
    all_differ.then(|| first.name.clone())
}

/// True if packets by `link` pass the attached interface.
fn leads_to(link: &Link, attached: &Link) -> bool {
    let is_above = link.below == Some(attached.index) || attached.controller == Some(link.index);
    link.index == attached.index || is_above
}

fn require_found(
    wanted: &[String],
    network: Option<&str>,
    all: &[(Running, Vec<RunningPeer>)],
    pinged: &[Pinged<'_>],
) -> Result<(), Error> {
    let peers = || all.iter().flat_map(|(_, peers)| peers).map(|running| &running.peer);
    for word in wanted {
        let is_it = |pinged: &Pinged<'_>| {
            pinged.peer.peer.is_called(word) || word.parse() == Ok(pinged.target.to)
        };
        if pinged.iter().any(is_it) {
            continue;
        }
        return Err(match peers().any(|peer| peer.is_called(word)) {
            true => Error::refused(
                format!("{word} is a network of peers, and ping reaches single hosts"),
                "name a host in it by its private address",
            ),
            false => match network {
                Some(network) => Error::refused(
                    format!("{word} is no peer on the network {network}"),
                    "rewrite peer list shows the peers of each interface",
                ),
                None => no_such_peer(word),
            },
        });
    }
    Ok(())
}

/// The number of packets from each peer that the ingress program has rewritten.
fn arrivals(pinged: &[Pinged<'_>]) -> Result<Vec<u64>, Error> {
    let packets = |pinged: &Pinged<'_>| {
        let counters = pinged.running.maps.peer_counters(pinged.peer.slot)?;
        Ok(counters.ingress.packets)
    };
    pinged.iter().map(packets).collect()
}

/// A number that other processes do not use at the same time.
fn nonce() -> Nonce {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_nanos() as u64 ^ u64::from(std::process::id()).rotate_left(40)).to_ne_bytes()
}

fn no_socket(kind: Kind, error: io::Error) -> Error {
    match (error.raw_os_error().map(Errno::from_raw), kind) {
        (Some(Errno::EPERM), _) => Error::host(
            "ping needs CAP_NET_RAW",
            "run it as root, or add CAP_NET_RAW (docs/systemd.md)",
        ),
        (Some(Errno::EADDRNOTAVAIL), Kind::Ping) => Error::refused(
            "no interface of this host has the host's private address",
            "rewrite attach IFACE adds it to lo again",
        ),
        (Some(Errno::EADDRNOTAVAIL), Kind::PathProbe) => Error::refused(
            "no interface of this host has the host's underlay address",
            "ip address shows the addresses; rewrite doctor names the missing one",
        ),
        _ => Error::kernel("pinging the peers", error),
    }
}

fn known(pinged: &Pinged<'_>) -> Known {
    let attachment = &pinged.running.attachment;
    let digest = match pinged.family {
        Family::Ipv4 => attachment.digest_v4,
        Family::Ipv6 => attachment.digest_v6,
    };
    Known { digest, is_direct: pinged.peer.peer.direct }
}
