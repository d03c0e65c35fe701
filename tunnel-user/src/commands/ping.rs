//! `rewrite ping`: sends packets to the peers through the dataplane, and reports the state of each path.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use serde::Serialize;

use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::link::Link;
use crate::host::netlink::Netlink;
use crate::host::privileges::{self, Task};
use crate::host::snapshot::Snapshot;
use crate::model::text::list;
use crate::model::{Family, Prefix};
use crate::ops::attached::{self, Running};
use crate::ops::ping::{Target, exchange};
use crate::plan::peers::no_such_peer;
use crate::plan::ping::{Known, Observed, judge};
use crate::plan::ping_advice::{Facts, advice};
use crate::plan::ping_message::{Nonce, ReadStamp};
use crate::plan::running_peers::{Awaited, RunningPeer};

/// The MTU of an interface whose own MTU is unknown, in bytes.
const MTU_USUAL: u16 = 1500;

/// The output of `ping`; `--json` prints these fields (docs/json.md).
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// One entry for each private address that was pinged, by name.
    pub peers: Vec<Peer>,
    /// The names of peers that are networks. `ping` reaches a host in such a network by its address.
    pub networks: Vec<String>,
}

impl Report {
    /// True if packets to and from all peers arrive.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.peers.iter().all(|peer| peer.is_ok)
    }
}

/// The result for one private address of a peer.
#[derive(Clone, Debug, Serialize)]
pub struct Peer {
    /// The peer's name.
    pub name: String,
    /// The private address that was pinged.
    pub private: String,
    /// The public address that the packets went to.
    pub public: String,
    /// The interface whose entries have the peer.
    pub interface: String,
    /// The state's name.
    pub state: &'static str,
    /// True for the states `ok`, `direct` and `native`.
    pub is_ok: bool,
    /// The number of packets that were sent.
    pub sent: u32,
    /// The number of packets that came back.
    pub received: u32,
    /// The shortest, the mean and the longest time in milliseconds; null without an answer.
    pub milliseconds: Option<[f64; 3]>,
    /// The largest packet that arrives at the peer, in bytes; null if it is unknown.
    pub mtu_out: Option<u16>,
    /// The largest packet, or fragment, that comes back, in bytes; null if it is unknown.
    pub mtu_back: Option<u16>,
    /// The stamp of the peer's program; null without a stamp.
    pub stamp: Option<Stamp>,
    /// The number of packets from the peer that arrived meanwhile, without the answers.
    pub arrived: u64,
    /// The state in words.
    pub what: String,
    /// The remedy; null for a peer that is ok.
    pub remedy: Option<String>,
}

/// The stamp of a peer's program.
#[derive(Clone, Debug, Serialize)]
pub struct Stamp {
    /// The source address with which the packet arrived at the peer.
    pub source: String,
    /// The destination address with which the packet arrived at the peer; null if the peer does not know this host.
    pub destination: Option<String>,
    /// The time to live or hop limit with which the packet arrived at the peer.
    pub hop_limit: u8,
    /// The peer's version of `rewrite`; null if the peer does not know this host.
    pub version: Option<String>,
    /// The peer's ABI version; null if the peer does not know this host.
    pub abi_version: Option<u16>,
    /// The revision of the peer's file; null if the file has none, or the peer does not know this host.
    pub revision: Option<u32>,
    /// True if both hosts have the same members with addresses of this family.
    pub same_members: bool,
}

/// A peer's address, with the interface whose entries have it.
struct Pinged<'a> {
    running: &'a Running,
    peer: &'a RunningPeer,
    family: Family,
    public: Prefix,
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
        false => run(interface, wanted, COUNT).await.map(Some),
    }
}

/// Pings the peers with these names or private addresses, or all peers; of the interface or, without a name, of all
/// attached interfaces.
///
/// # Errors
/// [`Error::Refused`] if the interface is not attached, no interface is attached, no peer has the name, or this host is
/// a gateway; [`Error::Host`] without CAP_NET_RAW.
pub async fn run(interface: Option<&str>, wanted: &[String], count: u32) -> Result<Report, Error> {
    privileges::require(Task::UseMaps)?;
    let all = attached::undisturbed(async |folders| {
        attached::select(folders, interface)?.into_iter().map(opened).collect()
    });
    let all: Vec<(Running, Vec<RunningPeer>)> = all.await?;
    if all.is_empty() {
        return Err(attached::none_attached());
    }
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
    require_found(wanted, &all, &pinged)?;
    let pinged = one_for_each_address(&netlink, pinged).await;
    let mut other_ways = Vec::new();
    for pinged in &pinged {
        other_ways.push(other_way(&netlink, &snapshot, pinged).await);
    }
    let before = arrivals(&pinged)?;
    let targets: Vec<_> = pinged.iter().map(|pinged| pinged.target.clone()).collect();
    let observed = exchange(&targets, count, nonce()).await.map_err(no_socket)?;
    let after = arrivals(&pinged)?;
    let mut answers: BTreeMap<(&str, u32), u64> = BTreeMap::new();
    for (pinged, observed) in pinged.iter().zip(&observed) {
        *answers.entry(pinged.counter()).or_default() += observed.answers;
    }
    let counts = before.into_iter().zip(after).zip(other_ways);
    let mut peers = Vec::new();
    for ((pinged, observed), ((before, after), other_way)) in
        pinged.iter().zip(observed).zip(counts)
    {
        let rewritten: u64 = after.saturating_sub(before);
        let own = answers.get(&pinged.counter()).copied().unwrap_or(0);
        let (is_native, arrived) = (rewritten < own, rewritten.saturating_sub(own));
        peers.push(report(pinged, &Observed { is_native, arrived, other_way, ..observed }));
    }
    peers.sort_by(|a, b| a.name.cmp(&b.name));
    networks.sort();
    networks.dedup();
    Ok(Report { peers, networks })
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
        let own = own.private().0.address();
        // Packets to a peer that has moved may still go to its former address.
        let is_of = |awaited: &&Awaited| awaited.public == addresses.public;
        let awaited = peer.awaited.iter().find(is_of);
        let public = awaited.map_or(addresses.public, |awaited| awaited.sent_to).0;
        let mut add = |to: IpAddr| {
            let target = Target { from: own, to, mtu };
            pinged.push(Pinged { running, peer, family, public, target });
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
    let leads_there = |link: &Link| {
        let is_above =
            link.below == Some(attached.index) || attached.controller == Some(link.index);
        link.index == attached.index || is_above
    };
    let mut ways = next_hops.iter().filter_map(|next_hop| snapshot.link(next_hop.link));
    let first = ways.next()?;
    let all_differ = !leads_there(first) && !ways.any(leads_there);
    all_differ.then(|| first.name.clone())
}

fn require_found(
    wanted: &[String],
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
            false => no_such_peer(word),
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

fn no_socket(error: io::Error) -> Error {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM) => Error::host(
            "ping needs CAP_NET_RAW",
            "run it as root, or add CAP_NET_RAW (docs/systemd.md)",
        ),
        Some(Errno::EADDRNOTAVAIL) => Error::refused(
            "no interface of this host has the host's private address",
            "rewrite attach IFACE adds it to lo again",
        ),
        _ => Error::kernel("pinging the peers", error),
    }
}

fn report(pinged: &Pinged<'_>, observed: &Observed) -> Peer {
    let attachment = &pinged.running.attachment;
    let known = Known {
        digest: match pinged.family {
            Family::Ipv4 => attachment.digest_v4,
            Family::Ipv6 => attachment.digest_v6,
        },
        is_direct: pinged.peer.peer.direct,
    };
    let state = judge(observed, &known);
    let facts = Facts {
        peer: pinged.peer.peer.name.to_string(),
        public: pinged.public,
        own: list(pinged.running.local.identity.names()),
        interface: pinged.running.folder.interface().to_owned(),
        revision: Some(attachment.revision).filter(|revision| *revision != 0),
    };
    let (what, remedy) = advice(state, &facts, observed);
    Peer {
        name: pinged.peer.peer.name.to_string(),
        private: pinged.target.to.to_string(),
        public: pinged.public.to_string(),
        interface: pinged.running.folder.interface().to_owned(),
        state: state.name(),
        is_ok: state.is_ok(),
        sent: observed.sent,
        received: u32::try_from(observed.times.len()).unwrap_or(u32::MAX),
        milliseconds: milliseconds(&observed.times),
        mtu_out: observed.sizes.map(|sizes| sizes.out),
        mtu_back: observed.sizes.map(|sizes| sizes.back),
        stamp: observed.stamp.as_ref().map(|stamp| stamp_of(stamp, &known)),
        arrived: observed.arrived,
        what,
        remedy,
    }
}

fn stamp_of(stamp: &ReadStamp, known: &Known) -> Stamp {
    Stamp {
        source: stamp.source.to_string(),
        destination: stamp.from_peer.then(|| stamp.destination.to_string()),
        hop_limit: stamp.hop_limit,
        version: stamp.from_peer.then(|| stamp.version.clone()),
        abi_version: stamp.from_peer.then_some(stamp.abi_version),
        revision: stamp.revision,
        same_members: stamp.from_peer && stamp.digest == known.digest,
    }
}

fn milliseconds(times: &[Duration]) -> Option<[f64; 3]> {
    let in_ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    let (shortest, longest) = (times.iter().min()?, times.iter().max()?);
    let mean = times.iter().sum::<Duration>().checked_div(u32::try_from(times.len()).ok()?)?;
    Some([*shortest, mean, *longest].map(in_ms))
}
