//! Compares the shapes of pinned maps with this version's shapes, before this version uses the maps. A shape is the
//! map's type, and the sizes of its keys and values.

use std::io;

use aya::Pod;
use aya::maps::lpm_trie::Key;
use aya::maps::{MapInfo, MapType};
use tunnel_common::ABI_VERSION;
use tunnel_common::attachment::Attachment;
use tunnel_common::bypass::{BypassKey, BypassValue};
use tunnel_common::counters::PeerCounters;
use tunnel_common::flows::{Flow, FlowState};
use tunnel_common::local_members::{LocalMember, LocalRange};
use tunnel_common::maps;
use tunnel_common::members::Member;
use tunnel_common::outcome::ReasonCounters;
use tunnel_common::peers::{Peer, PeerKey};

use super::pins::Folder;
use super::upgrade::previous_abi::SHAPES;
use crate::error::{Error, is_io};

type V4 = [u8; 4];
type V6 = [u8; 16];

/// True if the pinned maps have this version's shapes. Some maps may be missing.
pub fn fit(folder: &Folder) -> bool {
    wanted().into_iter().filter(|shape| folder.map(shape.name).exists()).all(|wanted| {
        MapInfo::from_pin(folder.map(wanted.name))
            .is_ok_and(|info| Shape::of(wanted.name, &info) == wanted)
    })
}

fn wanted() -> [Shape; 15] {
    [
        shape::<PeerKey<V4>, Peer<V4>>(maps::PEERS_V4, MapType::Hash),
        shape::<PeerKey<V6>, Peer<V6>>(maps::PEERS_V6, MapType::Hash),
        shape::<Key<V4>, Peer<V4>>(maps::PREFIXES_V4, MapType::LpmTrie),
        shape::<Key<V6>, Peer<V6>>(maps::PREFIXES_V6, MapType::LpmTrie),
        shape::<u32, u64>(maps::PEER_FILTER, MapType::Array),
        shape::<u32, LocalMember>(maps::LOCAL_MEMBERS, MapType::Hash),
        shape::<Key<V4>, LocalRange<V4>>(maps::LOCAL_V4, MapType::LpmTrie),
        shape::<Key<V6>, LocalRange<V6>>(maps::LOCAL_V6, MapType::LpmTrie),
        shape::<u32, Member>(maps::MEMBERS, MapType::Hash),
        shape::<BypassKey, BypassValue>(maps::BYPASS, MapType::Hash),
        shape::<u32, Attachment>(maps::ATTACHMENT, MapType::Array),
        shape::<u32, PeerCounters>(maps::PEER_COUNTERS, MapType::PerCpuArray),
        shape::<u32, ReasonCounters>(maps::REASON_COUNTERS, MapType::PerCpuArray),
        shape::<Flow<V4>, FlowState>(maps::FLOWS_V4, MapType::LruHash),
        shape::<Flow<V6>, FlowState>(maps::FLOWS_V6, MapType::LruHash),
    ]
}

/// True if the pinned maps have the shapes of ABI 2, and at least one shape differs from the shape in this version.
/// Some maps may be missing.
pub fn fit_previous(folder: &Folder) -> bool {
    let pinned = SHAPES.into_iter().filter(|(name, ..)| folder.map(name).exists());
    let mut is_other = false;
    for (name, kind, key, value) in pinned {
        let wanted = Shape { name, kind: Some(kind), key, value };
        match MapInfo::from_pin(folder.map(name)) {
            Ok(info) if Shape::of(name, &info) == wanted => {}
            _ => return false,
        }
        is_other |= !self::wanted().contains(&wanted);
    }
    is_other
}

/// Refuses maps whose shapes differ from this version's shapes. The error names the first difference and the remedy.
pub fn require(folder: &Folder) -> Result<(), Error> {
    for wanted in wanted() {
        let path = folder.map(wanted.name);
        let info = MapInfo::from_pin(&path).map_err(|error| {
            if is_io(&error, io::ErrorKind::PermissionDenied) {
                return Error::host(
                    format!("no permission to open {}", path.display()),
                    "run it as root (sudo rewrite …)",
                );
            }
            Error::pins(
                format!("rewrite can't read {} as a map: {error}", path.display()),
                "rewrite changed nothing; find out what the pin is (ls -l, bpftool prog show \
                 pinned …), and remove or move it",
            )
        })?;
        let found = Shape::of(wanted.name, &info);
        if found != wanted {
            return Err(other_abi(
                folder,
                &format!(
                    "{} is {:?} with keys of {} and values of {} bytes, instead of {:?} with {} \
                     and {}",
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

/// The error for pins that another version created.
pub fn other_abi(folder: &Folder, difference: &str) -> Error {
    Error::pins(
        format!(
            "the pins in {} belong to another version of rewrite (this one has ABI version \
             {ABI_VERSION}): {difference}",
            folder.path().display()
        ),
        format!(
            "rewrite changed nothing; detach with the version that attached, then attach with \
             this one. `bpftool net show dev {}` shows what it runs",
            folder.interface()
        ),
    )
}
