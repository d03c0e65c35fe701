//! A GlusterFS cluster whose cable is cut goes on over the public network, and back again, without
//! a word to GlusterFS.
//!
//! Run as root, with the binary `rewrite` built (see `tests::rewrite_command`) and with Debian's
//! `glusterfs-server` installed. `--nocapture` shows the measured times.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::NamedTempFile;
use tests::capture::Capture;
use tests::frame::{Frame, private_addresses};
use tests::gluster::{Cluster, Firewall, PING_TIMEOUT};
use tests::lab::{A_PUBLIC, B_PUBLIC, Lab, LabOptions, PUBLIC_INTERFACE, ROUTER_A, ROUTER_B};
use tests::netns::Namespace;
use tests::rewrite_command::Rewrite;

/// Within this the peers must be connected after the second `attach`.
const CONNECTED: Duration = Duration::from_secs(10);
/// GlusterFS's own time to notice that a peer is gone.
const DISCONNECTED: Duration = Duration::from_secs(60);
const HEALED: Duration = Duration::from_secs(60);
/// How many files, of a megabyte each, are written at a time.
const FILES: u32 = 20;

/// A cluster with data, on a lab whose public side is captured.
struct Scene {
    // The cluster runs on the lab's namespaces: it must end first.
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
        self.attach_with(host, &[])
    }

    /// Loads the programs, or keeps them, with the routes left as they are without `rewrite`: the
    /// host takes what comes over the public network, and goes on sending over the cable.
    fn attach_without_routes(&self, host: &Namespace) -> Result<()> {
        self.attach_with(host, &["--no-routes"])
    }

    fn attach_with(&self, host: &Namespace, options: &[&str]) -> Result<()> {
        let config = self.config.path().to_str().context("the file's name")?;
        let mut arguments = vec!["attach", PUBLIC_INTERFACE, "--config", config];
        arguments.extend(options);
        self.rewrite.run(host, &arguments)?;
        Ok(())
    }

    fn attach_at_once(&self) -> Result<()> {
        thread::scope(|scope| {
            self.hosts().map(|host| scope.spawn(|| self.attach(host))).into_iter().try_for_each(
                |attached| attached.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            )
        })
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
        for host in self.hosts() {
            self.attach(host)?;
        }
        self.say("attached on both hosts, one by one,", start.elapsed());
        let connected = self.cluster.wait_connected(CONNECTED)?;
        self.say("peers connected", connected);
        let healed = self.cluster.heal(HEALED)?;
        self.say("healed", healed);
        self.compare(2)
    }

    /// Goes back to the cable.
    fn plug_then_detach(&self) -> Result<()> {
        self.lab.plug_cable()?;
        let start = Instant::now();
        for host in self.hosts() {
            self.detach(host)?;
        }
        self.say("detached on both hosts, one by one,", start.elapsed());
        let connected = self.cluster.wait_connected(CONNECTED)?;
        self.say("peers connected over the cable", connected);
        self.cluster.heal(HEALED)?;
        self.cluster.write("back", FILES)?;
        self.compare(3)
    }

    /// Both bricks hold the same files, as many as were written in so many rounds.
    fn compare(&self, rounds: u32) -> Result<()> {
        let files = self.cluster.compare_bricks()?;
        ensure!(
            files == usize::try_from(rounds * FILES)?,
            "{files} files on the bricks after {rounds} times {FILES}"
        );
        Ok(())
    }

    /// Ends the captures: no private address was ever on the public network.
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

/// Plays a scene; when it fails, shows what the daemons logged.
fn play(
    name: &'static str,
    firewall: Firewall,
    act: impl FnOnce(&Scene) -> Result<()>,
) -> Result<()> {
    let mut scene = Scene::set(name, firewall)?;
    act(&scene).inspect_err(|_| eprintln!("{}", scene.cluster.logs()))?;
    scene.finish()
}

#[test]
fn a_volume_survives_the_way_to_the_public_network_and_back() -> Result<()> {
    play("plain", Firewall::Open, |scene| {
        scene.cut_then_attach()?;
        scene.plug_then_detach()
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
        scene.plug_then_detach()
    })
}

/// Between the first and the second `attach`, a host that was not prepared would answer packets of
/// connections that it does not know with a reset, which is rewritten and ends the connection. A
/// host that has the programs already, and only changes its routes, never does.
#[test]
fn open_connections_survive_the_cut_between_prepared_hosts() -> Result<()> {
    play("at once", Firewall::Open, |scene| {
        let before = open_connections(&scene.cluster)?;
        ensure!(before.len() >= 4, "too few connections: {before:?}");
        let still_open = |when: &str| -> Result<()> {
            let now = open_connections(&scene.cluster)?;
            let lost: Vec<_> = before.difference(&now).collect();
            ensure!(lost.is_empty(), "lost {when}: {lost:?} of {before:?}");
            println!("{}: {} ends of connections open {when}", scene.name, before.len());
            Ok(())
        };

        for host in scene.hosts() {
            scene.attach_without_routes(host)?;
        }
        scene.lab.cut_cable()?;
        let start = Instant::now();
        scene.attach_at_once()?;
        scene.say("routes changed on both hosts", start.elapsed());

        let writing = Instant::now();
        scene.cluster.write("over", FILES)?;
        scene.say("files written over the public network", writing.elapsed());
        scene.compare(2)?;
        // A connection that is open but dead would be given up within this time.
        thread::sleep((PING_TIMEOUT + Duration::from_secs(2)).saturating_sub(start.elapsed()));
        scene.cluster.write("later", FILES)?;
        scene.compare(3)?;
        still_open("over the public network")?;

        scene.lab.plug_cable()?;
        for host in scene.hosts() {
            scene.attach_without_routes(host)?;
        }
        for host in scene.hosts() {
            scene.detach(host)?;
        }
        scene.cluster.write("back", FILES)?;
        scene.compare(4)?;
        still_open("back on the cable")
    })
}

/// The ends of all TCP connections between the private addresses, on both hosts.
fn open_connections(cluster: &Cluster) -> Result<BTreeSet<(String, String)>> {
    let mut open = BTreeSet::new();
    open.extend(cluster.a.connections(cluster.b.private)?);
    open.extend(cluster.b.connections(cluster.a.private)?);
    Ok(open)
}
