//! Formats the report of an attach.

use std::fmt::Write as _;

use serde::Serialize;
use tunnel_user::commands::peer_report::AwaitedPair;
use tunnel_user::ops::attach::report::Report;
use tunnel_user::plan::attach_point::Ingress;

use super::diff::Change;
use super::text::{noun, routes, sysctl, texts, with_length};

/// The maximum number of peers that the report names one by one.
const NAMED_MAX: usize = 8;

/// The changes, the present state, and the command that undoes the attach.
pub fn text(report: &Report) -> String {
    let Report { interface, identity, peers, place, .. } = report;
    let mut text = String::new();
    let done = if report.was_attached { "updated" } else { "attached" };
    let who: Vec<_> = identity.members().iter().map(ToString::to_string).collect();
    let ingress = match place.ingress {
        Ingress::Tc => String::new(),
        xdp => format!(", ingress by {}", xdp.name()),
    };
    let _ = writeln!(
        text,
        "{interface}: {done}; this host is {} ({}{ingress}, {peers} {})",
        who.join("; "),
        place.hook.name(),
        noun(*peers),
    );
    for left_out in &report.left_out {
        let _ = writeln!(text, "  note: {left_out}");
    }
    if report.was_attached {
        let _ = match report.changed_entries {
            0 => writeln!(text, "  no peer changed"),
            1 => writeln!(text, "  1 entry of the peer map changed"),
            entries => writeln!(text, "  {entries} entries of the peer map changed"),
        };
    }
    for former in &report.previous_underlays {
        let _ = writeln!(
            text,
            "  moved: still accepts packets to {former}, and sends from there to peers that do \
             not use the new address yet"
        );
    }
    for (name, awaited) in report.awaited.iter().take(NAMED_MAX) {
        for awaited in awaited {
            let _ = writeln!(text, "  waits for {name}: {awaited}");
        }
    }
    if let Some(more @ 1..) = report.awaited.len().checked_sub(NAMED_MAX) {
        let _ = writeln!(text, "  waits for {more} more peers: rewrite peer list");
    }
    for address in &report.loopback_addresses {
        let _ = writeln!(text, "  address {} on lo", with_length(*address));
    }
    for set in &report.sysctls {
        let _ = writeln!(text, "  sysctl {}", sysctl(interface, set));
    }
    routes(&mut text, &report.routes);
    if let Some(unit) = &report.unit_to_enable {
        let _ = writeln!(text, "  at boot: {unit} is not enabled: systemctl enable '{unit}'");
    }
    let _ = match report.was_attached {
        true => writeln!(
            text,
            "  back: rewrite attach {interface} with the former file; rewrite detach {interface} ends it"
        ),
        false => writeln!(text, "  back: rewrite detach {interface}"),
    };
    text
}

#[derive(Serialize)]
struct Awaiting {
    peer: String,
    pairs: Vec<AwaitedPair>,
}

#[derive(Serialize)]
struct Json {
    interface: String,
    updated: bool,
    hook: &'static str,
    ingress: &'static str,
    local_members: Vec<String>,
    peers: usize,
    changed_entries: usize,
    addresses: Vec<String>,
    sysctls: Vec<String>,
    routes: Change<String>,
    former_underlay: Vec<String>,
    awaited: Vec<Awaiting>,
    notes: Vec<String>,
    unit_to_enable: Option<String>,
}

/// The value that `attach --json` prints (docs/json.md). `note` is a further note for people.
pub fn json(report: &Report, note: Option<&str>) -> impl Serialize + use<> {
    let Report { interface, place, .. } = report;
    let awaiting = report.awaited.iter().map(|(peer, pairs)| Awaiting {
        peer: peer.to_string(),
        pairs: pairs.iter().map(AwaitedPair::from).collect(),
    });
    Json {
        interface: interface.clone(),
        updated: report.was_attached,
        hook: place.hook.name(),
        ingress: place.ingress.name(),
        local_members: texts(report.identity.names()),
        peers: report.peers,
        changed_entries: report.changed_entries,
        addresses: report.loopback_addresses.iter().map(|own| with_length(*own)).collect(),
        sysctls: report.sysctls.iter().map(|set| sysctl(interface, set)).collect(),
        routes: (&report.routes).into(),
        former_underlay: texts(&report.previous_underlays),
        awaited: awaiting.collect(),
        notes: texts(&report.left_out).into_iter().chain(note.map(str::to_owned)).collect(),
        unit_to_enable: report.unit_to_enable.clone(),
    }
}
