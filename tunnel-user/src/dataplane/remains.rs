//! Reads the records of an attach from the pins that still exist: somebody may have removed some pins.

use std::collections::BTreeSet;

use aya::maps::{Array, HashMap, Map, MapData};
use tunnel_common::attachment::Attachment;
use tunnel_common::local_members::LocalMember;
use tunnel_common::maps;

use super::pins::Folder;
use super::record::decode_local;
use crate::error::{Context as _, Error};
use crate::plan::identity::{Identity, LocalMembers};

/// The record of the attachment; `None` if the record's pin is gone.
///
/// # Errors
/// If the kernel refuses.
pub fn attachment(folder: &Folder) -> Result<Option<Attachment>, Error> {
    let pin = folder.map(maps::ATTACHMENT);
    if !pin.exists() {
        return Ok(None);
    }
    let read = || -> Result<Attachment, anyhow::Error> {
        let map: Array<_, Attachment> = Map::Array(MapData::from_pin(&pin)?).try_into()?;
        Ok(map.get(&0, 0)?)
    };
    read().map(Some).context(|| format!("reading {}", pin.display()))
}

/// The local members, and the addresses that attach added; empty if the pin is gone.
///
/// # Errors
/// If the kernel refuses, or a name is invalid.
pub fn local_members(folder: &Folder) -> Result<LocalMembers, Error> {
    let (mut members, mut added) = (Vec::new(), BTreeSet::new());
    let pin = folder.map(maps::LOCAL_MEMBERS);
    if pin.exists() {
        let read = || -> Result<Vec<(u32, LocalMember)>, anyhow::Error> {
            let map: HashMap<_, u32, LocalMember> =
                Map::HashMap(MapData::from_pin(&pin)?).try_into()?;
            Ok(map.iter().collect::<Result<_, _>>()?)
        };
        let what = || format!("reading {}", pin.display());
        for (_, record) in read().context(what)? {
            let (own, its_added) = decode_local(&record).context(what)?;
            members.push(own);
            added.extend(its_added);
        }
    }
    Ok(LocalMembers { identity: Identity::new(members), added })
}
