//! Tests a file with more members than the maps have room for: larger maps take over all entries while connections are
//! open and numbered datagrams flow.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::lab::{A_PRIVATE, B_PRIVATE, IPV4};
use testkit::netns::Namespace;
use testkit::numbered_stream::Streams;

use crate::bpffs::{bpftool, require_in_filter};
use crate::conversation::Conversation;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};

/// The number of additional members: more than the maps have room for after the first attach.
const MANY: usize = 3_000;

/// The file `cluster` with `MANY` additional members.
fn many(cluster: &str) -> String {
    let mut text = cluster.to_owned();
    for number in 0..MANY {
        let (high, low) = (number / 250, number % 250);
        let _ = write!(
            text,
            "\n[[member]]\nname = \"m{number}\"\nprivate = \"10.7.{high}.{low}\"\npublic = \
             \"172.20.{high}.{low}\"\n"
        );
    }
    text
}

fn room(scenario: &Scenario, host: &Namespace, map: &str) -> Result<u64> {
    let pin = scenario.pin(host, map)?.display().to_string();
    let shown: Value = serde_json::from_str(&bpftool(&["-j", "map", "show", "pinned", &pin])?)?;
    shown["max_entries"].as_u64().context("no size")
}

fn counted(scenario: &Scenario, host: &Namespace) -> Result<u64> {
    let stats = scenario.json(host, &["stats", "--json"])?;
    let peers = stats["interfaces"][0]["peers"].as_array().context("no peers")?;
    let srvb = peers.iter().find(|peer| peer["name"] == "srvb").context("no srvb")?;
    srvb["egress"]["packets"].as_u64().context("no counter")
}

fn grow(more: &[&str]) -> Result<()> {
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.file("many.toml", many(&scenario.lab.cluster_toml()))?;
    scenario.attach_both(more)?;
    // The programs have inserted this flow between public addresses. Without the flow's entry, they would rewrite its
    // packets.
    let public = Conversation::start_at_any(a, b, IPV4.a_public, IPV4.b_public)?;
    let private = Conversation::start(a, b, A_PRIVATE.into(), B_PRIVATE.into())?;
    let streams = Streams::start(&scenario.lab)?;
    public.require_progress()?;
    let (before, at_first) = (room(&scenario, a, "peers_v4")?, counted(&scenario, a)?);
    let said = scenario.attach_by(a, "many.toml", NOTHING_MORE)?;
    ensure!(said.contains(&format!("{} peers", MANY + 1)), "{said}");
    let after = room(&scenario, a, "peers_v4")?;
    ensure!(after > before && after >= 3 * MANY as u64, "{before} entries, then {after}");
    ensure!(counted(&scenario, a)? > at_first, "the counters began anew");
    let of_b = [B_PRIVATE.into(), IPV4.b_public];
    require_in_filter(&scenario.pin(a, "peer_filter")?, &of_b)?;
    public.require_progress()?;
    private.require_progress()?;
    scenario.require_healthy(a)?;
    // The next file has few members again, and the maps may stay large.
    scenario.attach(a, NOTHING_MORE)?;
    public.require_unharmed()?;
    private.require_unharmed()?;
    let sent = u64::from(streams.sent());
    streams.require_none_lost()?;
    // The counter may miss packets that arrive during the replacement of the maps.
    let counted = counted(&scenario, a)?;
    ensure!(counted + 100 > sent, "{counted} packets are counted, and {sent} datagrams were sent");
    scenario.require_healthy(a)
}

#[test]
fn maps_grow_under_open_connections() -> Result<()> {
    grow(NOTHING_MORE)
}

#[test]
fn maps_grow_under_open_connections_with_clsact() -> Result<()> {
    grow(CLSACT)
}

#[test]
fn maps_grow_under_open_connections_with_xdp() -> Result<()> {
    grow(XDP)
}
