//! Runs a thread that replaces entries until the test stops it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Result, anyhow};
use aya::Pod;
use aya::maps::{HashMap, MapData};
use tunnel_common::peers::{Peer, PeerKey};
use tunnel_user::dataplane::peer_filter::PeerFilter;
use tunnel_user::dataplane::table::{BatchSupport, Table};

use crate::host::{B, C, D, Entries, Family, Host, v4, v6};

/// A thread that replaces entries.
pub struct Writer {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64>>,
}

impl Writer {
    /// Writes the entries of b and c, and starts the thread.
    pub fn start(host: &Host, family: Family) -> Result<Self> {
        match family {
            Family::V4 => Self::with(host.peers(family)?, host.filter()?, [B, C, D].map(v4)),
            Family::V6 => Self::with(host.peers(family)?, host.filter()?, [B, C, D].map(v6)),
        }
    }

    fn with<A: Pod + Send + AsRef<[u8]>>(
        peers: HashMap<MapData, PeerKey<A>, Peer<A>>,
        mut filter: PeerFilter,
        [b, c, d]: [Entries<A>; 3],
    ) -> Result<Self>
    where
        PeerKey<A>: Pod,
        Peer<A>: Pod,
    {
        let always = [b, c].concat();
        let mut peers = Table::of(peers, BatchSupport::Batches);
        filter.add(always.iter().map(|(key, _)| key.address.as_ref()))?;
        peers.set(&always)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut replaced = 0;
            while !asked.load(Ordering::Relaxed) {
                peers.set(&always)?;
                peers.set(&d)?;
                peers.remove(&d.map(|(key, _)| key))?;
                replaced += always.len() as u64;
            }
            Ok(replaced)
        });
        Ok(Self { is_over, thread })
    }

    /// Stops the thread. Returns the number of entries that it has replaced.
    pub fn stop(self) -> Result<u64> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the thread panicked"))?
    }
}
