//! Formats the report of an attach.

use std::fmt::Write as _;

use serde::Serialize;
use tunnel_user::commands::attach::Outcome;
use tunnel_user::commands::peer_report::AwaitedPair;
use tunnel_user::commands::status;
use tunnel_user::error::Error;
use tunnel_user::ops::attach::report::Report;
use tunnel_user::ops::previous_state::{NotSaved, Saved};
use tunnel_user::plan::attach_point::Ingress;
use tunnel_user::plan::vlan::Vlan;

use super::diff::Change;
use super::text::{counted, noun, routes, sysctl, texts, with_length};
use super::{diff, trial};

/// The maximum number of peers that the report names one by one.
const NAMED_MAX: usize = 8;

/// The maximum number of changes that the report lists.
const CHANGES_MAX: usize = 25;

/// The present state.
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
            entries => writeln!(text, "  {} of the peer map changed", counted(entries, "entry")),
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
        let _ = writeln!(text, "  waits for {}: rewrite peer list", counted(more, "more peer"));
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
    text
}

/// The outcome of the command: the changes, the report, and the command that undoes the attach.
pub fn outcome(outcome: &Outcome) -> Result<String, Error> {
    let Outcome { report, difference, trial, previous } = outcome;
    let mut text = text(report);
    match difference {
        Some(difference) if difference.changes.is_empty() => {
            text = text.replacen("  no peer changed\n", "  no change\n", 1);
        }
        Some(difference) => {
            let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
            text = format!("{first}\n{}{rest}", diff::lines(difference, CHANGES_MAX));
        }
        None => {}
    }
    match trial {
        Some(trial) => trial::on_trial(&mut text, trial)?,
        None => {
            let is_same = difference.as_ref().is_some_and(|d| d.changes.is_empty());
            text.push_str(&back(report, previous.as_ref(), is_same));
        }
    }
    Ok(text)
}

/// The commands that undo the change, and the attach.
pub fn back(report: &Report, previous: Option<&Result<Saved, NotSaved>>, is_same: bool) -> String {
    let interface = &report.interface;
    if !report.was_attached {
        return format!("  back: rewrite detach {interface}\n");
    }
    let ends = format!("rewrite detach {interface} ends the attach");
    match previous {
        _ if is_same => format!("  {ends}\n"),
        None => format!("  back: rewrite attach {interface} with the former file; {ends}\n"),
        Some(Err(why)) => format!(
            "  back: rewrite attach {interface} with the former file\n  \
             the previous state is not saved: {why}; {ends}\n"
        ),
        Some(Ok(saved)) => {
            let Saved { path, options, is_gateway } = saved;
            let mut command = format!("rewrite attach {interface} --config {}", path.display());
            for name in options.self_names.iter().filter(|_| *is_gateway) {
                let _ = write!(command, " --self {name}");
            }
            if options.no_routes {
                command.push_str(" --no-routes");
            }
            if let Some((kind, id)) = options.vlan {
                let vlan = Vlan::from_codes(kind, id);
                if vlan != Vlan::None {
                    let _ = write!(command, " --vlan {vlan}");
                }
            }
            if options.verbose {
                command.push_str(" --verbose");
            }
            format!("  back: {command}\n  {ends}\n")
        }
    }
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

/// The value that `attach --json` prints (docs/json.md): the report, with the changes and the trial.
pub fn outcome_json(
    outcome: &Outcome,
    note: Option<&str>,
) -> Result<impl Serialize + use<>, Error> {
    #[derive(Serialize)]
    struct Attached<R, D> {
        #[serde(flatten)]
        report: R,
        difference: Option<D>,
        trial: Option<status::Trial>,
    }
    Ok(Attached {
        report: json(&outcome.report, note),
        difference: outcome.difference.as_ref().map(diff::json),
        trial: outcome.trial.as_ref().map(status::Trial::of).transpose()?,
    })
}
