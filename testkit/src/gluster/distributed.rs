//! Starts and controls a GlusterFS cluster of four machines, with one volume distributed over two pairs of replicas.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::connections::{Connection, Lasting};
use super::host::{BRICK, Host, LOGS, VOLUME as MOUNT_POINT};
use super::{OPTIONS, PING_TIMEOUT, START, VOLUME, parse_unhealed};
use crate::lab::FourHosts;
use crate::wait::wait_until;

/// The numbers of lasting connections in a cluster without clients: each glusterd dials every other
/// glusterd, and each healer dials every brick on another machine.
const WITHOUT_CLIENTS: Lasting = Lasting { to_glusterds: 4 * 3, to_bricks: 4 * 3 };
/// The number of a client's connections to bricks on other machines.
const BRICKS_OF_A_CLIENT: usize = 3;
/// The file with glusterd's process ID.
const PID_FILE: &str = "/run/glusterd.pid";

/// A running cluster of four machines. Dropping the value ends the cluster and deletes all its data.
#[derive(Debug)]
pub struct Distributed {
    /// The machines srva to srvd. The volume is mounted on the first. The first and the second replicate
    /// each other, and so do the third and the fourth.
    pub machines: Vec<Host>,
    known_as: [String; 4],
}

impl Distributed {
    /// Boots machines on the lab's hosts, then starts and mounts a volume. GlusterFS reaches the machines at
    /// `addresses`, and the peers know each other by these addresses.
    ///
    /// # Errors
    /// When a step fails.
    pub fn start_by_address(lab: &FourHosts, addresses: [Ipv4Addr; 4]) -> Result<Self> {
        let cluster = Self {
            machines: boot(lab, addresses)?,
            known_as: addresses.map(|address| address.to_string()),
        };
        cluster.start()?;
        Ok(cluster)
    }

    /// Like [`Self::start_by_address`], but the peers know each other by the hosts' names, which each
    /// machine's `/etc/hosts` lists.
    ///
    /// # Errors
    /// When a step fails.
    pub fn start_by_name(lab: &FourHosts, addresses: [Ipv4Addr; 4]) -> Result<Self> {
        let machines = boot(lab, addresses)?;
        let mut list = "127.0.0.1 localhost\n".to_owned();
        for (address, name) in addresses.iter().zip(FourHosts::NAMES) {
            list += &format!("{address} {name}\n");
        }
        for machine in &machines {
            // Overwrite the file in place, since it is a bind mount.
            fs::write(machine.path("/etc/hosts"), &list).context("write the list of names")?;
        }
        let cluster = Self { machines, known_as: FourHosts::NAMES.map(str::to_owned) };
        cluster.start()?;
        for machine in &cluster.machines {
            let status = machine.gluster(&["peer", "status"])?;
            let by_name = status.lines().filter(|line| line.starts_with("Hostname: srv")).count();
            ensure!(by_name == 3, "peers that are known by something else than a name: {status}");
        }
        Ok(cluster)
    }

    fn start(&self) -> Result<()> {
        for machine in &self.machines {
            machine.run(&["glusterd", "--pid-file", PID_FILE])?;
        }
        for machine in &self.machines {
            wait_until("glusterd to answer", START, || {
                Ok(machine.gluster(&["peer", "status"]).ok())
            })?;
        }
        let [first, others @ ..] = &self.known_as;
        for peer in others {
            self.machines[0].gluster(&["peer", "probe", peer])?;
        }
        self.wait_connected(START)?;
        let bricks = self.known_as.each_ref().map(|known_as| format!("{known_as}:{BRICK}/data"));
        let bricks = bricks.each_ref().map(String::as_str);
        let create = ["volume", "create", VOLUME, "replica", "2"];
        self.machines[0].gluster(&[&create[..], &bricks, &["force"]].concat())?;
        let ping_timeout = PING_TIMEOUT.as_secs().to_string();
        for (option, value) in
            OPTIONS.into_iter().chain([("network.ping-timeout", ping_timeout.as_str())])
        {
            self.machines[0].gluster(&["volume", "set", VOLUME, option, value])?;
        }
        self.machines[0].gluster(&["volume", "start", VOLUME])?;
        self.machines[0].run(&[
            "mount",
            "-t",
            "glusterfs",
            &format!("{first}:/{VOLUME}"),
            MOUNT_POINT,
        ])?;
        self.wait_healed(START)
    }

    /// The path of the mounted volume, as seen from outside the machines.
    #[must_use]
    pub fn volume(&self) -> PathBuf {
        self.machines[0].path(MOUNT_POINT)
    }

    /// qemu's URL of a file in the volume.
    #[must_use]
    pub fn url(&self, file: &str) -> String {
        format!("gluster://{}/{VOLUME}/{file}", self.known_as[0])
    }

    /// The volume's source argument for `mount`, with `machine` as the server.
    #[must_use]
    pub fn source(&self, machine: usize) -> String {
        format!("{}:/{VOLUME}", self.known_as[machine])
    }

    /// Waits until every machine reports connections to the other three machines.
    ///
    /// # Errors
    /// When the wait takes longer than `deadline`.
    pub fn wait_connected(&self, deadline: Duration) -> Result<()> {
        wait_until("all peers to be connected", deadline, || {
            for machine in &self.machines {
                let status = machine.gluster(&["peer", "status"])?;
                if status.matches("State: Peer in Cluster (Connected)").count() != 3 {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
    }

    /// Waits until every brick is reachable and has nothing to heal. A file that is being written counts
    /// as unhealed until both bricks have it.
    ///
    /// # Errors
    /// When the wait takes longer than `deadline`.
    pub fn wait_healed(&self, deadline: Duration) -> Result<()> {
        wait_until("nothing to heal on all bricks", deadline, || {
            Ok((self.unhealed()? == [Some(0); 4]).then_some(()))
        })
    }

    /// The number of files that each brick has to heal. `None` stands for an unreachable brick.
    ///
    /// # Errors
    /// When the volume does not answer.
    pub fn unhealed(&self) -> Result<Vec<Option<u32>>> {
        parse_unhealed(&self.machines[0].gluster(&["volume", "heal", VOLUME, "info"])?)
    }

    /// Waits until exactly the lasting connections of a cluster with this number of clients are open, and returns the
    /// ends of all connections between the machines.
    ///
    /// # Errors
    /// When a lasting connection is missing, or any other connection is open, after `deadline`.
    pub fn lasting_connections(
        &self,
        clients: usize,
        deadline: Duration,
    ) -> Result<BTreeSet<Connection>> {
        let to_bricks = WITHOUT_CLIENTS.to_bricks + clients * BRICKS_OF_A_CLIENT;
        let lasting = Lasting { to_bricks, ..WITHOUT_CLIENTS };
        lasting.wait(deadline, || self.open_connections())
    }

    /// The ends of all open connections between the machines.
    ///
    /// # Errors
    /// When a machine does not answer.
    pub fn open_connections(&self) -> Result<BTreeSet<Connection>> {
        let mut open = BTreeSet::new();
        for machine in &self.machines {
            for other in &self.machines {
                if machine.private != other.private {
                    open.extend(machine.connections(other.private)?);
                }
            }
        }
        Ok(open)
    }

    /// The lines that report a completed heal, from the logs of all daemons and clients.
    ///
    /// # Errors
    /// When the logs can't be read.
    pub fn heals(&self) -> Result<Vec<String>> {
        let mut heals = Vec::new();
        for machine in &self.machines {
            let found =
                machine.shell("grep -rhi 'completed .*selfheal' \"$1\" || true", &[LOGS])?;
            heals.extend(found.lines().map(str::to_owned));
        }
        Ok(heals)
    }

    /// Compares the SHA-256 sums of all files on the bricks of each pair, and returns each pair's number of files.
    ///
    /// # Errors
    /// When a file is missing on one machine of a pair, or differs between the two.
    pub fn compare_bricks(&self) -> Result<[usize; 2]> {
        // Skip files of mode 1000. These are link files, whose data is on the other pair.
        let list = "cd \"$1/data\"; find . -path ./.glusterfs -prune -o \
                    -type f ! -perm 1000 -exec sha256sum {} +";
        let mut files = [0; 2];
        for (pair, count) in self.machines.chunks_exact(2).zip(&mut files) {
            let (one, other) = (pair[0].shell(list, &[BRICK])?, pair[1].shell(list, &[BRICK])?);
            let (one, other): (BTreeSet<_>, BTreeSet<_>) =
                (one.lines().collect(), other.lines().collect());
            let different: Vec<_> = one.symmetric_difference(&other).collect();
            ensure!(different.is_empty(), "on one brick but not on the other: {different:#?}");
            *count = one.len();
        }
        Ok(files)
    }

    /// Kills and restarts a machine's glusterd, but leaves its brick running.
    ///
    /// # Errors
    /// When glusterd does not answer within 20 s.
    pub fn restart_glusterd(&self, machine: usize) -> Result<()> {
        let machine = &self.machines[machine];
        let pid = machine.run(&["cat", PID_FILE])?;
        let pid = pid.trim();
        machine.run(&["kill", "-KILL", pid])?;
        // A killed process stays in /proc until its parent waits for it, but without arguments: an empty `cmdline` also
        // means that glusterd has ended.
        let arguments = machine.path(&format!("/proc/{pid}/cmdline"));
        wait_until("glusterd to end", START, || {
            let ended = fs::read(&arguments).map_or(true, |arguments| arguments.is_empty());
            Ok(ended.then_some(()))
        })?;
        machine.run(&["glusterd", "--pid-file", PID_FILE])?;
        wait_until("glusterd to answer", START, || Ok(machine.gluster(&["peer", "status"]).ok()))?;
        Ok(())
    }

    /// The last warnings and errors of all daemons, for the report of a failure.
    #[must_use]
    pub fn complaints(&self) -> String {
        let complaints = self
            .machines
            .iter()
            .map(|machine| machine.complaints().unwrap_or_else(|error| format!("{error:#}")));
        complaints.collect::<Vec<_>>().join("\n")
    }
}

fn boot(lab: &FourHosts, addresses: [Ipv4Addr; 4]) -> Result<Vec<Host>> {
    let hosts = lab.hosts.iter().zip(FourHosts::NAMES).zip(addresses);
    hosts.map(|((network, name), address)| Host::boot(network, name, address)).collect()
}
