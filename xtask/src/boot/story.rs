//! Tells the story of the package on two guests, and prints each chapter with its time and what was seen.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use testkit::wait::wait_until;

use super::guest::Guest;
use super::host_state::HostState;
use super::readme::Story;
use super::router::{PORTS, Port};
use crate::progress;

/// The operator's file.
const CLUSTER_FILE: &str = "/etc/rewrite/cluster.toml";
/// The folder of the packages, and the command that puts their disk there.
const PACKAGES: &str = "/mnt";
const MOUNT_PACKAGES: &str = "mount -o ro /dev/vdb /mnt";
/// The time limit for something that a guest does by itself.
const PATIENCE: Duration = Duration::from_secs(120);
/// The option of a change on trial.
const ON_TRIAL: &str = "--confirm-within";
/// The time that a trial is left alone.
const TRIAL: &str = "15s";
/// The pings of a stream: 50 a second, for a minute.
const STREAM: &str = "ping -q -i 0.02 -c 3000 10.0.0.2";

/// Runs all chapters.
pub fn run(guests: &mut [Guest; 2], story: &Story) -> Result<()> {
    let begun = Instant::now();
    chapter("boot", || boot(guests))?;
    let clean = both(guests, HostState::of)?;
    chapter("install", || install(guests))?;
    chapter("the README's story", || readme(guests, story))?;
    chapter("a trial without confirm", || unconfirmed(guests))?;
    chapter("purge", || purge(guests, &clean))?;
    chapter("the package before, as a service", || former_service(guests, story))?;
    chapter("upgrade under a stream", || upgrade(guests))?;
    chapter("reboot", || reboot(guests))?;
    chapter("GlusterFS over private addresses", || gluster(guests))?;
    chapter("the journal", || journal(&guests[0]))?;
    chapter("remove", || remove(guests))?;
    chapter("purge after all", || {
        stop_gluster(guests)?;
        purge(guests, &clean)
    })?;
    println!("{:>7.1} s in all", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Runs a chapter, and prints its time and what it has seen.
fn chapter(name: &str, tell: impl FnOnce() -> Result<String>) -> Result<()> {
    let begun = Instant::now();
    let bar = progress::spinner(name)?;
    let seen = tell();
    bar.finish_and_clear();
    let seen = seen.with_context(|| format!("in the chapter \"{name}\""))?;
    println!("{:>7.1} s  {name}: {seen}", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Does the same on both guests at the same time.
fn both<T: Send>(guests: &[Guest; 2], work: impl Fn(&Guest) -> Result<T> + Sync) -> Result<[T; 2]> {
    let [one, other] = guests;
    let (one, other) = thread::scope(|scope| {
        let other = scope.spawn(|| work(other));
        let one = work(one);
        (one, other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    Ok([one?, other?])
}

fn boot(guests: &mut [Guest; 2]) -> Result<String> {
    for guest in guests.iter_mut() {
        guest.wait_for_boot()?;
        guest.run(MOUNT_PACKAGES)?;
    }
    let kernel = guests[0].run("uname -r")?;
    let release = guests[0].run("cat /etc/debian_version")?;
    Ok(format!("Debian {}, Linux {}, both guests", release.trim(), kernel.trim()))
}

fn install(guests: &[Guest; 2]) -> Result<String> {
    both(guests, |guest| {
        guest.run(&format!("dpkg --install {PACKAGES}/today.deb"))?;
        let started = guest.run("systemctl list-units --no-legend 'rewrite*'; ls /sys/fs/bpf")?;
        ensure!(started.trim().is_empty(), "the installation started something: {started}");
        Ok(())
    })?;
    guests[0].run("man=/usr/share/man/man8/rewrite-attach.8.gz; gzip --test $man")?;
    Ok("nothing runs and nothing is attached".to_owned())
}

/// Runs each of the README's commands on both hosts before the next one.
fn readme(guests: &[Guest; 2], story: &Story) -> Result<String> {
    for guest in guests {
        write_cluster_file(guest, &story.cluster_file)?;
    }
    let (mut trials, mut slowest) = (0, (Duration::ZERO, ""));
    for command in &story.commands {
        let begun = Instant::now();
        both(guests, |guest| readme_command(guest, command))?;
        slowest = slowest.max((begun.elapsed(), command));
        if command.contains(ON_TRIAL) {
            both(guests, guarded_by_a_service)?;
            trials += 1;
        }
    }
    both(guests, |guest| {
        let units = guest.run("systemctl list-units --no-legend --all 'rewrite*'")?;
        ensure!(units.trim().is_empty(), "the story leaves units: {units}");
        Ok(())
    })?;
    ensure!(trials > 0, "the README's story has no trial");
    Ok(format!(
        "{} commands on both hosts; a systemd service guards the trial on each; the slowest: {} ({:.1} s)",
        story.commands.len(),
        slowest.1,
        slowest.0.as_secs_f64()
    ))
}

fn readme_command(guest: &Guest, command: &str) -> Result<String> {
    match command {
        "rewrite trace" => guest.run(&trace(guest, command)),
        // docs/command-line.md: a dry run that shows changes exits with 7.
        dry_run if dry_run.ends_with("--dry-run") => guest.run(&format!("{dry_run}; [ $? = 7 ]")),
        command => guest.run(command),
    }
}

fn guarded_by_a_service(guest: &Guest) -> Result<()> {
    let units = guest.run("systemctl list-units --no-legend --plain 'rewrite-trial-*'")?;
    ensure!(units.contains(" running "), "no service guards the trial: {units}");
    Ok(())
}

/// The command for a trace of eight seconds, with pings for it to see. `rewrite trace` runs until SIGINT.
fn trace(guest: &Guest, command: &str) -> String {
    let others = PORTS.iter().filter(|port| port.host != guest.port().host);
    let ping = |port: &Port| format!("ping -q -i 0.5 -c 30 {} > /dev/null & ", port.private);
    let pings: String = others.map(ping).collect();
    format!("{pings}timeout --preserve-status --signal=INT 8 {command}")
}

fn unconfirmed(guests: &[Guest; 2]) -> Result<String> {
    let guest = &guests[0];
    guest.run(&format!("rewrite attach eth0 {ON_TRIAL} {TRIAL}"))?;
    let begun = Instant::now();
    wait_until("the guard detaches the interface", PATIENCE, || {
        let pins = guest.run("ls /sys/fs/bpf/rewrite 2>/dev/null || :")?;
        Ok(pins.trim().is_empty().then_some(()))
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    Ok(format!("{TRIAL} on trial, and detached {seconds:.0} s after attach had returned"))
}

/// Purges the package, and compares the hosts with their state before its first installation.
fn purge(guests: &[Guest; 2], clean: &[HostState; 2]) -> Result<String> {
    let after = both(guests, |guest| {
        guest.run(&format!("rm -f {CLUSTER_FILE} && dpkg --purge rewrite"))?;
        HostState::of(guest)
    })?;
    for ((guest, before), after) in guests.iter().zip(clean).zip(&after) {
        before.require_same(after).with_context(|| guest.port().host)?;
    }
    Ok(format!(
        "the {} facts of the host's state are those before the installation",
        clean[0].facts()
    ))
}

fn former_service(guests: &[Guest; 2], story: &Story) -> Result<String> {
    both(guests, |guest| {
        guest.run(&format!("dpkg --install {PACKAGES}/before.deb"))?;
        write_cluster_file(guest, &story.cluster_file)?;
        guest.run("systemctl enable --now rewrite@eth0")
    })?;
    let version = guests[0].run("dpkg-query --show rewrite")?;
    guests[0].run("ping -c 3 10.0.0.2")?;
    Ok(format!("{}: the daemons attach, and pings return", version.trim().replace('\t', " ")))
}

/// Upgrades the package and restarts the daemon on both hosts, while pings run between the private addresses.
fn upgrade(guests: &[Guest; 2]) -> Result<String> {
    guests[0].run(&format!("nohup {STREAM} > /run/stream 2>&1 &"))?;
    for guest in guests {
        let before = guest.run("systemctl show --property=MainPID rewrite@eth0")?;
        let printed = guest.run(&format!("dpkg --install {PACKAGES}/today.deb"))?;
        ensure!(printed.contains("systemctl restart"), "no word of the restart: {printed}");
        let after = guest.run("systemctl show --property=MainPID rewrite@eth0")?;
        ensure!(before == after, "the upgrade restarted the daemon");
        guest.run("systemctl restart 'rewrite@*'")?;
        guest.run("rewrite status")?;
    }
    let counted = wait_until("the end of the stream", PATIENCE, || {
        let text = guests[0].run("cat /run/stream")?;
        Ok(text.lines().find(|line| line.contains("packets transmitted")).map(str::to_owned))
    })?;
    ensure!(counted.contains(" 0% packet loss"), "the upgrade lost packets: {counted}");
    Ok(counted)
}

fn reboot(guests: &mut [Guest; 2]) -> Result<String> {
    for guest in guests.iter() {
        let private = guest.port().private;
        // glusterd binds to the private address, and does not start without it.
        let bind = format!("    option transport.socket.bind-address {private}");
        guest.run(&format!(
            "cp /etc/glusterfs/glusterd.vol /root/ && sed -i '/option transport-type/a {bind}' /etc/glusterfs/glusterd.vol \
             && systemctl enable glusterd"
        ))?;
    }
    let mut seconds = Vec::new();
    for guest in guests.iter_mut() {
        seconds.push(guest.reboot()?.as_secs_f64());
        guest.run(MOUNT_PACKAGES)?;
    }
    let mut times = Vec::new();
    for guest in guests.iter() {
        let private = guest.port().private.to_string();
        let daemon = monotonic(guest, "rewrite@eth0", "ActiveEnterTimestampMonotonic")?;
        let glusterd = monotonic(guest, "glusterd", "ExecMainStartTimestampMonotonic")?;
        ensure!(daemon < glusterd, "glusterd started at {glusterd} µs, rewrite at {daemon} µs");
        let addresses = guest.run("ip -brief address show dev lo")?;
        ensure!(addresses.contains(&private), "lo has no {private}: {addresses}");
        times.push(format!("{} s, {} s", seconds_of(daemon), seconds_of(glusterd)));
    }
    for guest in guests.iter() {
        guest.run("rewrite status")?;
    }
    Ok(format!(
        "{:.0} s and {:.0} s; {private} is on lo; after the kernel's start, rewrite@eth0 was ready and glusterd started at {}",
        seconds[0],
        seconds[1],
        times.join("; "),
        private = guests[0].port().private
    ))
}

/// A time of a unit, in microseconds since the kernel's start.
fn monotonic(guest: &Guest, unit: &str, property: &str) -> Result<u64> {
    let shown = guest.run(&format!("systemctl show --value --property={property} {unit}"))?;
    let micros: u64 =
        shown.trim().parse().with_context(|| format!("{unit} {property}: {shown}"))?;
    ensure!(micros > 0, "{unit} has not started");
    Ok(micros)
}

fn seconds_of(micros: u64) -> String {
    format!("{}.{}", micros / 1_000_000, micros / 100_000 % 10)
}

fn gluster(guests: &[Guest; 2]) -> Result<String> {
    let listens = guests[0].run("ss --no-header --listening --tcp --numeric 'sport = 24007'")?;
    ensure!(listens.contains("10.0.0.1:24007"), "glusterd does not listen: {listens}");
    guests[0].run("gluster peer probe 10.0.0.2")?;
    wait_until("the peers are connected", PATIENCE, || {
        let status = guests[0].run("gluster peer status")?;
        Ok(status.contains("(Connected)").then_some(()))
    })?;
    guests[0].run(
        "gluster --mode=script volume create vol replica 2 10.0.0.1:/srv/brick 10.0.0.2:/srv/brick force \
         && gluster volume start vol",
    )?;
    // The private addresses are known to GlusterFS, and the public ones stay blank.
    let imported = "/run/imported.toml";
    let file = guests[0]
        .run(&format!("rewrite import --from gluster --out {imported}; cat {imported}"))?;
    ensure!(file.contains(r#"private = "10.0.0.2""#), "the imported file lacks the peer: {file}");
    stop_volume(guests)?;
    Ok("glusterd listens on 10.0.0.1:24007; a volume on both hosts starts; an import finds its peer 10.0.0.2".to_owned())
}

/// Removes the volume, so that the bricks' processes and folders are gone.
fn stop_volume(guests: &[Guest; 2]) -> Result<()> {
    let script = "gluster --mode=script volume stop vol && gluster --mode=script volume delete vol";
    guests[0].run(script)?;
    both(guests, |guest| guest.run("rm -r /srv/brick")).map(drop)
}

/// A mistake in the file is a warning in the journal, and events have fields.
fn journal(guest: &Guest) -> Result<String> {
    let journal = "journalctl --no-pager --boot --unit rewrite@eth0";
    let events = guest.run(&format!("{journal} --output cat REWRITE_EVENT=attached"))?;
    ensure!(!events.trim().is_empty(), "no event has the field REWRITE_EVENT");
    let quiet = guest.run(&format!("{journal} --output cat --priority warning --since -10s"))?;
    guest.run(&format!("echo '[[wrong]]' >> {CLUSTER_FILE}"))?;
    let warned = wait_until("a warning in the journal", PATIENCE, || {
        let warnings = guest.run(&format!("{journal} --output cat --priority warning"))?;
        Ok(warnings.lines().find(|line| line.contains("wrong")).map(str::to_owned))
    })?;
    ensure!(!quiet.contains(&warned), "the warning was there before the mistake");
    guest.run(&format!("sed -i '$d' {CLUSTER_FILE}"))?;
    wait_until("the daemon follows the file again", PATIENCE, || {
        Ok(guest.run("rewrite status").is_ok().then_some(()))
    })?;
    Ok(format!("field REWRITE_EVENT=attached; priority warning: {warned}"))
}

/// A removal stops the daemon, and leaves the dataplane.
fn remove(guests: &[Guest; 2]) -> Result<String> {
    for guest in guests {
        let printed = guest.run("dpkg --remove rewrite")?;
        ensure!(printed.contains("rewrite detach --all"), "no way to detach: {printed}");
    }
    let counted = guests[0].run("ping -q -c 20 -i 0.2 10.0.0.2")?;
    ensure!(counted.contains(" 0% packet loss"), "the removal cut the hosts off: {counted}");
    for guest in guests {
        guest.run(&format!("dpkg --install {PACKAGES}/today.deb"))?;
        // The words of docs/systemd.md.
        guest.run("systemctl disable --now rewrite@eth0 && rewrite detach eth0")?;
    }
    Ok("the daemon stopped, and 20 of 20 pings returned; installed again, and detached".to_owned())
}

fn stop_gluster(guests: &[Guest; 2]) -> Result<()> {
    let stop = "systemctl disable --now glusterd && mv /root/glusterd.vol /etc/glusterfs/";
    both(guests, |guest| guest.run(stop)).map(drop)
}

fn write_cluster_file(guest: &Guest, text: &str) -> Result<()> {
    guest.run(&format!("cat > {CLUSTER_FILE} <<'END'\n{text}END")).map(drop)
}
