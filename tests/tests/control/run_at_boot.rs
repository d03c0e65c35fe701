//! `rewrite run` starts on a booting host without pins, addresses or routes, and waits for the network.

use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::lab::{A_PRIVATE, B_PRIVATE};
use testkit::netns::Namespace;
use testkit::traffic::ping;

use crate::daemon::Daemon;
use crate::scenario::{NOTHING_MORE, Scenario};

fn ip(host: &Namespace, words: &str) -> Result<String> {
    host.run(&[&["ip"], &words.split(' ').collect::<Vec<_>>()[..]].concat())
}

fn can_bind(host: &Namespace) -> Result<bool> {
    host.enter(|| UdpSocket::bind((A_PRIVATE, 0)).is_ok())
}

#[test]
fn it_waits_for_the_underlay_address_and_is_ready_when_the_private_one_works() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    // Deleting an interface's last address also removes its routes.
    ip(host, "address del 198.51.100.2/24 dev eth0")?;
    let daemon = Daemon::start(&scenario, host, NOTHING_MORE)?;
    let mut notices = daemon.wait_for("STATUS=not attached, waiting: this host is not a member")?;
    ensure!(!can_bind(host)?, "the private address is there too early");
    ip(host, "address add 198.51.100.2/24 dev eth0")?;
    notices
        .extend(daemon.wait_for("STATUS=not attached, waiting: there is no route to 203.0.113.2")?);
    ensure!(!notices.concat().contains("READY"), "ready too early: {notices:?}");
    ip(host, "route add default via 198.51.100.1")?;
    daemon.wait_for("READY=1")?;
    ensure!(can_bind(host)?, "ready, and the private address can't be bound to");
    let report = ping(host, B_PRIVATE, 3, 56)?;
    ensure!(report.returned == report.sent, "ready, and the peer does not answer: {report:?}");
    daemon.require_attaches(1)
}

#[test]
fn it_waits_for_the_interface_as_well() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    ip(host, "link delete eth0")?;
    let daemon = Daemon::start(&scenario, host, NOTHING_MORE)?;
    daemon.wait_for("STATUS=not attached, waiting: there is no interface eth0")?;
    crate::recreated::make_eth0(&scenario.lab, "")?;
    let notices = daemon.wait_for("READY=1")?;
    ensure!(!notices.concat().contains("STOPPING"), "{notices:?}");
    scenario.require_traffic()?;
    daemon.require_attaches(1)
}

#[test]
fn the_watchdog_is_fed_while_it_waits() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    ip(host, "address del 198.51.100.2/24 dev eth0")?;
    let mut command = Command::new(scenario.rewrite.binary());
    command.args(["--netns", host.name()]).env("WATCHDOG_USEC", "200000");
    let daemon = Daemon::start_command(&scenario, &mut command, NOTHING_MORE)?;
    for _ in 0..5 {
        let fed = daemon.look_for("WATCHDOG=1", Duration::from_secs(5))?;
        fed.context("the watchdog was not fed")?;
    }
    Ok(())
}

#[test]
fn the_watchdog_is_fed_while_the_kernel_verifies_the_programs() -> Result<()> {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("not tested: there is no strace, which makes the kernel slow");
        return Ok(());
    }
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    // strace delays each bpf(2) call by 50 ms, to imitate a large program on a slow host. With -D, the daemon stays our
    // child.
    let slow = "-D -f -o /dev/null -e trace=bpf -e inject=bpf:delay_enter=50000";
    let mut command = Command::new("strace");
    command.args(slow.split(' ')).arg(scenario.rewrite.binary());
    command.args(["--netns", host.name()]).env("WATCHDOG_USEC", "200000");
    let daemon = Daemon::start_command(&scenario, &mut command, NOTHING_MORE)?;
    let (start, mut last, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
    loop {
        let notices = daemon.look_for("=", Duration::from_secs(20))?.context("nothing was said")?;
        longest = longest.max(last.elapsed());
        last = Instant::now();
        if notices.concat().contains("READY=1") {
            break;
        }
    }
    let took = start.elapsed();
    ensure!(longest < Duration::from_secs(1), "silent for {longest:?} within {took:?}");
    ensure!(took > Duration::from_secs(2), "the kernel was not slow: {took:?}");
    Ok(())
}

#[test]
fn it_waits_for_a_bpf_file_system() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    // The daemon runs in a separate mount namespace. At first, a tmpfs covers the BPF file system there.
    let script = "mount -t tmpfs tmpfs /sys/fs/bpf && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(scenario.rewrite.binary());
    command.args(["--netns", host.name()]);
    let daemon = Daemon::start_command(&scenario, &mut command, NOTHING_MORE)?;
    daemon.wait_for("STATUS=not attached, waiting: there is no BPF file system on /sys/fs/bpf")?;
    let mounts = format!("--mount=/proc/{}/ns/mnt", daemon.process().id());
    testkit::process::run(Command::new("nsenter").args([&mounts, "umount", "/sys/fs/bpf"]))?;
    let notices = daemon.wait_for("READY=1")?;
    ensure!(!notices.concat().contains("STOPPING"), "{notices:?}");
    scenario.require_traffic()?;
    daemon.require_attaches(1)
}
