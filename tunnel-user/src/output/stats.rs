//! Formats the output of `rewrite stats` as text.

use std::fmt::Write as _;

use tunnel_user::commands::stats;

use super::text::NOTHING_ATTACHED;

/// Formats the counters. Leaves out reasons that never occurred.
pub fn text(stats: &stats::Stats) -> String {
    let mut text = String::new();
    if stats.interfaces.is_empty() {
        text.push_str(NOTHING_ATTACHED);
    }
    for interface in &stats.interfaces {
        let _ = writeln!(
            text,
            "{:<24} {:>12} {:>16} {:>12} {:>16}",
            interface.interface, "egress pkts", "bytes", "ingress pkts", "bytes"
        );
        for peer in &interface.peers {
            let _ = writeln!(
                text,
                "  {:<22} {:>12} {:>16} {:>12} {:>16}",
                peer.name,
                peer.egress.packets,
                peer.egress.bytes,
                peer.ingress.packets,
                peer.ingress.bytes
            );
        }
        for reason in interface.not_rewritten.iter().filter(|r| r.counter.packets > 0) {
            let _ = writeln!(
                text,
                "  not rewritten: {} {} packets, {} bytes, {} ({}): {}",
                reason.direction,
                reason.counter.packets,
                reason.counter.bytes,
                reason.reason,
                reason.verdict,
                reason.description,
            );
        }
    }
    text
}
