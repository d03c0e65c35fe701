//! Formats the output of `rewrite explain` as text.

use std::fmt::Write as _;

use tunnel_user::commands::explain::Explanation;
use tunnel_user::commands::explain_all::Proof;

use super::text::counted;

/// The maximum number of failing pairs that the text lists.
const PAIRS_SHOWN: usize = 20;

/// Formats the explanation of one packet.
pub fn text(explanation: &Explanation) -> String {
    let Explanation { interface, direction, packet, what, .. } = explanation;
    let (outcome, verdict) = (explanation.outcome, explanation.verdict);
    let mut text = format!("{interface} {direction}: {outcome} ({verdict}): {what}\n");
    let flags = if packet.flags.is_empty() { "" } else { " " };
    let _ = write!(
        text,
        "  packet   {} {}{flags}{}, {} bytes",
        packet.protocol,
        packet.between(&packet.ends),
        packet.flags,
        packet.length
    );
    for vlan in &packet.vlans {
        let _ = write!(text, ", VLAN {vlan}");
    }
    text.push('\n');
    if let Some(assumed) = &packet.assumed {
        let _ = writeln!(text, "  assumed  {assumed}");
    }
    if let Some(route) = &explanation.route {
        let _ = writeln!(text, "  route    {}", route.what);
    }
    let _ = match &explanation.entry {
        Some(entry) => writeln!(
            text,
            "  entry    {}, the {} key of {}: {} at {}",
            entry.key, entry.role, entry.peer, entry.private, entry.public
        ),
        None => writeln!(text, "  entry    none"),
    };
    let place = if *direction == "egress" { "wire " } else { "stack" };
    let _ = match &explanation.after {
        Some(after) if *after == packet.ends => {
            writeln!(text, "  {place}    {}, unchanged", packet.between(after))
        }
        Some(after) => writeln!(text, "  {place}    {}", packet.between(after)),
        None => writeln!(text, "  {place}    nothing: the packet is dropped"),
    };
    if let Some(remedy) = &explanation.remedy {
        let _ = writeln!(text, "  help: {remedy}");
    }
    text
}

/// Formats the proof of a file.
pub fn proof(proof: &Proof) -> String {
    let mut text = String::new();
    let members = counted(proof.members, "member");
    if proof.failures.is_empty() {
        let pairs = counted(proof.pairs, "pair");
        let _ = writeln!(text, "all {pairs} of {members}: every packet arrives as it was sent");
        return text;
    }
    for failure in proof.failures.iter().take(PAIRS_SHOWN) {
        let network = failure.network.as_ref().map_or(String::new(), |name| format!(" on {name}"));
        let _ =
            writeln!(text, "FAILS  {} to {}{network}: {}", failure.from, failure.to, failure.what);
    }
    if let Some(more @ 1..) = proof.failures.len().checked_sub(PAIRS_SHOWN) {
        let _ = writeln!(text, "and {more} more; rewrite explain --all --json has them");
    }
    let _ = writeln!(
        text,
        "{} of {} of {members} fail",
        proof.failed_pairs,
        counted(proof.pairs, "pair")
    );
    text
}
