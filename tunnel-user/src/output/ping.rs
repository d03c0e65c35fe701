//! Formats the output of `rewrite ping` as text.

use std::fmt::Write as _;

use tunnel_user::commands::ping::{Peer, Report};

use super::style::{FAULT, GOOD, paint};

/// Formats one line for each address. If the peer is not ok, a line with the remedy follows.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    let width = |of: fn(&Peer) -> usize| report.peers.iter().map(of).max().unwrap_or(0);
    let names = width(|peer| peer.name.len());
    let addresses = width(|peer| peer.private.len());
    for peer in &report.peers {
        let _ =
            write!(text, "{:<names$}  {:<addresses$}  {}", peer.name, peer.private, state(peer));
        if let Some([_, mean, _]) = peer.milliseconds {
            let _ = write!(text, "  {mean:.1} ms");
        }
        if peer.received > 0 && peer.received < peer.sent {
            let _ = write!(text, "  {} of {} lost", peer.sent - peer.received, peer.sent);
        }
        if let Some(stamp) = &peer.stamp
            && let Some(destination) = &stamp.destination
        {
            let _ = write!(text, "  {} > {destination}", stamp.source);
        }
        if let (Some(out), Some(back)) = (peer.mtu_out, peer.mtu_back) {
            let _ = write!(text, "  mtu {out}/{back}");
        }
        let _ = writeln!(text, "  {}", peer.what);
        if let Some(remedy) = &peer.remedy {
            let _ = writeln!(text, "  help: {remedy}");
        }
    }
    for network in &report.networks {
        let _ = writeln!(text, "{network}: a network; ping a host in it by its private address");
    }
    if report.peers.is_empty() && report.networks.is_empty() {
        text.push_str("there are no peers\n");
    }
    text
}

/// The column with the state, in capitals if the peer is not ok.
fn state(peer: &Peer) -> String {
    match peer.is_ok {
        true => paint(GOOD, format_args!("{:<13}", peer.state)),
        false => paint(FAULT, format_args!("{:<13}", peer.state.replace('-', " ").to_uppercase())),
    }
}
