//! The pinned maps, opened by name after their shape was checked.

use std::collections::BTreeMap;
use std::io;

use aya::Pod;
use aya::maps::{
    Array, HashMap, Map, MapData, MapError, MapInfo, MapType, PerCpuArray, PerCpuValues,
};
use aya::util::nr_cpus;
use tunnel_common::ABI_VERSION;
use tunnel_common::attachment::Attachment;
use tunnel_common::counters::{Count, PeerCounters};
use tunnel_common::flows::{Flow, FlowState};
use tunnel_common::maps;
use tunnel_common::members::{Member, NAME_LEN};
use tunnel_common::outcome::{Direction, Reason, ReasonCounters};
use tunnel_common::peers::{Peer, PeerKey};

use super::pins::Folder;
use crate::config::MemberName;
use crate::failure::{Context as _, Failure, is_io};
use crate::plan::peers::{Change, PeersTable};

/// The maps of one attached interface.
pub struct Maps {
    peers: HashMap<MapData, PeerKey, Peer>,
    members: HashMap<MapData, u32, Member>,
    attachment: Array<MapData, Attachment>,
    peer_counters: PerCpuArray<MapData, PeerCounters>,
    reason_counters: PerCpuArray<MapData, ReasonCounters>,
}

impl Maps {
    /// Opens the maps in `folder`.
    ///
    /// # Errors
    /// [`Failure::Pins`] if they are not ours, or of another version's shape.
    pub fn open(folder: &Folder) -> Result<Self, Failure> {
        folder.require_ours()?;
        require_shapes(folder)?;
        let maps = Self {
            peers: open(folder, maps::PEERS_V4, Map::HashMap)?,
            members: open(folder, maps::MEMBERS, Map::HashMap)?,
            attachment: open(folder, maps::ATTACHMENT, Map::Array)?,
            peer_counters: open(folder, maps::PEER_COUNTERS, Map::PerCpuArray)?,
            reason_counters: open(folder, maps::REASON_COUNTERS, Map::PerCpuArray)?,
        };
        match maps.attachment()?.abi_version {
            // 0: an attach that was killed before it got as far.
            ABI_VERSION | 0 => Ok(maps),
            other => Err(other_abi(folder, &format!("they are of ABI version {other}"))),
        }
    }

    /// All entries of `peers_v4`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn peers(&self) -> Result<PeersTable, Failure> {
        self.peers.iter().collect::<Result<_, _>>().doing(|| format!("reading {}", maps::PEERS_V4))
    }

    /// Makes one change of `peers_v4`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn change_peer(&mut self, change: &Change) -> Result<(), Failure> {
        match change {
            Change::Set(key, peer) => self.peers.insert(key, peer, 0),
            Change::Remove(key) => self.peers.remove(key),
        }
        .map_err(|error| full(error, maps::PEERS_V4))
    }

    /// The peers' names by slot.
    ///
    /// # Errors
    /// If the kernel refuses, or a name is not one.
    pub fn names(&self) -> Result<BTreeMap<u32, MemberName>, Failure> {
        let what = || format!("reading {}", maps::MEMBERS);
        let mut names = BTreeMap::new();
        for entry in self.members.iter() {
            let (slot, member) = entry.doing(what)?;
            let name = text(&member.name).parse::<MemberName>().doing(what)?;
            names.insert(slot, name);
        }
        Ok(names)
    }

    /// Names the peer in `slot`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn set_name(&mut self, slot: u32, name: &MemberName) -> Result<(), Failure> {
        let member = Member { name: padded::<NAME_LEN>(name.as_str()) };
        self.members.insert(slot, member, 0).map_err(|error| full(error, maps::MEMBERS))
    }

    /// Frees `slot`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn remove_name(&mut self, slot: u32) -> Result<(), Failure> {
        self.members.remove(&slot).doing(|| format!("removing from {}", maps::MEMBERS))
    }

    /// What is attached.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn attachment(&self) -> Result<Attachment, Failure> {
        self.attachment.get(&0, 0).doing(|| format!("reading {}", maps::ATTACHMENT))
    }

    /// Records what is attached.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn set_attachment(&mut self, attachment: &Attachment) -> Result<(), Failure> {
        self.attachment.set(0, attachment, 0).doing(|| format!("writing {}", maps::ATTACHMENT))
    }

    /// What was rewritten for the peer in `slot`, on all CPUs.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn peer_counters(&self, slot: u32) -> Result<PeerCounters, Failure> {
        let values = self
            .peer_counters
            .get(&slot, 0)
            .doing(|| format!("reading slot {slot} of {}", maps::PEER_COUNTERS))?;
        Ok(values.iter().fold(PeerCounters::default(), |sum, cpu| PeerCounters {
            egress: sum.egress.plus(cpu.egress),
            ingress: sum.ingress.plus(cpu.ingress),
        }))
    }

    /// Sets the counters of `slot` to zero.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn clear_peer_counters(&mut self, slot: u32) -> Result<(), Failure> {
        let what = || format!("clearing slot {slot} of {}", maps::PEER_COUNTERS);
        let cpus =
            nr_cpus().map_err(|(file, error)| anyhow::anyhow!("{file}: {error}")).doing(what)?;
        let zeros = PerCpuValues::try_from(vec![PeerCounters::default(); cpus]).doing(what)?;
        self.peer_counters.set(slot, zeros, 0).map_err(|error| full(error, maps::PEER_COUNTERS))
    }

    /// The packets that were not rewritten, by reason, on all CPUs.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn reason_counters(&self, direction: Direction) -> Result<Vec<(Reason, Count)>, Failure> {
        let values = self
            .reason_counters
            .get(&(direction as u32), 0)
            .doing(|| format!("reading {}", maps::REASON_COUNTERS))?;
        Ok(Reason::ALL
            .iter()
            .map(|reason| {
                let sum =
                    values.iter().fold(Count::default(), |sum, cpu| sum.plus(cpu.get(*reason)));
                (*reason, sum)
            })
            .collect())
    }
}

fn open<T: TryFrom<Map, Error = MapError>>(
    folder: &Folder,
    name: &str,
    kind: fn(MapData) -> Map,
) -> Result<T, Failure> {
    let path = folder.map(name);
    MapData::from_pin(&path)
        .and_then(|data| T::try_from(kind(data)))
        .doing(|| format!("opening {}", path.display()))
}

fn full(error: MapError, map: &str) -> Failure {
    let is_full = match &error {
        MapError::SyscallError(error) => error.io_error.raw_os_error() == Some(nix::libc::E2BIG),
        MapError::OutOfBounds { .. } => true,
        _ => false,
    };
    if is_full {
        Failure::refused(
            format!("{map} is full: it was made for fewer members"),
            "detach and attach again: the maps are then made for the members of the file",
        )
    } else {
        Failure::kernel(format!("writing {map}"), error)
    }
}

/// Whether the maps that are pinned, maybe not all of them, have the shapes of ours.
pub(super) fn shapes_fit(folder: &Folder) -> bool {
    wanted_shapes().into_iter().filter(|shape| folder.map(shape.name).exists()).all(|wanted| {
        MapInfo::from_pin(folder.map(wanted.name))
            .is_ok_and(|info| Shape::of(wanted.name, &info) == wanted)
    })
}

fn wanted_shapes() -> [Shape; 6] {
    const PER_CPU_ARRAY: MapType = MapType::PerCpuArray;
    [
        shape::<PeerKey, Peer>(maps::PEERS_V4, MapType::Hash),
        shape::<u32, Member>(maps::MEMBERS, MapType::Hash),
        shape::<u32, Attachment>(maps::ATTACHMENT, MapType::Array),
        shape::<u32, PeerCounters>(maps::PEER_COUNTERS, PER_CPU_ARRAY),
        shape::<u32, ReasonCounters>(maps::REASON_COUNTERS, PER_CPU_ARRAY),
        shape::<Flow, FlowState>(maps::FLOWS_V4, MapType::LruHash),
    ]
}

/// aya takes a pin over without a look at its value's size, and would read past it.
fn require_shapes(folder: &Folder) -> Result<(), Failure> {
    for wanted in wanted_shapes() {
        let path = folder.map(wanted.name);
        let info = MapInfo::from_pin(&path).map_err(|error| {
            if is_io(&error, io::ErrorKind::PermissionDenied) {
                return Failure::host(
                    format!("no permission to open {}", path.display()),
                    "run it as root (sudo rewrite …)",
                );
            }
            Failure::pins(
                format!("{} can't be read as a map: {error}", path.display()),
                "nothing was touched; find out what it is (ls -l, bpftool prog show pinned …) and \
                 remove or move it",
            )
        })?;
        let found = Shape::of(wanted.name, &info);
        if found != wanted {
            return Err(other_abi(
                folder,
                &format!(
                    "{} is {:?} with keys of {} and values of {} bytes, and not {:?} with {} and {}",
                    wanted.name,
                    found.kind,
                    found.key,
                    found.value,
                    wanted.kind,
                    wanted.key,
                    wanted.value
                ),
            ));
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Shape {
    name: &'static str,
    kind: Option<MapType>,
    key: u32,
    value: u32,
}

impl Shape {
    fn of(name: &'static str, info: &MapInfo) -> Self {
        let kind = info.map_type().ok();
        Self { name, kind, key: info.key_size(), value: info.value_size() }
    }
}

const fn shape<K: Pod, V: Pod>(name: &'static str, kind: MapType) -> Shape {
    Shape { name, kind: Some(kind), key: size_of::<K>() as u32, value: size_of::<V>() as u32 }
}

fn other_abi(folder: &Folder, difference: &str) -> Failure {
    Failure::pins(
        format!(
            "the pins in {} are of another version of rewrite (this one has ABI version \
             {ABI_VERSION}): {difference}",
            folder.path().display()
        ),
        format!(
            "nothing was touched; detach with the version that attached, then attach with this one; \
             or, if they are left from an interface that is gone, remove them: rm -r {}",
            folder.path().display()
        ),
    )
}

/// The text in a field that is padded with zeros.
#[must_use]
pub fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// `text`, cut or padded with zeros to a field's length.
#[must_use]
pub fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [0; N];
    for (byte, place) in text.bytes().zip(field.iter_mut()) {
        *place = byte;
    }
    field
}
