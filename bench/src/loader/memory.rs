//! Reads the memory of an attached interface's pinned maps from the kernel's accounting.

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _};

use anyhow::{Context as _, Result};
use aya::maps::MapData;
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;
use tunnel_common::maps::{MEMBERS, PEER_COUNTERS, PEERS_V4};
use tunnel_user::dataplane::pins::{Folder, MAPS};
use tunnel_user::host::network_namespace::NetworkNamespace;

use crate::report::{Better, Row, Spread, Table};

/// The table of the maps' bytes per peer, for `peers` peers.
pub fn table(host: &Namespace, peers: u32) -> Result<Table> {
    let folder = Folder::of(NetworkNamespace::Other(host.inode()?), PUBLIC_INTERFACE);
    let mut rows = Vec::new();
    let (mut all, mut rest) = (0, 0);
    for name in MAPS {
        let bytes = bytes(&folder, name).with_context(|| format!("query the map {name}"))?;
        all += bytes;
        match name {
            PEERS_V4 | MEMBERS | PEER_COUNTERS => rows.push(row(name, bytes, peers)),
            _ => rest += bytes,
        }
    }
    rows.push(row("all other maps", rest, peers));
    rows.push(row("all maps", all, peers));
    Ok(Table {
        name: "memory",
        title: format!("Memory of the maps per peer, by the kernel's accounting, with {peers} peers."),
        unit: "bytes",
        digits: 0,
        better: Better::Less,
        columns: vec!["a peer".to_owned()],
        rows,
        notes: vec![
            "A peer has two entries in peers_v4, one in members with its name, and counters of 32 bytes \
             for each processor."
                .to_owned(),
        ],
    })
}

fn row(what: &str, bytes: u64, peers: u32) -> Row {
    let each = bytes as f64 / f64::from(peers);
    Row { what: what.to_owned(), cells: vec![Spread::of(&[each])] }
}

fn bytes(folder: &Folder, name: &str) -> Result<u64> {
    let map = MapData::from_pin(folder.map(name)).context("open it")?;
    let path = format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd());
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("memlock:"));
    let line = line.with_context(|| format!("{path} has no memlock"))?.trim();
    line.parse().with_context(|| format!("memlock is {line}"))
}
