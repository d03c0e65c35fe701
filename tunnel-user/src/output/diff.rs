//! Formats the output of `rewrite diff`, as text and as JSON.

use std::fmt::Write as _;

use serde::Serialize;
use tunnel_user::model::Private;
use tunnel_user::ops::difference::Difference;
use tunnel_user::plan::change::difference::SettingChange;
use tunnel_user::plan::peers::NamedPeer;
use tunnel_user::plan::route::RouteChanges;

use super::style::change;
use super::text::{counted, named, texts, with_length};

/// The text of [`changes`], and the command that makes these changes.
pub fn text(difference: &Difference) -> String {
    let Difference { interface, config, .. } = difference;
    let mut text = changes(difference);
    if !difference.changes.is_empty() {
        let config = config.display();
        let _ =
            writeln!(text, "  make these changes: rewrite attach {interface} --config {config}");
    }
    text
}

/// One change per line: `+` is added, `-` is removed, `~` is changed.
pub fn changes(difference: &Difference) -> String {
    let Difference { interface, config, changes, .. } = difference;
    let config = config.display();
    if changes.is_empty() {
        return format!("{interface}: matches {config}\n");
    }
    format!("{interface}: with {config}\n{}", lines(difference, usize::MAX))
}

/// The lines of the changes, at most `limit` of them, and a line with the number of the others.
pub fn lines(difference: &Difference, limit: usize) -> String {
    let Difference { changes, .. } = difference;
    let peers = &changes.peers;
    let mut text = String::new();
    let mut line = |sign, words: String| {
        let _ = writeln!(text, "  {}", change(sign, words));
    };
    match &changes.local_members {
        Some((from, to)) if from.is_empty() => line('+', format!("this host: {}", to.join("; "))),
        Some((from, to)) => {
            line('~', format!("this host: {} -> {}", from.join("; "), to.join("; ")));
        }
        None => {}
    }
    for peer in &peers.added {
        line('+', format!("peer {}", named(peer)));
    }
    for (from, to) in &peers.changed {
        line('~', format!("peer {} -> {}", named(from), named(to)));
    }
    for peer in &peers.removed {
        line('-', format!("peer {}", named(peer)));
    }
    for address in &changes.added_addresses {
        line('+', format!("address {} on lo", with_length(*address)));
    }
    for address in &changes.removed_addresses {
        line('-', format!("address {} on lo", with_length(*address)));
    }
    for route in &changes.routes.set {
        line('+', format!("route {route}"));
    }
    for route in &changes.routes.remove {
        line('-', format!("route {route}"));
    }
    if let Some((from, to)) = &changes.bypass {
        let _ = writeln!(text, "  ~ bypass {} -> {}", or_none(from), or_none(to));
    }
    for SettingChange { name, from, to } in &changes.settings {
        let _ = writeln!(text, "  ~ {name}: {from} -> {to}");
    }
    for left_out in &difference.left_out {
        let _ = writeln!(text, "  note: {left_out}");
    }
    match text.match_indices('\n').nth(limit.saturating_sub(1)) {
        Some((end, _)) if end + 1 < text.len() => {
            let more = text.lines().count() - limit;
            text.truncate(end + 1);
            let _ = writeln!(text, "  and {}", counted(more, "more change"));
        }
        _ => {}
    }
    text
}

fn or_none(rules: &[String]) -> String {
    if rules.is_empty() { "none".into() } else { rules.join(",") }
}

#[derive(Serialize)]
struct Both<T> {
    from: T,
    to: T,
}

/// The added and the removed things in JSON.
#[derive(Serialize)]
pub struct Change<T> {
    added: Vec<T>,
    removed: Vec<T>,
}

impl From<&RouteChanges> for Change<String> {
    fn from(changes: &RouteChanges) -> Self {
        Self { added: texts(&changes.set), removed: texts(&changes.remove) }
    }
}

/// A peer in JSON.
#[derive(Serialize)]
pub struct Peer {
    name: String,
    private: Vec<String>,
    public: Vec<String>,
    direct: bool,
    bypass: Vec<String>,
}

impl From<&NamedPeer> for Peer {
    fn from(peer: &NamedPeer) -> Self {
        Self {
            name: peer.name.to_string(),
            private: texts(peer.private()),
            public: texts(peer.public()),
            direct: peer.direct,
            bypass: texts(&peer.bypass),
        }
    }
}

#[derive(Serialize)]
struct Json {
    interface: String,
    attached: bool,
    same: bool,
    local_members: Option<Both<Vec<String>>>,
    peers: Change<Peer>,
    changed_peers: Vec<Both<Peer>>,
    addresses: Change<String>,
    routes: Change<String>,
    bypass: Option<Both<Vec<String>>>,
    settings: Vec<Setting>,
}

#[derive(Serialize)]
struct Setting {
    name: &'static str,
    from: String,
    to: String,
}

/// The value that `--json` prints (docs/json.md).
pub fn json(difference: &Difference) -> impl Serialize + use<> {
    let Difference { changes, .. } = difference;
    let peers = &changes.peers;
    let lengths = |addresses: &[Private]| addresses.iter().map(|own| with_length(*own)).collect();
    Json {
        interface: difference.interface.clone(),
        attached: difference.is_attached,
        same: changes.is_empty(),
        local_members: changes.local_members.clone().map(|(from, to)| Both { from, to }),
        peers: Change {
            added: peers.added.iter().map(Peer::from).collect(),
            removed: peers.removed.iter().map(Peer::from).collect(),
        },
        changed_peers: peers
            .changed
            .iter()
            .map(|(from, to)| Both { from: from.into(), to: to.into() })
            .collect(),
        addresses: Change {
            added: lengths(&changes.added_addresses),
            removed: lengths(&changes.removed_addresses),
        },
        routes: (&changes.routes).into(),
        bypass: changes.bypass.clone().map(|(from, to)| Both { from, to }),
        settings: changes
            .settings
            .iter()
            .cloned()
            .map(|SettingChange { name, from, to }| Setting { name, from, to })
            .collect(),
    }
}
