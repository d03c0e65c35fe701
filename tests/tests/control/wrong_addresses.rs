//! Tests that the commands find an address that two hosts have, and a wrong underlay address behind a 1:1 NAT: `attach`
//! succeeds with both.

use anyhow::{Result, ensure};
use testkit::lab::{B_PRIVATE, B_PUBLIC, PUBLIC_INTERFACE, TRANSLATED, add_address, join};

use crate::process::Process;
use crate::scenario::{NOTHING_MORE, Scenario};

/// An address that srvb has as well.
const OTHER: &str = "172.31.0.6";

#[test]
fn an_address_that_two_hosts_have_is_found() -> Result<()> {
    let scenario = Scenario::new()?;
    let (a, router) = (&scenario.lab.a, &scenario.lab.router);
    scenario.attach_both(NOTHING_MORE)?;
    // The router sends packets for srvb's public address to another host that has it too.
    let other = scenario.lab.add_host("c")?;
    join(&other, PUBLIC_INTERFACE, router, "to-c")?;
    add_address(&other, PUBLIC_INTERFACE, B_PUBLIC.into())?;
    let public = format!("{B_PUBLIC}/32");
    router.run(&["ip", "route", "add", &public, "dev", "to-c"])?;
    other.run(&["ip", "route", "add", "default", "dev", PUBLIC_INTERFACE])?;
    router.sysctl("net.ipv4.conf.to-c.proxy_arp", "1")?;
    let words = format!("answers from {B_PUBLIC} without the stamp of rewrite");
    let help = format!("or {B_PUBLIC} is another host");
    for command in [&["ping"][..], &["status", "--probe"], &["doctor"]] {
        let ended = scenario.try_run(a, command)?;
        ended.require(1, &[])?;
        ensure!(ended.stdout.contains(&words) && ended.stdout.contains(&help), "{ended:?}");
    }
    Ok(())
}

#[test]
fn a_wrong_underlay_behind_a_one_to_one_nat_is_found() -> Result<()> {
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.lab.put_b_behind_nat(&[OTHER])?;
    let with = |underlay| format!("{}underlay = \"{underlay}\"\n", scenario.lab.cluster_toml());
    scenario.file("cluster.toml", with(OTHER))?;
    scenario.attach_both(NOTHING_MORE)?;

    // On srvb itself: its packets pass the NAT untranslated.
    let words = format!("attached without an entry for {OTHER}");
    let help = "behind a 1:1 NAT: with the underlay that it translates";
    for command in [&["ping"][..], &["status", "--probe"], &["doctor"]] {
        let ended = scenario.try_run(b, command)?;
        ended.require(1, &[])?;
        ensure!(ended.stdout.contains(&words) && ended.stdout.contains(help), "{ended:?}");
    }
    // On the other host: srvb's kernel answers, and its program leaves the packets alone.
    for command in [&["ping"][..], &["status", "--probe"], &["doctor"]] {
        let ended = scenario.try_run(a, command)?;
        ended.require(1, &[])?;
        for words in ["without the stamp of rewrite", "a wrong underlay (rewrite doctor there)"] {
            ensure!(ended.stdout.contains(words), "{words}: {ended:?}");
        }
    }
    // While packets come, srvb's doctor names the reason for which they are not rewritten.
    let mut ping = a.command("ping");
    let _ping = Process::start(ping.args(["-i", "0.1", &B_PRIVATE.to_string()]))?;
    let ended = scenario.try_run(b, &["doctor"])?;
    for words in ["not-rewritten", "foreign-destination", "help: on the peer"] {
        ensure!(ended.stdout.contains(words), "{words}: {ended:?}");
    }

    scenario.file("cluster.toml", with(TRANSLATED))?;
    scenario.attach_both(NOTHING_MORE)?;
    for host in [a, b] {
        let said = scenario.rewrite.run(host, &["ping"])?;
        ensure!(said.contains("  ok "), "{said}");
    }
    Ok(())
}
