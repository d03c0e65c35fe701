//! Measures the time to fill the maps.

use std::time::Instant;

use anyhow::{Context as _, Result};
use aya::EbpfLoader;
use aya::maps::HashMap;
use tunnel_common::maps;
use tunnel_common::members::{Member, NAME_LEN};
use tunnel_common::peers::{Peer, PeerKey};
use tunnel_user::dataplane::load::EBPF_OBJECT;
use tunnel_user::dataplane::table::{BatchSupport, Table as Entries};

use crate::interrupt::Interrupt;
use crate::per_packet::{Octets as _, entries};
use crate::processor::Processor;
use crate::report::{Better, Row, Spread, Table};
use crate::suite::Setting;

/// The methods of filling a map, with their names in the table.
const METHODS: [(BatchSupport, &str); 2] =
    [(BatchSupport::Batches, "by batches"), (BatchSupport::OneByOne, "one by one")];

/// Measures the time to fill the maps with `count` peers, alternating between the two methods.
pub fn table(setting: &Setting, count: u32, interrupt: &Interrupt) -> Result<Table> {
    let of_peer = |slot| entries(slot, slot, <[u8; 4]>::BITS);
    let entries: Vec<_> =
        (0..count).flat_map(of_peer).map(|(address, peer)| (PeerKey { address }, peer)).collect();
    let members: Vec<_> = (0..count).map(|slot| (slot, member(slot))).collect();
    let mut samples: [Vec<f64>; 2] = Default::default();
    let sampler = setting.cpu_noise.sampler(Processor::all()?, interrupt);
    for _ in 0..setting.effort.choose(3, 11) {
        for ((support, _), samples) in METHODS.iter().zip(&mut samples) {
            let measure = || fill(*support, &entries, &members);
            samples.push(sampler.sample(measure)?);
        }
    }
    Ok(Table {
        name: "maps",
        title: format!("The time to fill the maps with {count} peers."),
        unit: "s",
        digits: 2,
        better: Better::Less,
        columns: METHODS.map(|(_, name)| name.to_owned()).into(),
        rows: vec![Row {
            what: format!("{} entries of peers_v4, {count} of members", entries.len()),
            cells: samples.iter().map(|samples| Spread::of(samples)).collect(),
        }],
        notes: vec!["The maps exist before; their memory is untouched.".to_owned()],
    })
}

type Entry = (PeerKey<[u8; 4]>, Peer<[u8; 4]>);

fn fill(support: BatchSupport, entries: &[Entry], members: &[(u32, Member)]) -> Result<f64> {
    let (many, few) = (u32::try_from(entries.len())?, u32::try_from(members.len())?);
    let mut ebpf = EbpfLoader::new()
        .map_max_entries(maps::PEERS_V4, many)
        .map_max_entries(maps::MEMBERS, few)
        .load(EBPF_OBJECT)
        .context("load the object")?;
    let mut take = |name| ebpf.take_map(name).with_context(|| format!("no map {name}"));
    let mut peers = Entries::of(HashMap::try_from(take(maps::PEERS_V4)?)?, support);
    let mut names = Entries::of(HashMap::try_from(take(maps::MEMBERS)?)?, support);
    let start = Instant::now();
    names.set(members).context("fill members")?;
    peers.set(entries).context("fill peers_v4")?;
    Ok(start.elapsed().as_secs_f64())
}

fn member(slot: u32) -> Member {
    let mut name = [0; NAME_LEN];
    let text = format!("member{slot}");
    for (to, from) in name.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    Member { name }
}
