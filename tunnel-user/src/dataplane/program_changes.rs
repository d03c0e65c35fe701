//! Reports changes of an interface's programs, pins and ARP sysctls, by polling. The kernel does not announce the
//! attachment or detachment of a tcx or XDP link, or a write to arp_announce: its notices of sysctls (RTM_NEWNETCONF)
//! cover only forwarding, rp_filter, proxy_arp and ignore_routes_with_linkdown (Linux 6.12, net/ipv4/devinet.c,
//! devinet_conf_proc), and inotify does not see writes to /proc/sys.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tunnel_common::outcome::Direction;

use super::bpf_link::{BpfLink, LinkInfo};
use super::pins::Folder;
use super::tcx_query::{self, TcxProgram};
use crate::plan::arp::Sysctl;
use crate::plan::attach_point::BOTH;

/// The pause between two checks. A check takes about twenty system calls.
const INTERVAL: Duration = Duration::from_millis(500);

/// Polls the pins, the programs and the sysctls of one interface.
pub struct ProgramChanges {
    folder: Folder,
    seen: Seen,
    interval: Interval,
}

/// The names of the pins, the programs in each direction, and the effective values of the sysctls.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    pins: BTreeSet<OsString>,
    directions: [(Option<LinkInfo>, Vec<TcxProgram>); 2],
    sysctls: [Option<u8>; 2],
}

impl ProgramChanges {
    /// Starts to poll, with the current state as the last seen state. Needs a tokio runtime.
    #[must_use]
    pub fn listen(folder: &Folder) -> Self {
        let mut interval = interval(INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { folder: folder.clone(), seen: Seen::now(folder), interval }
    }

    /// Waits until a pin, a program or a sysctl differs from the last seen state.
    pub async fn changed(&mut self) {
        loop {
            self.interval.tick().await;
            let now = Seen::now(&self.folder);
            if now != self.seen {
                self.seen = now;
                return;
            }
        }
    }

    /// Takes the current state as the last seen state, because an attach has just produced it.
    pub fn note(&mut self) {
        self.seen = Seen::now(&self.folder);
    }
}

impl Seen {
    fn now(folder: &Folder) -> Self {
        let entries = fs::read_dir(folder.path()).into_iter().flatten();
        let index = if_nametoindex(folder.interface()).unwrap_or_default();
        let direction = |direction: Direction| {
            let link = BpfLink::pinned(&folder.link(direction)).and_then(|link| link.info()).ok();
            (link, tcx_query::programs(index, direction).unwrap_or_default())
        };
        Self {
            pins: entries.flatten().map(|entry| entry.file_name()).collect(),
            directions: BOTH.map(direction),
            sysctls: Sysctl::ALL.map(|sysctl| sysctl.effective(folder.interface()).ok()),
        }
    }
}
