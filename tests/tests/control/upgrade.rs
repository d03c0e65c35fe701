//! Tests the upgrade from the previous version to this version and the downgrade, under traffic.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::lab::{A_PUBLIC, B_PRIVATE, PUBLIC_INTERFACE};
use testkit::numbered_stream::Streams;

use crate::host_state::HostState;
use crate::previous::{Counts, Previous};
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};
use crate::tcp_session::Session;

/// The number of datagrams between two steps: half a second's worth.
const DATAGRAMS: u32 = 5_000;

fn wait_for_more(streams: &Streams) {
    let start = streams.sent();
    while streams.sent() < start + DATAGRAMS {
        thread::sleep(Duration::from_millis(10));
    }
}

/// The previous version attaches, this version takes over, and `downgrade` restores the previous version's programs.
fn there_and_back(hook: &[&str]) -> Result<()> {
    let previous = Previous::locate()?;
    let scenario = Scenario::new()?;
    let lab = &scenario.lab;
    let before = [HostState::of(&lab.a)?, HostState::of(&lab.b)?];
    previous.attach_both(&scenario, hook)?;

    // One session uses private addresses. B's programs insert the flow of the second session, to A's public address.
    let private = Session::between(&lab.a, &lab.b, B_PRIVATE)?;
    let public = Session::between(&lab.b, &lab.a, A_PUBLIC)?;
    private.wait_for_more()?;
    public.wait_for_more()?;
    let streams = Streams::start(lab)?;
    wait_for_more(&streams);

    let mut counts = Vec::new();
    for host in [&lab.a, &lab.b] {
        let earlier = previous.counts(host)?;
        let ended = scenario.try_attach(host, NOTHING_MORE)?;
        let words = ["eth0: took over the programs of rewrite 0.1.0, ABI 2 -> 3"];
        ended.require(0, &words)?;
        ensure!(ended.stderr.lines().count() == 1, "{ended:?}");
        let later = Counts::of_new(&scenario, host)?;
        later.require_no_less_than(&earlier)?;
        counts.push(later);
        scenario.require_healthy(host)?;
        wait_for_more(&streams);
    }
    ensure!(counts[1].get("public-flow \"ingress\"") > 0, "no public flow on B: {counts:?}");
    private.wait_for_more()?;
    public.wait_for_more()?;

    for host in [&lab.a, &lab.b] {
        let earlier = Counts::of_new(&scenario, host)?;
        let said = scenario.rewrite.run(host, &["downgrade", PUBLIC_INTERFACE])?;
        ensure!(said.contains("ABI 2"), "{said}");
        previous.counts(host)?.require_no_less_than(&earlier)?;
        previous.require_healthy(host)?;
        wait_for_more(&streams);
    }
    private.wait_for_more()?;
    public.wait_for_more()?;
    previous.attach_both(&scenario, NOTHING_MORE)?;
    wait_for_more(&streams);

    private.end()?;
    public.end()?;
    let sent = streams.sent();
    streams.require_none_lost()?;
    println!("{sent} datagrams each way, none lost");
    for (host, before) in [&lab.a, &lab.b].into_iter().zip(&before) {
        previous.detach(host)?;
        before.assert_unchanged(host, "after detach by the version before");
    }
    Ok(())
}

#[test]
fn an_upgrade_and_the_way_back_lose_nothing() -> Result<()> {
    there_and_back(NOTHING_MORE)
}

#[test]
fn an_upgrade_and_the_way_back_by_clsact_lose_nothing() -> Result<()> {
    there_and_back(CLSACT)
}

#[test]
fn an_upgrade_and_the_way_back_with_xdp_lose_nothing() -> Result<()> {
    there_and_back(XDP)
}

/// Upgrades and downgrades in quick succession.
#[test]
fn many_upgrades_and_downgrades_lose_nothing() -> Result<()> {
    let previous = Previous::locate()?;
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    previous.attach_both(&scenario, NOTHING_MORE)?;
    let streams = Streams::start(&scenario.lab)?;
    for _ in 0..10 {
        scenario.attach(host, NOTHING_MORE)?;
        let counts = Counts::of_new(&scenario, host)?;
        scenario.rewrite.run(host, &["downgrade", PUBLIC_INTERFACE])?;
        previous.counts(host)?.require_no_less_than(&counts)?;
    }
    streams.require_none_lost()
}

/// B's programs have inserted the flow, and the client on B sends no data that would renew the flow's entry.
#[test]
fn a_silent_connection_by_public_addresses_lives_on() -> Result<()> {
    let previous = Previous::locate()?;
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    previous.attach_both(&scenario, NOTHING_MORE)?;
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 2022);
    let listener = a.enter(|| TcpListener::bind(any))??;
    let to = SocketAddrV4::new(A_PUBLIC, 2022);
    let mut client = b.enter(|| TcpStream::connect(to))??;
    client.set_read_timeout(Some(Duration::from_secs(2)))?;
    let (mut server, _) = listener.accept()?;
    let mut speak = |when: &str| -> Result<()> {
        server.write_all(b"hello")?;
        client.read_exact(&mut [0; 5]).with_context(|| format!("{when}: nothing came"))
    };
    speak("before")?;
    scenario.attach(b, NOTHING_MORE)?;
    speak("after the upgrade")?;
    scenario.rewrite.run(b, &["downgrade", PUBLIC_INTERFACE])?;
    speak("after the way back")
}
