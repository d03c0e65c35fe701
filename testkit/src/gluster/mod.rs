//! Starts and controls a GlusterFS cluster of two machines with one replicated volume, set up over the lab's cable. The
//! submodule `distributed` starts and controls a cluster of four machines.

mod connections;
mod distributed;
mod host;

pub use connections::Connection;
pub use distributed::Distributed;
pub use host::{Host, VOLUME as MOUNT_POINT};

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::connections::Lasting;
use self::host::START;
use crate::lab::{A_PRIVATE, B_PRIVATE, Lab};
use crate::wait::wait_until;

/// The name of the volume.
const VOLUME: &str = "gv0";
/// The time after which the volume gives up a silent brick. GlusterFS's default is 42 s.
pub const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// The numbers of lasting connections: each glusterd dials the other, and both healers and the mounted volume dial a
/// brick on the other machine.
const LASTING: Lasting = Lasting { to_glusterds: 2, to_bricks: 3 };
/// The volume options that let the volume work with one brick alone.
const OPTIONS: [(&str, &str); 2] =
    [("cluster.quorum-type", "none"), ("cluster.server-quorum-type", "none")];

/// The machines' filter for packets from the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firewall {
    /// Accepts every packet.
    Open,
    /// Tracks connections, and accepts new connections only from the peer's private address.
    Stateful,
}

/// A running cluster of two machines. Dropping the value ends the cluster and deletes all its data.
#[derive(Debug)]
pub struct Cluster {
    /// The machine on the lab's A; the volume is mounted here.
    pub a: Host,
    /// The machine on the lab's B.
    pub b: Host,
}

impl Cluster {
    /// Boots the machines on a lab with a cable, makes them peers by their private addresses, and starts and mounts a
    /// volume with a brick on each machine.
    ///
    /// # Errors
    /// When a step fails.
    pub fn start(lab: &Lab, firewall: Firewall) -> Result<Self> {
        let cluster = Self {
            a: Host::boot(&lab.a, "srva", A_PRIVATE)?,
            b: Host::boot(&lab.b, "srvb", B_PRIVATE)?,
        };
        if firewall == Firewall::Stateful {
            cluster.a.close_firewall(B_PRIVATE)?;
            cluster.b.close_firewall(A_PRIVATE)?;
        }
        for host in cluster.hosts() {
            host.start_glusterd()?;
        }
        cluster.a.gluster(&["peer", "probe", "10.0.0.2"])?;
        cluster.wait_connected(START)?;
        cluster.make_volume()?;
        Ok(cluster)
    }

    fn make_volume(&self) -> Result<()> {
        let brick = |address: Ipv4Addr| format!("{address}:{}/data", host::BRICK);
        let (a, b) = (brick(A_PRIVATE), brick(B_PRIVATE));
        self.a.gluster(&["volume", "create", VOLUME, "replica", "2", &a, &b, "force"])?;
        let ping_timeout = PING_TIMEOUT.as_secs().to_string();
        for (option, value) in
            OPTIONS.into_iter().chain([("network.ping-timeout", ping_timeout.as_str())])
        {
            self.a.gluster(&["volume", "set", VOLUME, option, value])?;
        }
        self.a.gluster(&["volume", "start", VOLUME])?;
        let source = format!("{A_PRIVATE}:/{VOLUME}");
        self.a.run(&["mount", "-t", "glusterfs", &source, host::VOLUME])?;
        wait_until("both bricks and healers to be online", START, || {
            let bricks = self.unhealed()?;
            Ok((bricks == [Some(0), Some(0)]).then_some(()))
        })
    }

    /// Both machines, A first.
    #[must_use]
    pub const fn hosts(&self) -> [&Host; 2] {
        [&self.a, &self.b]
    }

    /// The path of the mounted volume, as seen from outside the machines.
    #[must_use]
    pub fn volume(&self) -> PathBuf {
        self.a.path(host::VOLUME)
    }

    /// Writes `count` files of a megabyte through the mounted volume. Their names begin with `name`.
    ///
    /// # Errors
    /// When a write fails, or all writes together take too long.
    pub fn write(&self, name: &str, count: u32) -> Result<()> {
        self.a
            .shell(
                "for number in $(seq \"$3\"); do \
                 head -c 1048576 /dev/urandom >\"$1/$2-$number\"; done; sync \"$1\"",
                &[host::VOLUME, name, &count.to_string()],
            )
            .with_context(|| format!("write {count} files {name}-… to the volume"))?;
        Ok(())
    }

    /// For each machine, A first: true if the machine reports a connection to its peer.
    ///
    /// # Errors
    /// When a machine does not answer.
    pub fn connected(&self) -> Result<[bool; 2]> {
        let [a, b] = self.hosts().map(Host::is_connected);
        a.and_then(|a| Ok([a, b?]))
    }

    /// Waits until both machines are connected; returns how long that took.
    ///
    /// # Errors
    /// When the wait takes longer than `deadline`.
    pub fn wait_connected(&self, deadline: Duration) -> Result<Duration> {
        self.wait_connections("both peers to be connected", [true, true], deadline)
    }

    /// Waits until both machines have noticed the lost connection; returns how long that took.
    ///
    /// # Errors
    /// When the wait takes longer than `deadline`.
    pub fn wait_disconnected(&self, deadline: Duration) -> Result<Duration> {
        self.wait_connections("both peers to be disconnected", [false, false], deadline)
    }

    fn wait_connections(
        &self,
        what: &str,
        wanted: [bool; 2],
        deadline: Duration,
    ) -> Result<Duration> {
        let start = Instant::now();
        wait_until(what, deadline, || Ok((self.connected()? == wanted).then(|| start.elapsed())))
    }

    /// The number of files that each brick has to heal, A's first. `None` stands for an unreachable brick.
    ///
    /// # Errors
    /// When the volume does not answer.
    pub fn unhealed(&self) -> Result<Vec<Option<u32>>> {
        let information = self.a.gluster(&["volume", "heal", VOLUME, "info"])?;
        parse_unhealed(&information)
    }

    /// Starts the healing, and waits until no brick has files left to heal; returns how long that took.
    ///
    /// # Errors
    /// When the healing takes longer than `deadline`.
    pub fn heal(&self, deadline: Duration) -> Result<Duration> {
        let start = Instant::now();
        // Repeat `heal` until it succeeds: the glusterds reconnect before the bricks, and `heal` fails until the bricks
        // have reconnected.
        wait_until("the healing to begin", deadline, || {
            Ok(self.a.gluster(&["volume", "heal", VOLUME]).ok())
        })?;
        wait_until("the bricks to be healed", deadline, || {
            let healed = self.unhealed()? == [Some(0), Some(0)];
            Ok(healed.then(|| start.elapsed()))
        })
    }

    /// Waits until exactly the lasting connections are open, and returns the ends of all connections between the
    /// machines.
    ///
    /// # Errors
    /// When a lasting connection is missing, or any other connection is open, after `deadline`.
    pub fn lasting_connections(&self, deadline: Duration) -> Result<BTreeSet<Connection>> {
        LASTING.wait(deadline, || self.open_connections())
    }

    /// The ends of all TCP connections between the private addresses, on both machines.
    ///
    /// # Errors
    /// When a machine does not answer.
    pub fn open_connections(&self) -> Result<BTreeSet<Connection>> {
        let mut open = BTreeSet::new();
        open.extend(self.a.connections(self.b.private)?);
        open.extend(self.b.connections(self.a.private)?);
        Ok(open)
    }

    /// Compares the SHA-256 sums of all files on both bricks, and returns the number of files.
    ///
    /// # Errors
    /// When a file is missing on one brick, or differs.
    pub fn compare_bricks(&self) -> Result<usize> {
        let brick = format!("{}/data", host::BRICK);
        let (on_a, on_b) = (sums(&self.a, &brick)?, sums(&self.b, &brick)?);
        require_same(&on_a, &on_b)?;
        Ok(on_a.len())
    }

    /// Compares the SHA-256 sums of all files on both bricks and in the mounted volume, and returns the number of
    /// files.
    ///
    /// # Errors
    /// When a file is missing in one place, or differs.
    pub fn compare_bricks_and_mount(&self) -> Result<usize> {
        let files = self.compare_bricks()?;
        let through_mount = sums(&self.a, host::VOLUME)?;
        require_same(&through_mount, &sums(&self.a, &format!("{}/data", host::BRICK))?)?;
        Ok(files)
    }

    /// The last warnings and errors of all daemons, for the report of a failure.
    #[must_use]
    pub fn complaints(&self) -> String {
        self.hosts()
            .map(|host| host.complaints().unwrap_or_else(|error| format!("{error:#}")))
            .join("\n")
    }
}

/// The SHA-256 sums and names of all user files in a folder.
fn sums(host: &Host, folder: &str) -> Result<BTreeSet<String>> {
    let list = "cd \"$1\"; find . -path ./.glusterfs -prune -o -type f -exec sha256sum {} +";
    Ok(host.shell(list, &[folder])?.lines().map(str::to_owned).collect())
}

fn require_same(one: &BTreeSet<String>, other: &BTreeSet<String>) -> Result<()> {
    let different: Vec<_> = one.symmetric_difference(other).collect();
    ensure!(different.is_empty(), "in one place but not in the other: {different:#?}");
    Ok(())
}

/// Parses each brick's number of entries from the output of `gluster volume heal … info`.
fn parse_unhealed(information: &str) -> Result<Vec<Option<u32>>> {
    information
        .lines()
        .filter_map(|line| line.strip_prefix("Number of entries: "))
        .map(|number| match number.trim() {
            "-" => Ok(None),
            number => number
                .parse()
                .map(Some)
                .with_context(|| format!("the number of entries is {number}")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brick_that_is_not_reachable_is_not_healed() {
        let information = "Brick 10.0.0.1:/mnt/brick/data\n/x\n<gfid:0>\nStatus: Connected\n\
            Number of entries: 2\n\nBrick 10.0.0.2:/mnt/brick/data\n\
            Status: Transport endpoint is not connected\nNumber of entries: -\n";
        let numbers = parse_unhealed(information).expect("two bricks");
        assert_eq!(numbers, [Some(2), None]);
    }
}
