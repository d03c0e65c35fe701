//! Performs the steps of the migration, and checks the conditions after each step.

mod requirements;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testkit::capture::Capture;
use testkit::gluster::{Cluster, Firewall};
use testkit::kernel_counters::checksum_errors;
use testkit::lab::{
    A_PUBLIC, B_PRIVATE, B_PUBLIC, CABLE_INTERFACE, Lab, LabOptions, PUBLIC_INTERFACE, ROUTER_A,
    ROUTER_B,
};
use testkit::netns::Namespace;
use testkit::rewrite_command::Rewrite;
use testkit::wait::wait_until;

use crate::client::Client;
use crate::sites::{self, A_FIRST, B_SECOND, Site};
use requirements::HostState;

/// The longest time for the servers to connect once they can reach each other.
const CONNECTED: Duration = Duration::from_secs(20);
/// The longest time for GlusterFS to notice that a peer is gone.
const DISCONNECTED: Duration = Duration::from_secs(60);
const HEALED: Duration = Duration::from_secs(60);
/// The longest time until the client has written and synced more records.
const GOES_ON: Duration = Duration::from_secs(60);
/// The longest time for an event that involves only the kernel.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Two servers, their volume, and a client that writes to it.
pub struct Migration {
    // Each field needs the fields after it. Rust drops the fields in this order.
    client: Client,
    cluster: Cluster,
    captures: Vec<Capture>,
    before: [HostState; 2],
    lab: Lab,
    rewrite: Rewrite,
    files: TempDir,
    began: Instant,
}

impl Migration {
    /// Makes the volume over the cable, and starts the client.
    pub fn begin() -> Result<Self> {
        let began = Instant::now();
        let rewrite = Rewrite::locate()?;
        let lab = Lab::new(&LabOptions {
            prefix: "rwmig".to_owned(),
            cable: true,
            ..LabOptions::default()
        })?;
        // Record the state that the hosts must have at the end: A is at its first site, and B at its new site.
        let before = [HostState::of(&lab.a)?, HostState::of(&lab.b)?];
        sites::leave(&lab.b, &B_SECOND)?;
        let captures = [ROUTER_A, ROUTER_B]
            .map(|port| Capture::start_headers(&lab.router, port, ""))
            .into_iter()
            .collect::<Result<_>>()?;
        let cluster = Cluster::start(&lab, Firewall::Open)?;
        let client = Client::start(&cluster.volume())?;
        let files = TempDir::new().context("make a folder for the file")?;
        let migration = Self { client, cluster, captures, before, lab, rewrite, files, began };
        migration.say("volume made over the cable and mounted", began.elapsed());
        Ok(migration)
    }

    /// Runs `act`, a phase of the migration. No write may wait longer than `allowed`.
    pub fn phase(
        &mut self,
        name: &str,
        allowed: Duration,
        act: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        let start = Instant::now();
        self.client.longest_wait();
        act(self).with_context(|| format!("in the phase {name:?}"))?;
        self.client.goes_on(GOES_ON).with_context(|| format!("at the end of {name:?}"))?;
        let longest = self.client.longest_wait();
        println!(
            "{:7.2} s: {name}: took {:.2} s; the longest that a write waited is {:.2} s",
            self.began.elapsed().as_secs_f64(),
            start.elapsed().as_secs_f64(),
            longest.as_secs_f64(),
        );
        ensure!(
            longest <= allowed,
            "{name:?}: a write waited {longest:?}, and {allowed:?} at most"
        );
        Ok(())
    }

    /// Checks in advance that the servers can be attached. B's only fault is that it does not have
    /// its new public address yet.
    pub fn prepare(&self) -> Result<()> {
        self.write_file(&A_FIRST)?;
        self.require_ready(&self.lab.a)?;
        let words = ["check", "--config", &self.config(), "--self", "srvb"];
        let found = self.rewrite.command(&self.lab.b, &words).output().context("check on B")?;
        let found = String::from_utf8_lossy(&found.stdout).into_owned();
        let wrong: Vec<_> = found.lines().filter(|line| line.starts_with("WRONG")).collect();
        let expected = format!("this host does not have {B_PUBLIC}");
        ensure!(matches!(wrong[..], [only] if only.contains(&expected)), "{found}");
        self.require_healed()
    }

    /// Shuts B down, takes it from the cable, and moves it to another site.
    pub fn move_b(&self, to: &Site) -> Result<()> {
        let left = Instant::now();
        self.cluster.b.stop_glusterd()?;
        self.lab.cut_cable()?;
        self.client.goes_on(GOES_ON)?;
        self.say("written on one brick", left.elapsed());
        wait_until("A to notice", DISCONNECTED, || {
            Ok((!self.cluster.a.is_connected()?).then_some(()))
        })?;
        self.require_unhealed()?;
        sites::arrive(&self.lab.b, to)
    }

    /// Attaches for the first time, one server after the other. B's daemons start once B has its private address.
    pub fn attach_both(&self) -> Result<()> {
        for host in self.hosts() {
            self.require_ready(host)?;
            self.attach(host, &[])?;
        }
        self.require_healthy()?;
        self.cluster.b.start_glusterd()?;
        self.wait_healed()
    }

    /// Moves A from one site to another. During the move, A has no network. Neither server's `rewrite` knows the new
    /// address yet.
    pub fn move_a(&self, from: &Site, to: &Site) -> Result<()> {
        sites::unplug_a(&self.lab)?;
        let cut = Instant::now();
        self.client.goes_on(GOES_ON)?;
        self.say("written on one brick", cut.elapsed());
        let noticed = self.cluster.wait_disconnected(DISCONNECTED)?;
        self.say("both servers noticed", noticed);
        self.require_unhealed()?;
        sites::leave(&self.lab.a, from)?;
        sites::plug_a_in(&self.lab, from, to)?;
        sites::arrive(&self.lab.a, to)
    }

    /// Attaches A with the file that has A's new address. B learns the address by `peer set`.
    pub fn follow_a(&self, to: &Site) -> Result<()> {
        self.write_file(to)?;
        self.attach(&self.lab.a, &[])?;
        self.rewrite
            .run(&self.lab.b, &["peer", "set", "srva", "--public", &to.public.to_string()])?;
        // Check that B's file has the same address, so that B's next attach changes nothing.
        let diff = self.json(&self.lab.b, &["diff", "--json", "--config", &self.config()])?;
        ensure!(diff["same"] == true, "B's file is not what runs: {diff}");
        self.wait_healed()
    }

    /// Moves A to a new address, and keeps the old address until B knows the new address. A puts the new file on trial,
    /// rolls it back, and puts it on trial again; after B's attach, A confirms it.
    pub fn renumber_a(&self, from: &Site, to: &Site) -> Result<()> {
        let (a, b) = (&self.lab.a, &self.lab.b);
        let before = self.connections()?;
        sites::open(&self.lab, to)?;
        sites::arrive(a, to)?;
        self.write_file(to)?;
        let config = self.config();
        let apply = ["apply", "--config", &config, "--confirm-within", "60s"];
        for words in [&apply[..], &["apply", "--revert"], &apply] {
            self.rewrite.run(a, words)?;
            self.client.goes_on(GOES_ON)?;
        }
        self.attach(b, &[])?;
        self.client.goes_on(GOES_ON)?;
        self.require_connected()?;
        self.rewrite.run(a, &["confirm"])?;
        sites::give_up(a, from)?;
        self.attach(a, &[])?;
        sites::close(&self.lab, from)?;
        self.client.goes_on(GOES_ON)?;
        self.require_healthy()?;
        self.require_alive(&before)?;
        self.require_healed()
    }

    /// Gives the servers a cable again, and switches them to it one after the other. (`direct` does not apply here: it
    /// concerns packets that arrive on the attached interface.)
    pub fn plug_cable(&self) -> Result<()> {
        let before = self.connections()?;
        self.lab.plug_cable()?;
        wait_until("B to answer on the cable", AT_ONCE, || {
            self.on_the_cable(&self.lab.a, &B_PRIVATE.to_string())
        })?;
        // To the cable, back, and to the cable again.
        for (words, by_cable) in
            [(&["--no-routes"][..], true), (&[], false), (&["--no-routes"], true)]
        {
            for host in self.hosts() {
                self.attach(host, words)?;
                self.client.goes_on(GOES_ON)?;
                self.require_connected()?;
            }
            let rewritten = self.rewritten()?;
            self.client.goes_on(GOES_ON)?;
            let stands_still = self.rewritten()? == rewritten;
            ensure!(stands_still == by_cable, "rewritten with {words:?}: {rewritten:?}");
        }
        self.require_alive(&before)?;
        self.require_healed()
    }

    /// Detaches one server after the other.
    pub fn detach_both(&self) -> Result<()> {
        self.require_counted_well()?;
        let before = self.connections()?;
        for host in self.hosts() {
            self.rewrite.run(host, &["detach", PUBLIC_INTERFACE])?;
            self.client.goes_on(GOES_ON)?;
            self.require_connected()?;
        }
        self.require_alive(&before)?;
        self.require_healed()
    }

    /// Ends the client, compares its records with the bricks and the mount, and checks that the hosts have the state
    /// that `begin` recorded.
    pub fn end(&mut self) -> Result<()> {
        let records = self.client.stop()?;
        self.wait_healed()?;
        let files = self.cluster.compare_bricks_and_mount()?;
        let read_back = self.client.read_back(records)?;
        ensure!(u64::try_from(files)? == read_back, "{files} files on the bricks: {read_back}");
        println!("{records} records in {files} files are the same on both bricks, and right");
        for (host, before) in self.hosts().into_iter().zip(&self.before) {
            before.require_unchanged(host)?;
            let errors = checksum_errors(host)?;
            ensure!(errors.is_empty(), "{}: {errors:?}", host.name());
        }
        self.require_never_seen()?;
        self.say("all of it", self.began.elapsed());
        Ok(())
    }

    /// Shows the daemons' logs.
    pub fn complain(&self) {
        eprintln!("{}", self.cluster.complaints());
    }

    fn say(&self, what: &str, time: Duration) {
        let now = self.began.elapsed().as_secs_f64();
        println!("{now:7.2} s:   {what} after {:.2} s", time.as_secs_f64());
    }

    const fn hosts(&self) -> [&Namespace; 2] {
        [&self.lab.a, &self.lab.b]
    }

    fn config_path(&self) -> PathBuf {
        self.files.path().join("cluster.toml")
    }

    fn config(&self) -> String {
        self.config_path().display().to_string()
    }

    /// Writes the file, which both servers share, with A at this site.
    fn write_file(&self, a: &Site) -> Result<()> {
        let text = self.lab.cluster_toml().replace(&A_PUBLIC.to_string(), &a.public.to_string());
        fs::write(self.config_path(), text).context("write the file")
    }

    fn attach(&self, host: &Namespace, more: &[&str]) -> Result<()> {
        let config = self.config();
        let words = ["attach", PUBLIC_INTERFACE, "--config", &config];
        self.rewrite.run(host, &[&words, more].concat())?;
        Ok(())
    }

    /// Waits until the servers are connected and nothing is left to heal.
    fn wait_healed(&self) -> Result<()> {
        let connected = self.cluster.wait_connected(CONNECTED)?;
        self.say("peers connected", connected);
        let healed = self.cluster.heal(HEALED)?;
        self.say("healed", healed);
        Ok(())
    }

    /// Pings an address on the cable. Returns `Some` once the host has resolved the address there.
    fn on_the_cable(&self, host: &Namespace, address: &str) -> Result<Option<()>> {
        // Ignore the result: the answer may arrive on another interface, where the ping misses it.
        let _ = host.run(&["ping", "-c", "1", "-W", "1", "-I", CABLE_INTERFACE, address]);
        let known = host.run(&["ip", "neigh", "show", address, "dev", CABLE_INTERFACE])?;
        Ok(known.contains("lladdr").then_some(()))
    }
}
