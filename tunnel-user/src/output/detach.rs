//! Formats the report of a detach.

use std::fmt::Write as _;

use serde::Serialize;
use tunnel_user::commands::detach::{Detached, Nothing};
use tunnel_user::ops::detach::Report;

use super::text::{sysctl, texts, with_length};

/// The answer when there are no remains of network namespaces that are gone.
pub const NOTHING_LEFT: &str = "there are no remains of network namespaces that are gone\n";

/// Lists the things that a detach removed from all interfaces.
pub fn all(detached: &Detached) -> String {
    let mut text: String = detached.reports.iter().map(one).collect();
    for address in &detached.left_addresses {
        let address = with_length(*address);
        let _ = writeln!(text, "removed: address {address} on lo, left by an earlier attach");
    }
    for folder in &detached.gone {
        let _ = writeln!(
            text,
            "removed: {}, left by a network namespace that is gone",
            folder.display()
        );
    }
    if let Some(Nothing { interface, hint }) = &detached.nothing {
        let _ = writeln!(text, "{interface}: nothing was attached\n  {hint}");
    }
    text
}

/// Lists the changes that a detach made on one interface.
pub fn one(report: &Report) -> String {
    let mut text = String::new();
    let interface = &report.interface;
    let what =
        if report.unfinished { "removed the remains of a killed attach" } else { "detached" };
    let _ = writeln!(text, "{interface}: {what}");
    if report.trial_discarded {
        let _ = writeln!(text, "  the trial has ended: no rollback will follow");
    }
    for name in &report.notified {
        let _ = writeln!(text, "  notified to send native packets: {name}");
    }
    for address in &report.addresses {
        let _ = writeln!(text, "  removed: address {} on lo", with_length(*address));
    }
    for set in &report.sysctls {
        let _ = writeln!(text, "  restored: sysctl {}", sysctl(interface, set));
    }
    for route in &report.routes {
        let _ = writeln!(text, "  removed: route {route}");
    }
    for (route, by) in &report.moved_routes {
        let _ = writeln!(text, "  moved to {by}: route {route}");
    }
    text
}

#[derive(Serialize)]
struct Moved {
    route: String,
    to: String,
}

#[derive(Serialize)]
struct Interface {
    interface: String,
    unfinished: bool,
    trial_ended: bool,
    notified: Vec<String>,
    addresses: Vec<String>,
    sysctls: Vec<String>,
    routes: Vec<String>,
    moved_routes: Vec<Moved>,
}

#[derive(Serialize)]
struct Json<I> {
    interfaces: Vec<I>,
    left_addresses: Vec<String>,
    gone: Vec<String>,
    failures: Vec<String>,
}

/// The entry of one interface in JSON.
pub fn interface_json(report: &Report) -> impl Serialize + use<> {
    Interface {
        interface: report.interface.clone(),
        unfinished: report.unfinished,
        trial_ended: report.trial_discarded,
        notified: texts(&report.notified),
        addresses: report.addresses.iter().map(|own| with_length(*own)).collect(),
        sysctls: report.sysctls.iter().map(|set| sysctl(&report.interface, set)).collect(),
        routes: texts(&report.routes),
        moved_routes: report
            .moved_routes
            .iter()
            .map(|(route, to)| Moved { route: route.to_string(), to: to.clone() })
            .collect(),
    }
}

/// The value that `detach --json` prints (docs/json.md).
pub fn json(detached: &Detached) -> impl Serialize + use<> {
    Json {
        interfaces: detached.reports.iter().map(interface_json).collect(),
        left_addresses: detached.left_addresses.iter().map(|own| with_length(*own)).collect(),
        gone: detached.gone.iter().map(|path| path.display().to_string()).collect(),
        failures: texts(&detached.failures),
    }
}
