//! Sets up a volume with clients that write to it all the while, and performs the steps of its move.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::NamedTempFile;
use testkit::capture::Capture;
use testkit::gluster::{Connection, Distributed, PING_TIMEOUT};
use testkit::kernel_counters::checksum_errors;
use testkit::lab::{FourHosts, PUBLIC_INTERFACE, SECOND_INTERFACE};
use testkit::netns::Namespace;
use testkit::rewrite_command::Rewrite;

use crate::disk_image::{self, QemuIo};
use crate::files;
use crate::worker::Worker;

/// The longest wait of a client: the time after which the volume gives up on a silent brick.
const ALLOWED: Duration = PING_TIMEOUT;
/// The longest time for the volume's own processes to connect.
const CONNECTED: Duration = Duration::from_secs(30);
/// The volume's second mount point, on another server.
const SECOND_MOUNT: &str = "/mnt/second";
/// The number of clients that the volume has: its mount, and qemu-io.
const CLIENTS: usize = 2;

/// The network that must carry the volume's traffic: its interface, and its addresses.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    interface: &'static str,
    other: &'static str,
    addresses: [Ipv4Addr; 4],
}

/// Ethernet carries all traffic.
pub const ON_THE_FIRST: Network =
    Network { interface: PUBLIC_INTERFACE, other: SECOND_INTERFACE, addresses: FourHosts::FIRST };
/// InfiniBand carries all traffic.
pub const ON_THE_SECOND: Network =
    Network { interface: SECOND_INTERFACE, other: PUBLIC_INTERFACE, addresses: FourHosts::SECOND };

/// Four hosts on two networks, and the configuration file of `rewrite`.
pub struct Scene {
    pub lab: FourHosts,
    rewrite: Rewrite,
    config: NamedTempFile,
    began: Instant,
}

impl Scene {
    /// Builds the lab, with this file on all hosts.
    pub fn set(prefix: &str, file: &str) -> Result<Self> {
        let began = Instant::now();
        let rewrite = Rewrite::locate()?;
        let lab = FourHosts::new(prefix)?;
        let config = NamedTempFile::new().context("create a configuration file")?;
        let scene = Self { lab, rewrite, config, began };
        scene.write_file(file)?;
        Ok(scene)
    }

    /// Puts a new file on all hosts.
    pub fn write_file(&self, file: &str) -> Result<()> {
        fs::write(self.config.path(), file).context("write the configuration file")
    }

    /// Runs `rewrite` on every host, one after the other.
    pub fn on_each(&self, words: &[&str]) -> Result<()> {
        self.lab.hosts.iter().try_for_each(|host| self.on(host, words))
    }

    /// Runs `rewrite` on a host. attach, check and diff get the file.
    fn on(&self, host: &Namespace, words: &[&str]) -> Result<()> {
        let config = self.config.path().to_str().context("the file's name")?;
        let with_file: &[&str] = match words.first() {
            Some(&("attach" | "check" | "diff")) => &["--config", config],
            _ => &[],
        };
        self.rewrite.run(host, &[words, with_file].concat())?;
        Ok(())
    }

    fn require_healthy(&self) -> Result<()> {
        for host in &self.lab.hosts {
            let status: Value =
                serde_json::from_str(&self.rewrite.run(host, &["status", "--json"])?)?;
            let interfaces = status["interfaces"].as_array().context("no interfaces")?;
            for interface in interfaces {
                ensure!(interface["healthy"] == true, "{}: {interface}", host.name());
            }
        }
        Ok(())
    }

    fn say(&self, what: &str) {
        println!("{:7.2} s: {what}", self.began.elapsed().as_secs_f64());
    }
}

/// A volume on the hosts, and its clients.
pub struct Stage<'a> {
    // The clients need the volume, so the clients must end first.
    files: Worker<PathBuf>,
    image: Worker<QemuIo>,
    pub cluster: Distributed,
    scene: &'a Scene,
    before: BTreeSet<Connection>,
    never: Vec<Capture>,
}

impl<'a> Stage<'a> {
    /// Starts the clients on a volume. `never` describes forbidden packets: the interfaces, and a tcpdump filter.
    pub fn enter(scene: &'a Scene, cluster: Distributed, never: (&[&str], &str)) -> Result<Self> {
        scene.say("volume made and mounted");
        let (interfaces, filter) = never;
        let hosts = scene.lab.hosts.iter();
        let captures = hosts.flat_map(|host| {
            interfaces.iter().map(|interface| Capture::start_headers(host, interface, filter))
        });
        let never = captures.collect::<Result<_>>()?;
        let files = files::start(&cluster.volume())?;
        let image = disk_image::start(&cluster)?;
        let before = cluster.lasting_connections(CLIENTS, CONNECTED)?;
        let stage = Self { files, image, cluster, scene, before, never };
        stage.goes_on().context("before anything moves")?;
        scene.say("disk image made, both clients write");
        Ok(stage)
    }

    /// Runs `act`, which moves the traffic, and then checks the connections, the files and the disk image. On failure,
    /// shows the daemons' logs.
    pub fn play(mut self, act: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        act(&mut self)
            .and_then(|()| self.require_unharmed())
            .inspect_err(|_| eprintln!("{}", self.cluster.complaints()))?;
        self.never.drain(..).try_for_each(|capture| {
            let frames = capture.stop()?;
            ensure!(
                frames.is_empty(),
                "{} packets with addresses that were to be rewritten",
                frames.len()
            );
            Ok(())
        })?;
        let Self { files, image, cluster, scene, .. } = self;
        let (folder, count) = files.stop()?;
        let (qemu_io, blocks) = image.stop()?;
        ensure!(cluster.unhealed()? == [Some(0); 4], "there is something to heal");
        let heals = cluster.heals()?;
        ensure!(heals.is_empty(), "something was healed: {heals:#?}");
        files::read_back(&folder, count)?;
        disk_image::require_intact(&cluster, qemu_io, blocks)?;
        let [one, other] = cluster.compare_bricks()?;
        ensure!(u64::try_from(one + other)? == count + 1, "{one} and {other} files: {count}");
        scene.say(&format!("{count} files and {blocks} blocks of the disk are what was written"));
        for host in &scene.lab.hosts {
            let errors = checksum_errors(host)?;
            ensure!(errors.is_empty(), "{}: {errors:?}", host.name());
        }
        Ok(())
    }

    /// Runs `rewrite` on one host after the other, while the clients go on.
    pub fn on_each(&self, words: &[&str]) -> Result<()> {
        for host in &self.scene.lab.hosts {
            self.scene.on(host, words)?;
            self.goes_on().with_context(|| format!("after {words:?} on {}", host.name()))?;
        }
        self.scene.say(&words.join(" "));
        Ok(())
    }

    /// Requires that the clients go on, and that all traffic between the servers uses one network.
    pub fn require_traffic(&self, on: Network) -> Result<()> {
        let Network { interface, other, addresses } = on;
        let silent = self.scene.lab.hosts.iter();
        let silent: Vec<_> =
            silent.map(|host| Capture::start_headers(host, other, "tcp")).collect::<Result<_>>()?;
        let busy = Capture::start_headers(&self.scene.lab.hosts[0], interface, "tcp")?;
        self.goes_on()?;
        self.cluster.wait_connected(CONNECTED)?;
        self.cluster.wait_healed(CONNECTED)?;
        self.scene.require_healthy()?;
        let frames = busy.stop()?;
        ensure!(!frames.is_empty(), "no packet on {interface}");
        for frame in &frames {
            let header = frame.ipv4().context("not IPv4")?.header;
            let ends = [header.source_addr(), header.destination_addr()];
            ensure!(
                ends.iter().all(|end| addresses.contains(end)),
                "a packet between {ends:?} on {interface}"
            );
        }
        for capture in silent {
            let left = capture.stop()?.len();
            ensure!(left == 0, "{left} packets on {other}, where there were to be none");
        }
        self.scene
            .say(&format!("{} packets on {interface} of srva, none on {other}", frames.len()));
        Ok(())
    }

    /// Requires that new connections work, too: the glusterd of one server restarts, and another server mounts the
    /// volume once more.
    pub fn connect_anew(&mut self) -> Result<()> {
        self.require_connections()?;
        self.cluster.restart_glusterd(3)?;
        let script = "mkdir -p \"$2\"; mount -t glusterfs \"$1\" \"$2\"; \
                      test -s \"$2/$3\"; umount \"$2\"";
        let words = [&self.cluster.source(1), SECOND_MOUNT, "files/000000"];
        self.cluster.machines[1].shell(script, &words).context("mount the volume once more")?;
        self.cluster.wait_connected(CONNECTED)?;
        self.before = self.cluster.lasting_connections(CLIENTS, CONNECTED)?;
        self.scene.say("glusterd of srvd started again, volume mounted on srvb and read");
        Ok(())
    }

    /// Requires that the clients go on while no server has a carrier on the first network.
    pub fn without_the_first_network(&self) -> Result<()> {
        self.scene.lab.set_first_network(false)?;
        self.goes_on()?;
        self.scene.lab.set_first_network(true)?;
        self.scene.say("wrote without the first network");
        Ok(())
    }

    fn goes_on(&self) -> Result<()> {
        self.files.goes_on(ALLOWED)?;
        self.image.goes_on(ALLOWED)
    }

    /// Requires that no connection was lost, and that no client waited too long.
    fn require_unharmed(&self) -> Result<()> {
        self.goes_on()?;
        self.require_connections()?;
        self.scene.say(&format!(
            "{} connections lived on; the longest waits: {:.2} s by a file, {:.2} s by a block",
            self.before.len() / 2,
            self.files.longest_wait().as_secs_f64(),
            self.image.longest_wait().as_secs_f64(),
        ));
        Ok(())
    }

    fn require_connections(&self) -> Result<()> {
        let now = self.cluster.open_connections()?;
        let lost: Vec<_> = self.before.difference(&now).collect();
        ensure!(lost.is_empty(), "lost {lost:#?} of {:#?}", self.before);
        Ok(())
    }
}
