//! Opens an interface's pinned maps, after a check of their shapes, and reads and changes their entries.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray};
use tunnel_common::ABI_VERSION;
use tunnel_common::attachment::Attachment;
use tunnel_common::bypass::{BypassKey, BypassValue};
use tunnel_common::counters::PeerCounters;
use tunnel_common::local_members::LocalMember;
use tunnel_common::maps;
use tunnel_common::members::{Member, NAME_LEN};
use tunnel_common::outcome::ReasonCounters;

use super::brought;
use super::family_maps::{FamilyMaps, Names};
use super::pins::Folder;
use super::record::{decode_local, encode_local, padded};
use super::shapes;
use super::table::Table;
use super::upgrade;
use crate::error::{Context as _, Error, is_io};
use crate::model::text::unpadded;
use crate::model::{MemberName, NameProblem};
use crate::plan::bypass::{self, BypassTable};
use crate::plan::identity::{Identity, LocalMembers};
use crate::plan::kept_connections::KeptFlows;
use crate::plan::local_tables::LocalTables;
use crate::plan::peer_tables::{Change, PeerTables};

/// An update with this flag fails if the entry exists (Linux, include/uapi/linux/bpf.h).
const BPF_NOEXIST: u64 = 1;

/// The numbers of entries in an interface's maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Slots that have a name.
    pub names: usize,
    /// The address ranges under which the programs find peers, in all roles and both families.
    pub ranges: usize,
    /// Bypass rules.
    pub rules: usize,
}

/// The slots of the peers, and the numbers of entries by map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerSlots {
    /// The slots that a private entry has, each with true if the peer is direct.
    pub slots: BTreeMap<u32, bool>,
    /// The number of entries by map.
    pub entries: BTreeMap<&'static str, usize>,
}

/// The maps of one attached interface.
pub struct Maps {
    folder: Folder,
    v4: FamilyMaps<[u8; 4]>,
    v6: FamilyMaps<[u8; 16]>,
    local_members: HashMap<MapData, u32, LocalMember>,
    members: Table<u32, Member>,
    bypass: HashMap<MapData, BypassKey, BypassValue>,
    attachment: Array<MapData, Attachment>,
    pub(super) peer_counters: PerCpuArray<MapData, PeerCounters>,
    pub(super) reason_counters: PerCpuArray<MapData, ReasonCounters>,
}

impl Maps {
    /// Opens the maps in `folder`.
    ///
    /// # Errors
    /// [`Error::Pins`] if the pins are not ours, or the maps have another version's shapes.
    pub fn open(folder: &Folder) -> Result<Self, Error> {
        upgrade::require_current(folder)?;
        folder.require_ours()?;
        shapes::require(folder)?;
        let v4 = Names {
            peers: maps::PEERS_V4,
            prefixes: maps::PREFIXES_V4,
            local_ranges: maps::LOCAL_V4,
            flows: maps::FLOWS_V4,
        };
        let v6 = Names {
            peers: maps::PEERS_V6,
            prefixes: maps::PREFIXES_V6,
            local_ranges: maps::LOCAL_V6,
            flows: maps::FLOWS_V6,
        };
        let maps = Self {
            folder: folder.clone(),
            v4: FamilyMaps {
                names: v4,
                peers: open(folder, v4.peers, Map::HashMap)?,
                filter: open(folder, maps::PEER_FILTER, Map::Array)?,
                prefixes: open(folder, v4.prefixes, Map::LpmTrie)?,
                local_ranges: open(folder, v4.local_ranges, Map::LpmTrie)?,
                flows: open(folder, v4.flows, Map::LruHashMap)?,
            },
            v6: FamilyMaps {
                names: v6,
                peers: open(folder, v6.peers, Map::HashMap)?,
                filter: open(folder, maps::PEER_FILTER, Map::Array)?,
                prefixes: open(folder, v6.prefixes, Map::LpmTrie)?,
                local_ranges: open(folder, v6.local_ranges, Map::LpmTrie)?,
                flows: open(folder, v6.flows, Map::LruHashMap)?,
            },
            local_members: open(folder, maps::LOCAL_MEMBERS, Map::HashMap)?,
            members: open(folder, maps::MEMBERS, Map::HashMap)?,
            bypass: open(folder, maps::BYPASS, Map::HashMap)?,
            attachment: open(folder, maps::ATTACHMENT, Map::Array)?,
            peer_counters: open(folder, maps::PEER_COUNTERS, Map::PerCpuArray)?,
            reason_counters: open(folder, maps::REASON_COUNTERS, Map::PerCpuArray)?,
        };
        match maps.attachment()?.abi_version {
            // 0: an attach was killed before it set the version.
            ABI_VERSION | 0 => Ok(maps),
            other => Err(shapes::other_abi(folder, &format!("they have ABI version {other}"))),
        }
    }

    /// All entries of `peers_v4`, `peers_v6`, `prefixes_v4` and `prefixes_v6`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn peers(&self) -> Result<PeerTables, Error> {
        Ok(PeerTables { v4: self.v4.table()?, v6: self.v6.table()? })
    }

    /// Enters the flows of open connections between public addresses. The time `now`, in seconds of CLOCK_MONOTONIC,
    /// counts as the time of each flow's last packet.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn add_public_flows(&mut self, flows: &KeptFlows, now: u32) -> Result<(), Error> {
        let nanoseconds = u64::from(now) * 1_000_000_000;
        self.v4.add_public_flows(&flows.v4, nanoseconds)?;
        self.v6.add_public_flows(&flows.v6, nanoseconds)
    }

    /// The numbers of names, of peers' ranges and of bypass rules.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn counts(&self) -> Result<Counts, Error> {
        Ok(Counts {
            names: self.members.entries().context(|| format!("reading {}", maps::MEMBERS))?.len(),
            ranges: self.v4.count()?.saturating_add(self.v6.count()?),
            rules: self.bypass.keys().count(),
        })
    }

    /// The slots of the peers, and the numbers of entries of the maps that hold peers, names and rules.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn peer_slots(&self) -> Result<PeerSlots, Error> {
        let mut slots: BTreeMap<u32, bool> = BTreeMap::new();
        let mut note = |slot, direct| *slots.entry(slot).or_default() |= direct == 1;
        let v4 = self.v4.for_each_private(|entry| note(entry.slot, entry.direct))?;
        let v6 = self.v6.for_each_private(|entry| note(entry.slot, entry.direct))?;
        let mut names = 0;
        self.members
            .for_each(|_, _| names += 1)
            .context(|| format!("reading {}", maps::MEMBERS))?;
        let others = [(maps::MEMBERS, names), (maps::BYPASS, self.bypass.keys().count())];
        Ok(PeerSlots { slots, entries: v4.into_iter().chain(v6).chain(others).collect() })
    }

    /// Applies changes to `peers_v4` and `prefixes_v4` in the given order. The order is undefined only among
    /// consecutive changes that set single addresses in one role.
    ///
    /// # Errors
    /// If the kernel refuses. Some changes may already be made.
    pub fn change_v4(&mut self, changes: &[Change<[u8; 4]>]) -> Result<(), Error> {
        self.v4.change(changes)
    }

    /// Applies changes to `peers_v6` and `prefixes_v6` in the given order. The order is undefined only among
    /// consecutive changes that set single addresses in one role.
    ///
    /// # Errors
    /// If the kernel refuses. Some changes may already be made.
    pub fn change_v6(&mut self, changes: &[Change<[u8; 16]>]) -> Result<(), Error> {
        self.v6.change(changes)
    }

    /// All entries of `local_v4` and `local_v6`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn local_tables(&self) -> Result<LocalTables, Error> {
        Ok(LocalTables { v4: self.v4.local_table()?, v6: self.v6.local_table()? })
    }

    /// Adds or replaces entries of `local_v4` and `local_v6`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn set_local_tables(&mut self, wanted: &LocalTables) -> Result<(), Error> {
        self.v4.set_local_ranges(&wanted.v4)?;
        self.v6.set_local_ranges(&wanted.v6)
    }

    /// Removes the entries of `local_v4` and `local_v6` that `wanted` lacks.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn retain_local_tables(&mut self, wanted: &LocalTables) -> Result<(), Error> {
        self.v4.retain_local_ranges(&wanted.v4)?;
        self.v6.retain_local_ranges(&wanted.v6)
    }

    /// This host's identity, and the addresses that attach added. Empty after an attach that was killed early.
    ///
    /// # Errors
    /// If the kernel refuses, or a name is invalid.
    pub fn local_members(&self) -> Result<LocalMembers, Error> {
        let what = || format!("reading {}", maps::LOCAL_MEMBERS);
        let records: BTreeMap<u32, LocalMember> =
            self.local_members.iter().collect::<Result<_, _>>().context(what)?;
        let (mut members, mut added) = (Vec::new(), BTreeSet::new());
        for record in records.values() {
            let (own, its_added) = decode_local(record).context(what)?;
            members.push(own);
            added.extend(its_added);
        }
        Ok(LocalMembers { identity: Identity::new(members), added })
    }

    /// Records this host's identity, and the addresses that attach added.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn set_local_members(&mut self, wanted: &LocalMembers) -> Result<(), Error> {
        let mut count = 0;
        for own in wanted.identity.members() {
            let record = encode_local(own, &wanted.added);
            self.local_members
                .insert(count, record, 0)
                .map_err(|error| full(error, maps::LOCAL_MEMBERS))?;
            count += 1;
        }
        let what = || format!("removing from {}", maps::LOCAL_MEMBERS);
        let keys: Vec<u32> = self.local_members.keys().collect::<Result<_, _>>().context(what)?;
        for key in keys.into_iter().filter(|key| *key >= count) {
            self.local_members.remove(&key).context(what)?;
        }
        brought::note(&self.folder, &self.attachment()?, &wanted.added);
        Ok(())
    }

    /// The bypass rules by slot.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn bypass(&self) -> Result<BypassTable, Error> {
        let mut table = BypassTable::new();
        for key in self.bypass.keys() {
            let key = key.context(|| format!("reading {}", maps::BYPASS))?;
            if let Some((slot, rule)) = bypass::rule(&key) {
                table.entry(slot).or_default().insert(rule);
            }
        }
        Ok(table)
    }

    /// Adds bypass rules. Existing entries stay untouched: a program may miss an entry while the entry is replaced.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn set_bypass(&mut self, wanted: &BypassTable) -> Result<(), Error> {
        for key in bypass::keys(wanted) {
            match self.bypass.insert(key, 1, BPF_NOEXIST) {
                Err(error) if is_io(&error, io::ErrorKind::AlreadyExists) => {}
                result => result.map_err(|error| full(error, maps::BYPASS))?,
            }
        }
        Ok(())
    }

    /// Removes the bypass rules that `wanted` lacks.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn retain_bypass(&mut self, wanted: &BypassTable) -> Result<(), Error> {
        let what = || format!("removing from {}", maps::BYPASS);
        let wanted = bypass::keys(wanted);
        let keys: Vec<BypassKey> = self.bypass.keys().collect::<Result<_, _>>().context(what)?;
        for key in keys.into_iter().filter(|key| !wanted.contains(key)) {
            self.bypass.remove(&key).context(what)?;
        }
        Ok(())
    }

    /// The peers' names by slot.
    ///
    /// # Errors
    /// If the kernel refuses, or a name is invalid.
    pub fn names(&self) -> Result<BTreeMap<u32, MemberName>, Error> {
        let what = || format!("reading {}", maps::MEMBERS);
        let entries = self.members.entries().context(what)?;
        let named = |(slot, member): (u32, Member)| Ok((slot, unpadded(&member.name).parse()?));
        entries.into_iter().map(named).collect::<Result<_, NameProblem>>().context(what)
    }

    /// Names the peers in these slots.
    ///
    /// # Errors
    /// If the kernel refuses. Some peers may already have their names.
    pub fn set_names<'a>(
        &mut self,
        names: impl IntoIterator<Item = (u32, &'a MemberName)>,
    ) -> Result<(), Error> {
        let member = |name: &MemberName| Member { name: padded::<NAME_LEN>(name.as_str()) };
        let entries: Vec<_> = names.into_iter().map(|(slot, name)| (slot, member(name))).collect();
        self.members.set(&entries).map_err(|error| full(error, maps::MEMBERS))
    }

    /// Removes the names in these slots, which frees the slots.
    ///
    /// # Errors
    /// If the kernel refuses. The first slots may already be free.
    pub fn remove_names(&mut self, slots: &[u32]) -> Result<(), Error> {
        self.members.remove(slots).context(|| format!("removing from {}", maps::MEMBERS))
    }

    /// The record of the attachment.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn attachment(&self) -> Result<Attachment, Error> {
        self.attachment.get(&0, 0).context(|| format!("reading {}", maps::ATTACHMENT))
    }

    /// Records the attachment.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn set_attachment(&mut self, attachment: &Attachment) -> Result<(), Error> {
        self.attachment
            .set(0, attachment, 0)
            .context(|| format!("writing {}", maps::ATTACHMENT))?;
        brought::note(&self.folder, attachment, &self.local_members()?.added);
        Ok(())
    }
}

fn open<T: TryFrom<Map, Error = MapError>>(
    folder: &Folder,
    name: &str,
    kind: fn(MapData) -> Map,
) -> Result<T, Error> {
    let path = folder.map(name);
    MapData::from_pin(&path)
        .and_then(|data| T::try_from(kind(data)))
        .context(|| format!("opening {}", path.display()))
}

/// The error for a failed write to `map`.
pub(super) fn full(error: MapError, map: &str) -> Error {
    let is_full = match &error {
        MapError::SyscallError(error) => matches!(
            error.io_error.raw_os_error(),
            // A full trie gives ENOSPC (Linux, kernel/bpf/lpm_trie.c, trie_update_elem).
            Some(nix::libc::E2BIG | nix::libc::ENOSPC)
        ),
        MapError::OutOfBounds { .. } => true,
        _ => false,
    };
    if is_full {
        Error::refused(
            format!("{map} is full: it was made for fewer members"),
            "add the members to the file and attach again: attach enlarges the maps without \
             losing a packet",
        )
    } else {
        Error::kernel(format!("writing {map}"), error)
    }
}
