//! Pings a thousand peers at once. One gateway and the host behind it stand for all of them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use testkit::netns::Namespace;

use crate::scenario::{NOTHING_MORE, Scenario, wait_until_up};

const PEERS: u32 = 1000;

/// The host part of a peer's addresses, as the last two bytes of an IPv4 address.
fn host_part(peer: u32) -> String {
    format!("{}.{}", peer / 250, 1 + peer % 250)
}

fn file() -> String {
    let mut text = String::from(
        "[[member]]\nname = \"srva\"\nprivate = \"10.0.0.1\"\npublic = \"198.51.100.2\"\n",
    );
    for peer in 0..PEERS {
        let host = host_part(peer);
        let _ = write!(
            text,
            "[[member]]\nname = \"m{peer}\"\nprivate = \"10.7.{host}\"\npublic = \"172.20.{host}\"\n"
        );
    }
    text
}

fn run(host: &Namespace, words: &str) -> Result<()> {
    host.run(&words.split(' ').collect::<Vec<_>>()).map(drop)
}

/// Adds an address for each peer, in the network that begins with these two bytes.
fn add_addresses(scenario: &Scenario, host: &Namespace, network: &str, link: &str) -> Result<()> {
    let addresses = (0..PEERS).fold(String::new(), |mut batch, peer| {
        let _ = writeln!(batch, "address add {network}.{}/32 dev {link}", host_part(peer));
        batch
    });
    let name = format!("{link}.batch");
    scenario.file(&name, addresses)?;
    host.run(&["ip", "-batch", &scenario.path(&name)]).map(drop)
}

#[test]
fn a_thousand_peers_answer_one_ping() -> Result<()> {
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.file("cluster.toml", file())?;
    let name = b.name().trim_end_matches('b').to_owned() + "c";
    let inside = Namespace::create(&name)?;
    run(b, &format!("ip link add inside type veth peer name eth0 netns {name}"))?;
    run(b, "ip link set inside addrgenmode none up")?;
    run(b, "ip address add 192.168.7.1/24 dev inside")?;
    run(&inside, "ip link set eth0 addrgenmode none up")?;
    run(&inside, "ip address add 192.168.7.2/24 dev eth0")?;
    run(&inside, "ip route add default via 192.168.7.1")?;
    wait_until_up(b, "inside")?;
    add_addresses(&scenario, &inside, "10.7", "lo")?;
    add_addresses(&scenario, b, "172.20", "eth0")?;
    run(b, "ip route add 10.7.0.0/16 via 192.168.7.2 dev inside")?;
    run(&scenario.lab.router, "ip route add 172.20.0.0/16 via 203.0.113.2")?;
    b.sysctl("net.ipv4.ip_forward", "1")?;
    b.sysctl("net.ipv4.conf.inside.rp_filter", "0")?;

    let names: Vec<_> = (0..PEERS).map(|peer| format!("m{peer}")).collect();
    let selves: Vec<_> = names.iter().flat_map(|name| ["--self", name]).collect();
    scenario.attach(b, &selves)?;
    scenario.attach(a, NOTHING_MORE)?;

    let mut shortest = Duration::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        let report = scenario.json(a, &["ping", "--json"])?;
        shortest = shortest.min(start.elapsed());
        let peers = report["peers"].as_array().context("no peers")?;
        ensure!(peers.len() == PEERS as usize, "{} peers", peers.len());
        let wrong = peers.iter().find(|peer| peer["state"] != "ok");
        ensure!(wrong.is_none(), "{wrong:?}");
    }
    println!("{PEERS} peers answered within {:.2} s", shortest.as_secs_f64());
    Ok(())
}
