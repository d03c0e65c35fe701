//! Formats the output of `rewrite stats` as text.

use std::fmt::Write as _;

use indicatif::BinaryBytes;
use tunnel_user::commands::stats::{Interface, Stats};

use super::text::{NOTHING_ATTACHED, ago, counted};

/// The least width of the column with the names.
const NAMES: usize = 14;

/// Formats the counters. Leaves out reasons that never occurred.
pub fn text(stats: &Stats) -> String {
    let mut text = String::new();
    if stats.interfaces.is_empty() {
        text.push_str(NOTHING_ATTACHED);
    }
    for interface in &stats.interfaces {
        peers(&mut text, interface);
        for reason in interface.not_rewritten.iter().filter(|r| r.counter.packets > 0) {
            let _ = writeln!(
                text,
                "  not rewritten: {} {}, {}, {} ({}): {}",
                reason.direction,
                counted(reason.counter.packets, "packet"),
                BinaryBytes(reason.counter.bytes),
                reason.reason,
                reason.verdict,
                reason.description,
            );
        }
    }
    text
}

/// A line for each peer, 80 columns wide unless its name is long.
fn peers(text: &mut String, interface: &Interface) {
    let names = interface.peers.iter().map(|peer| peer.name.len()).max().unwrap_or(0).max(NAMES);
    let _ = writeln!(
        text,
        "{:<width$} {:>11} {:>11} {:>12} {:>11}  heard",
        interface.interface,
        "egress pkts",
        "bytes",
        "ingress pkts",
        "bytes",
        width = names + 2,
    );
    for peer in &interface.peers {
        let heard = match &peer.traffic.last_heard {
            Some(last) => format!("{} ago", ago(last.seconds_ago)),
            None if peer.traffic.is_time_unknown => "unknown".into(),
            None => "never".into(),
        };
        let _ = writeln!(
            text,
            "  {:<names$} {:>11} {:>11} {:>12} {:>11}  {heard}",
            peer.name,
            peer.egress.packets,
            BinaryBytes(peer.egress.bytes).to_string(),
            peer.ingress.packets,
            BinaryBytes(peer.ingress.bytes).to_string(),
        );
        if peer.traffic.router_errors > 0 {
            let errors = counted(peer.traffic.router_errors, "ICMP error");
            let _ = writeln!(text, "    {errors} of routers about packets to it");
        }
    }
}
