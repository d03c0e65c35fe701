//! Formats the output of `rewrite downgrade`, as text and as JSON.

use std::fmt::Write as _;

use serde::Serialize;
use tunnel_user::commands::downgrade::Report;

use super::text::counted;

/// The state after the command, and the command that undoes the downgrade.
pub fn text(report: &Report) -> String {
    let Report { interface, abi_version, .. } = report;
    let mut text = String::new();
    if report.was_so {
        let _ = writeln!(text, "{interface}: already on ABI {abi_version}");
        return text;
    }
    let _ = writeln!(
        text,
        "{interface}: on the programs and maps of the previous version, ABI {abi_version}"
    );
    if report.handles_tags {
        let _ = writeln!(text, "  the previous version also handles frames with VLAN tags");
    }
    if report.unguarded {
        let _ =
            writeln!(text, "  packets from non-members to the private address itself pass again");
    }
    for (reason, packets) in &report.dropped_counts {
        let _ = writeln!(
            text,
            "  counter dropped: {} ({})",
            reason.name(),
            counted(*packets, "packet")
        );
    }
    let _ = writeln!(text, "  now install the previous version; back: rewrite attach {interface}");
    text
}

/// The value that `downgrade --json` prints (docs/json.md).
pub fn json(report: &Report) -> impl Serialize + use<> {
    #[derive(Serialize)]
    struct Count {
        reason: &'static str,
        packets: u64,
    }
    #[derive(Serialize)]
    struct Downgrade {
        interface: String,
        abi_version: u32,
        changed: bool,
        handles_tags: bool,
        unguarded: bool,
        dropped_counts: Vec<Count>,
    }
    let dropped = report.dropped_counts.iter();
    Downgrade {
        interface: report.interface.clone(),
        abi_version: report.abi_version,
        changed: !report.was_so,
        handles_tags: report.handles_tags,
        unguarded: report.unguarded,
        dropped_counts: dropped
            .map(|(reason, packets)| Count { reason: reason.name(), packets: *packets })
            .collect(),
    }
}
