//! Tests that a GlusterFS cluster with a cut cable goes on over the public network, and later over the cable again,
//! without any change to GlusterFS.
//!
//! Run as root, with the binary `rewrite` built (see `testkit::rewrite_command`) and with Debian's
//! `glusterfs-server` installed. `--nocapture` shows the measured times.

use std::fs;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, ensure};
use serde_json::Value;
use tempfile::NamedTempFile;
use testkit::capture::Capture;
use testkit::frame::{Frame, private_addresses};
use testkit::gluster::{Cluster, Firewall, PING_TIMEOUT};
use testkit::lab::{A_PUBLIC, B_PUBLIC, Lab, LabOptions, PUBLIC_INTERFACE, ROUTER_A, ROUTER_B};
use testkit::netns::Namespace;
use testkit::rewrite_command::Rewrite;
use testkit::wait::wait_until;

/// The longest time for the peers to connect after the second `attach`.
const CONNECTED: Duration = Duration::from_secs(10);
/// The longest time for GlusterFS to notice that a peer is gone.
const DISCONNECTED: Duration = Duration::from_secs(60);
/// The operator's longest pause between the two `attach` commands.
const PAUSE: Duration = Duration::from_secs(5);
const HEALED: Duration = Duration::from_secs(60);
/// The number of files in each round of writes. Each file is one megabyte long.
const FILES: u32 = 20;

/// A cluster with data, on a lab whose public side is captured.
struct Scene {
    // The cluster runs on the lab's namespaces, so the cluster must end before the lab.
    cluster: Cluster,
    captures: Vec<Capture>,
    lab: Lab,
    rewrite: Rewrite,
    config: NamedTempFile,
    name: &'static str,
}

impl Scene {
    fn set(name: &'static str, firewall: Firewall) -> Result<Self> {
        let rewrite = Rewrite::locate()?;
        let lab = Lab::new(&LabOptions {
            prefix: "rwgfs".to_owned(),
            cable: true,
            ..LabOptions::default()
        })?;
        let config = NamedTempFile::new().context("create a configuration file")?;
        fs::write(config.path(), lab.cluster_toml()).context("write the configuration file")?;
        let captures = [ROUTER_A, ROUTER_B]
            .map(|port| Capture::start_headers(&lab.router, port, ""))
            .into_iter()
            .collect::<Result<_>>()?;
        let start = Instant::now();
        let cluster = Cluster::start(&lab, firewall)?;
        let scene = Self { cluster, captures, lab, rewrite, config, name };
        scene.say("volume made over the cable and mounted", start.elapsed());
        scene.cluster.write("before", FILES)?;
        Ok(scene)
    }

    fn say(&self, what: &str, time: Duration) {
        println!("{}: {what} after {:.2} s", self.name, time.as_secs_f64());
    }

    fn attach(&self, host: &Namespace) -> Result<()> {
        let config = self.config.path().to_str().context("the file's name")?;
        self.rewrite.run(host, &["attach", PUBLIC_INTERFACE, "--config", config])?;
        Ok(())
    }

    fn attach_one_by_one(&self) -> Result<()> {
        self.attach(&self.lab.a)?;
        self.attach(&self.lab.b)
    }

    /// Attaches A, waits until A has dropped a reset from B, and attaches B. Before B's attach, B sees A's packets with
    /// public addresses and resets their connections.
    fn attach_with_a_pause(&self) -> Result<()> {
        self.attach(&self.lab.a)?;
        let attached = Instant::now();
        wait_until("a reset by the host that is not attached", PAUSE, || {
            Ok((self.dropped_resets(&self.lab.a)? > 0).then_some(()))
        })?;
        self.say("first reset dropped", attached.elapsed());
        self.attach(&self.lab.b)
    }

    fn attach_at_once(&self) -> Result<()> {
        thread::scope(|scope| {
            let attaching = self.hosts().map(|host| scope.spawn(|| self.attach(host)));
            attaching.into_iter().try_for_each(joined)
        })
    }

    /// The number of dropped resets of connections that the peer did not know.
    fn dropped_resets(&self, host: &Namespace) -> Result<u64> {
        let stats = self.rewrite.run(host, &["stats", "--json"])?;
        let stats: Value = serde_json::from_str(&stats).context("the output of `stats`")?;
        let reasons = stats["interfaces"][0]["not_rewritten"].as_array().context("no reasons")?;
        let dropped = reasons.iter().filter(|reason| reason["reason"] == "stray-reset");
        Ok(dropped.filter_map(|reason| reason["packets"].as_u64()).sum())
    }

    fn detach(&self, host: &Namespace) -> Result<()> {
        self.rewrite.run(host, &["detach", PUBLIC_INTERFACE])?;
        Ok(())
    }

    fn hosts(&self) -> [&Namespace; 2] {
        [&self.lab.a, &self.lab.b]
    }

    /// Cuts the cable, writes with one brick, and heals over the public network.
    fn cut_then_attach(&self) -> Result<()> {
        self.lab.cut_cable()?;
        let cut = Instant::now();
        self.cluster.write("alone", FILES)?;
        self.say("first files on one brick alone", cut.elapsed());
        self.cluster.wait_disconnected(DISCONNECTED)?;
        self.say("both peers noticed the cut", cut.elapsed());
        let unhealed = self.cluster.unhealed()?;
        ensure!(
            matches!(unhealed[..], [Some(files), None] if files >= FILES),
            "B's brick must be away, and A's hold what B misses: {unhealed:?}"
        );

        let start = Instant::now();
        self.attach_one_by_one()?;
        self.say("attached on both hosts, one by one,", start.elapsed());
        let connected = self.cluster.wait_connected(CONNECTED)?;
        self.say("peers connected", connected);
        let healed = self.cluster.heal(HEALED)?;
        self.say("healed", healed);
        self.compare(2)
    }

    /// Goes back to the cable, and writes the last of `rounds` rounds of files.
    fn plug_then_detach(&self, rounds: u32) -> Result<()> {
        self.lab.plug_cable()?;
        let start = Instant::now();
        for host in self.hosts() {
            self.detach(host)?;
        }
        self.say("detached on both hosts, one by one,", start.elapsed());
        let connected = self.cluster.wait_connected(CONNECTED)?;
        self.say("peers connected over the cable", connected);
        self.cluster.write("back", FILES)?;
        // The hosts detached one after the other. This may have reset connections and disturbed a write.
        let healed = self.cluster.heal(HEALED)?;
        self.say("written and healed over the cable", healed);
        self.compare(rounds)
    }

    /// Requires that both bricks hold the same files: all files of `rounds` rounds.
    fn compare(&self, rounds: u32) -> Result<()> {
        let files = self.cluster.compare_bricks()?;
        ensure!(
            files == usize::try_from(rounds * FILES)?,
            "{files} files on the bricks after {rounds} times {FILES}"
        );
        Ok(())
    }

    /// Ends the captures, and requires that no private address was ever on the public network.
    fn finish(&mut self) -> Result<()> {
        for capture in self.captures.drain(..) {
            let frames = capture.stop()?;
            let public = frames.iter().filter(|frame| between_publics(frame)).count();
            println!("{}: {public} packets between the hosts", self.name);
            ensure!(public > 0, "nothing went over the public network");
            let private = private_addresses(&frames);
            ensure!(private.is_empty(), "private addresses on the public network: {private:?}");
        }
        Ok(())
    }
}

fn between_publics(frame: &Frame) -> bool {
    frame.ipv4().is_some_and(|packet| {
        let ends = [packet.header.source_addr(), packet.header.destination_addr()];
        ends == [A_PUBLIC, B_PUBLIC] || ends == [B_PUBLIC, A_PUBLIC]
    })
}

/// Sets up a scene and runs `act` on it. On failure, shows the daemons' logs.
fn play(
    name: &'static str,
    firewall: Firewall,
    act: impl FnOnce(&Scene) -> Result<()>,
) -> Result<()> {
    let mut scene = Scene::set(name, firewall)?;
    act(&scene).inspect_err(|_| eprintln!("{}", scene.cluster.complaints()))?;
    scene.finish()
}

#[test]
fn a_volume_survives_the_way_to_the_public_network_and_back() -> Result<()> {
    play("plain", Firewall::Open, |scene| {
        scene.cut_then_attach()?;
        scene.plug_then_detach(3)
    })
}

#[test]
fn a_stateful_firewall_sees_nothing_but_private_addresses() -> Result<()> {
    play("firewall", Firewall::Stateful, |scene| {
        scene.cut_then_attach()?;
        for host in scene.cluster.hosts() {
            let tracked = host.tracked_connections()?;
            ensure!(tracked > 0, "the kernel tracks no connection");
        }
        scene.plug_then_detach(3)
    })
}

/// Cuts the cable under a volume that is being written to, attaches at once, and returns to the cable.
fn keep_connections(
    name: &'static str,
    attach: impl FnOnce(&Scene) -> Result<()> + Send,
) -> Result<()> {
    play(name, Firewall::Open, |scene| {
        let before = scene.cluster.lasting_connections(CONNECTED)?;
        let cut = thread::scope(|scope| {
            let writing = scope.spawn(|| scene.cluster.write("during", FILES));
            scene.lab.cut_cable()?;
            let cut = Instant::now();
            attach(scene)?;
            scene.say("cut, and attached on both hosts", cut.elapsed());
            let connected = scene.cluster.wait_connected(CONNECTED)?;
            scene.say("peers connected", connected);
            joined(writing)?;
            scene.say("cut, and files written meanwhile", cut.elapsed());
            Ok::<_, Error>(cut)
        })?;
        scene.cluster.write("over", FILES)?;
        scene.compare(3)?;
        // GlusterFS would give up an open but dead connection within this time.
        thread::sleep((PING_TIMEOUT + Duration::from_secs(2)).saturating_sub(cut.elapsed()));
        scene.cluster.write("later", FILES)?;
        scene.compare(4)?;

        let now = scene.cluster.open_connections()?;
        let lost: Vec<_> = before.difference(&now).collect();
        ensure!(lost.is_empty(), "lost {lost:#?} of {before:#?}");
        let resets = scene.dropped_resets(&scene.lab.a)? + scene.dropped_resets(&scene.lab.b)?;
        println!("{name}: {} connections lived on, {resets} resets dropped", before.len() / 2);
        scene.plug_then_detach(5)
    })
}

#[test]
fn open_connections_survive_the_cut_and_two_attaches() -> Result<()> {
    keep_connections("one by one", Scene::attach_with_a_pause)
}

#[test]
fn open_connections_survive_the_cut_and_attaches_at_once() -> Result<()> {
    keep_connections("at once", Scene::attach_at_once)
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
