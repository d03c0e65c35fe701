//! Formats the running peers, and the reports of changes to the peers.

use std::fmt::Write as _;

use serde::Serialize;
use tunnel_user::commands::{peer, peer_report, status, switch};
use tunnel_user::dataplane::instance::Follower;
use tunnel_user::error::Error;
use tunnel_user::host::clock::monotonic;
use tunnel_user::model::Drain;
use tunnel_user::ops::save_peer::Saved;
use tunnel_user::plan::running_peers::RunningPeer;
use tunnel_user::plan::way_back::{Move, WayBack};

use super::diff::{self, Change};
use super::style::change;
use super::text::{NOTHING_ATTACHED, for_now, joined, named, noun, routes, texts};
use super::{as_json, trial};

/// The running peers as text.
pub fn text(interfaces: &[(String, Vec<RunningPeer>)], now: u32) -> String {
    let mut text = String::new();
    if interfaces.is_empty() {
        text.push_str(NOTHING_ATTACHED);
    }
    for (interface, peers) in interfaces {
        let _ = writeln!(text, "{interface}: {} {}", peers.len(), noun(peers.len()));
        for running in peers {
            let _ = writeln!(text, "  {}", named(&running.peer));
            for former in &running.former_addresses {
                if let Some(left) = former.left(now) {
                    let _ = writeln!(text, "    accepted from {}{}", former.public, for_now(left));
                }
            }
            for awaited in &running.awaited {
                let _ = writeln!(text, "    waits: {awaited}");
            }
        }
    }
    text
}

/// The running peers as JSON.
pub fn json(interfaces: &[(String, Vec<RunningPeer>)]) -> Result<String, Error> {
    #[derive(Serialize)]
    struct Interface<'a> {
        interface: &'a str,
        peers: Vec<peer_report::Peer>,
    }
    #[derive(Serialize)]
    struct Interfaces<'a> {
        interfaces: Vec<Interface<'a>>,
    }
    let now = monotonic()?;
    let interfaces = interfaces
        .iter()
        .map(|(interface, peers)| Interface {
            interface,
            peers: peers.iter().map(|peer| peer_report::Peer::of(peer, now)).collect(),
        })
        .collect();
    as_json(&Interfaces { interfaces })
}

/// The report of a change to a peer, with the command that undoes the change.
pub fn changed(report: &peer::Report, wanted_trial: bool) -> Result<String, Error> {
    let peer::Report { interface, before, after, .. } = report;
    let mut text = String::new();
    let back = match (before, after) {
        (None, Some(after)) => {
            let _ = writeln!(text, "{interface}: added {}", named(after));
            format!("rewrite peer remove {}", after.name)
        }
        (Some(before), None) => {
            let _ = writeln!(text, "{interface}: removed {}", named(before));
            let direct = if before.direct { " --direct" } else { "" };
            let bypass = match joined(&before.bypass) {
                rules if rules.is_empty() => rules,
                rules => format!(" --bypass {rules}"),
            };
            format!(
                "rewrite peer add {} --private {} --public {}{direct}{bypass}",
                before.name,
                joined(before.private()),
                joined(before.public())
            )
        }
        (Some(before), Some(after)) => {
            let _ = writeln!(text, "{interface}: was {}", named(before));
            let _ = writeln!(text, "{:width$}  is  {}", "", named(after), width = interface.len());
            let bypass = match joined(&before.bypass) {
                _ if before.bypass == after.bypass => String::new(),
                rules if rules.is_empty() => " --no-bypass".into(),
                rules => format!(" --bypass {rules}"),
            };
            format!(
                "rewrite peer set {} --public {} --direct {}{bypass}",
                before.name,
                joined(before.public()),
                before.direct
            )
        }
        (None, None) => return Ok(text),
    };
    if let (Some(before), Some(after)) = (before, after) {
        let was = before.public().filter(|public| !after.public().any(|now| now == *public));
        let was: Vec<_> = was.collect();
        for awaited in &report.awaited {
            let _ = writeln!(text, "  waits: {awaited}");
        }
        let until = match report.awaited.is_empty() {
            true => "",
            false => "until then and ",
        };
        if !was.is_empty() && report.drain != Drain::NONE {
            let _ = writeln!(
                text,
                "  accepted from {} as well, {until}for {}, for packets that are still in flight",
                joined(was),
                report.drain
            );
        }
    }
    routes(&mut text, &report.routes);
    match &report.trial {
        Some(trial) => trial::on_trial(&mut text, trial)?,
        None if before == after => {
            let no_trial = if wanted_trial { ", and so no trial" } else { "" };
            let _ = writeln!(text, "  no change{no_trial}");
        }
        None => {
            let and_save = if report.saved.is_some() { " --save" } else { "" };
            let _ = writeln!(text, "  back: {back}{and_save}");
        }
    }
    match &report.saved {
        Some(saved) => save(&mut text, saved),
        None => text.push_str(&unsaved(report.follower.as_ref(), report.trial.is_some())),
    }
    Ok(text)
}

/// Adds the change of the file, line by line.
fn save(text: &mut String, Saved { file, edit, .. }: &Saved) {
    let file = file.display();
    if edit.is_empty() {
        let _ = writeln!(text, "  {file} has this already, and is unchanged");
        return;
    }
    let _ = writeln!(text, "  saved in {file}; every host of the cluster needs the same file");
    for (sign, lines) in [('-', &edit.removed), ('+', &edit.added)] {
        for line in lines.iter().filter(|line| !line.trim().is_empty()) {
            let _ = writeln!(text, "    {}", change(sign, line));
        }
    }
}

/// The end of a change that is not in the file. A change on trial can't be saved, and the daemon waits for its end.
fn unsaved(follower: Option<&Follower>, is_on_trial: bool) -> String {
    let Some(Follower { process, file }) = follower else {
        let save = if is_on_trial { "" } else { "; --save changes both" };
        return format!("  the file is unchanged: the next attach follows the file{save}\n");
    };
    let process = process.map_or_else(String::new, |id| format!(" (process {id})"));
    let file = file.as_ref().map_or_else(|| "its file".into(), |file| file.display().to_string());
    if is_on_trial {
        return format!(
            "  the daemon{process} will undo this change after the trial, because it follows {file}\n"
        );
    }
    format!(
        "  the daemon{process} will undo this change, because it follows {file}\n  \
         with --save, the command changes that file as well\n"
    )
}

/// The value that `peer add`, `set` and `remove` print with --json (docs/json.md).
pub fn changed_json(report: &peer::Report) -> Result<impl Serialize + use<>, Error> {
    #[derive(Serialize)]
    struct File {
        file: String,
        removed: Vec<String>,
        added: Vec<String>,
    }
    #[derive(Serialize)]
    struct Daemon {
        process_id: Option<u32>,
        config: Option<String>,
    }
    #[derive(Serialize)]
    struct Changed {
        interface: String,
        before: Option<diff::Peer>,
        after: Option<diff::Peer>,
        awaited: Vec<peer_report::AwaitedPair>,
        routes: Change<String>,
        saved: Option<File>,
        daemon: Option<Daemon>,
        trial: Option<status::Trial>,
    }
    Ok(Changed {
        interface: report.interface.clone(),
        before: report.before.as_ref().map(Into::into),
        after: report.after.as_ref().map(Into::into),
        awaited: report.awaited.iter().map(Into::into).collect(),
        routes: (&report.routes).into(),
        saved: report.saved.as_ref().map(|saved| File {
            file: saved.file.display().to_string(),
            removed: saved.edit.removed.clone(),
            added: saved.edit.added.clone(),
        }),
        daemon: report.follower.as_ref().map(|follower| Daemon {
            process_id: follower.process,
            config: follower.file.as_ref().map(|file| file.display().to_string()),
        }),
        trial: report.trial.as_ref().map(status::Trial::of).transpose()?,
    })
}

/// The value that `peer set --network --json` prints (docs/json.md).
pub fn switched_json(report: &switch::Report) -> Result<impl Serialize + use<>, Error> {
    #[derive(Serialize)]
    struct Switched {
        interface: String,
        network: String,
        before: Option<String>,
        peers: Vec<diff::Peer>,
        routes: Vec<String>,
        trial: Option<status::Trial>,
    }
    Ok(Switched {
        interface: report.interface.clone(),
        network: report.network.to_string(),
        before: report.before.clone(),
        peers: report.peers.iter().map(Into::into).collect(),
        routes: texts(&report.routes),
        trial: report.trial.as_ref().map(status::Trial::of).transpose()?,
    })
}

/// The peers, the network that carries their traffic now, and the trial or the command that undoes the switch.
pub fn switched(report: &switch::Report, wanted_trial: bool) -> Result<String, Error> {
    let switch::Report { interface, network, peers, .. } = report;
    let mut text = String::new();
    for peer in peers {
        let _ = writeln!(text, "{interface}: through the network {network}: {}", named(peer));
    }
    for route in &report.routes {
        let _ = writeln!(text, "  route {route}");
    }
    if let Some(trial) = &report.trial {
        trial::on_trial(&mut text, trial)?;
    } else if report.routes.is_empty() {
        let no_trial = if wanted_trial { ", and so no trial" } else { "" };
        let _ = writeln!(text, "  no route has changed{no_trial}");
    } else {
        way_back(&mut text, &report.back);
    }
    let _ = writeln!(
        text,
        "  after a detach or a restart of the host, the first network of the file applies"
    );
    Ok(text)
}

/// The commands that take back a switch, and nothing else.
fn way_back(text: &mut String, WayBack { moves, stranded }: &WayBack) {
    for Move { peer, network } in moves {
        let selection = peer.as_ref().map_or_else(|| "--all".into(), ToString::to_string);
        let _ = writeln!(text, "  back: rewrite peer set {selection} --network {network}");
    }
    if !stranded.is_empty() {
        let _ = writeln!(
            text,
            "  no command takes back {}: the addresses had no route, or different networks",
            joined(stranded)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_on_trial_has_no_hint_to_save_it() {
        let daemon = Follower { process: Some(7), file: Some("/etc/a.toml".into()) };
        for follower in [None, Some(&daemon)] {
            assert!(unsaved(follower, false).contains("--save"));
            assert!(!unsaved(follower, true).contains("--save"));
        }
        assert_eq!(
            unsaved(Some(&daemon), true),
            "  the daemon (process 7) will undo this change after the trial, because it follows \
             /etc/a.toml\n"
        );
    }
}
