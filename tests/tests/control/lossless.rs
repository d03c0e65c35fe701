//! Changes of the file or of a peer lose no packet.

use anyhow::{Result, ensure};
use testkit::numbered_stream::Streams;

use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};

/// The minimum number of datagrams in each direction: three seconds' worth.
const DATAGRAMS: u32 = 30_000;
const SRVC: &str = "[[member]]\nname = \"srvc\"\nprivate = \"10.0.0.3\"\npublic = \"192.0.2.3\"\n";
const SRVC_MOVED: &str =
    "[[member]]\nname = \"srvc\"\nprivate = \"10.0.0.3\"\npublic = \"192.0.2.33\"\n";
const SRVD: &str = "[[member]]\nname = \"srvd\"\nprivate = \"10.0.0.4\"\npublic = \"192.0.2.4\"\n";

const NET: &str =
    "[[member]]\nname = \"net\"\nprivate = \"10.7.0.0/24\"\npublic = \"192.0.7.0/24\"\n";

fn reattach_under_load(hook: &[&str]) -> Result<()> {
    let scenario = Scenario::new()?;
    let right = scenario.lab.cluster_toml();
    let files = [
        format!("{right}{SRVC}{SRVD}"),
        format!("{right}direct = true\n{SRVC}direct = true\n"),
        format!("{SRVD}{right}{SRVC_MOVED}"),
        right.replace("name    = \"srva\"", "direct = true\nname = \"srva\""),
        // Each of the next files needs different programs than the file before it.
        format!("bypass = [\"tcp/22\"]\n{right}{NET}"),
        format!("{right}{NET}{SRVC}"),
        right.clone(),
    ];
    for (number, text) in files.iter().enumerate() {
        scenario.file(&format!("{number}.toml"), text)?;
    }
    scenario.attach_both(hook)?;
    scenario.require_traffic()?;

    let streams = Streams::start(&scenario.lab)?;
    let mut rounds = 0;
    while streams.sent() < DATAGRAMS || rounds < 2 * files.len() {
        let file = format!("{}.toml", rounds % files.len());
        let more = if rounds % 2 == 0 { &["--verbose"][..] } else { NOTHING_MORE };
        for host in [&scenario.lab.a, &scenario.lab.b] {
            scenario.attach_by(host, &file, more)?;
        }
        rounds += 1;
    }
    streams.require_none_lost()?;
    for host in [&scenario.lab.a, &scenario.lab.b] {
        scenario.require_healthy(host)?;
    }
    Ok(())
}

#[test]
fn attaching_again_with_a_changed_file_loses_no_packet() -> Result<()> {
    reattach_under_load(NOTHING_MORE)
}

#[test]
fn attaching_again_with_a_changed_file_loses_no_packet_with_clsact() -> Result<()> {
    reattach_under_load(CLSACT)
}

#[test]
fn attaching_again_with_a_changed_file_loses_no_packet_with_xdp() -> Result<()> {
    reattach_under_load(XDP)
}

#[test]
fn adding_and_removing_another_peer_loses_no_packet() -> Result<()> {
    let scenario = Scenario::new()?;
    scenario.attach_both(NOTHING_MORE)?;
    let streams = Streams::start(&scenario.lab)?;
    while streams.sent() < DATAGRAMS {
        for words in [
            "peer add srvc --private 10.0.0.3 --public 192.0.2.3",
            "peer set srvc --public 192.0.2.33 --direct true",
            "peer remove srvc",
            "peer add net --private 10.7.0.0/24 --public 192.0.7.0/24 --bypass tcp/22",
            "peer set net --no-bypass",
            "peer remove net",
        ] {
            for host in [&scenario.lab.a, &scenario.lab.b] {
                let words: Vec<_> = words.split(' ').collect();
                scenario.rewrite.run(host, &words)?;
            }
        }
    }
    streams.require_none_lost()
}

#[test]
fn what_is_lost_without_rewrite_is_seen() -> Result<()> {
    let scenario = Scenario::new()?;
    scenario.attach_both(NOTHING_MORE)?;
    let streams = Streams::start(&scenario.lab)?;
    scenario.detach(&scenario.lab.b)?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let result = streams.require_none_lost();
    ensure!(result.is_err(), "a detach under load lost nothing");
    Ok(())
}
