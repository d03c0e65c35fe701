//! Formats the lines of `rewrite status` about the things beside the dataplane: the file, the programs of other tools,
//! and peers that may still send to a former address of this host.

use std::fmt::Write as _;

use tunnel_user::commands::status::{Daemon, Interface, OtherProgram, Unconfirmed};
use tunnel_user::config::DEFAULT_PATH;
use tunnel_user::ops::file_comparison::{FileComparison, FileState, KnownBy};

use super::suggested_commands::quoted;

/// The line about the interface's file.
pub fn file(text: &mut String, interface: &Interface) {
    let name = &interface.interface;
    let Some(file) = &interface.file else {
        let diff = format!("rewrite diff {name} --config FILE");
        let _ = writeln!(text, "  file      unknown: {diff} compares one with what runs");
        return;
    };
    let FileComparison { path, known_by, revision, digest, state, problem, self_names } = file;
    let revision = revision.map(|revision| format!(", revision {revision}")).unwrap_or_default();
    let digest = digest.as_ref().map(|digest| format!(", sha256 {digest}")).unwrap_or_default();
    let problem = problem.as_deref().unwrap_or_default();
    let config = match path == DEFAULT_PATH {
        true => String::new(),
        false => format!(" --config {}", quoted(path)),
    };
    let selves: String =
        self_names.iter().map(|name| format!(" --self {}", quoted(name))).collect();
    let follows = match (&interface.daemon, known_by) {
        (Some(Daemon { problem: None, .. }), KnownBy::Daemon) => ", and the daemon follows it",
        _ => "",
    };
    let result = match state {
        FileState::Same => "same as what runs".into(),
        FileState::Differs => format!("differs{follows}: rewrite diff {name}{config}{selves}"),
        FileState::Refused => format!("attach would refuse it: {problem}"),
        FileState::Unreadable => format!("unreadable: {problem}"),
    };
    let _ = writeln!(text, "  file      {path}{revision}{digest}: {result}");
}

/// The lines about the programs of other tools: one for each direction that has such programs.
pub fn programs(text: &mut String, interface: &Interface) {
    for direction in ["egress", "ingress"] {
        let of_order = |order: &str| {
            let all = interface.other_programs.iter();
            let wanted = all.filter(|one| one.direction == direction && one.order == order);
            wanted.map(described).collect::<Vec<_>>()
        };
        let (before, after) = (of_order("before"), of_order("after"));
        if before.is_empty() && after.is_empty() {
            continue;
        }
        let order = [before, vec!["rewrite".into()], after].concat().join(", ");
        let _ = writeln!(text, "  programs  {direction}, in this order: {order}");
    }
}

fn described(program: &OtherProgram) -> String {
    let OtherProgram { id, name, by, .. } = program;
    format!("{} (id {id}, {by})", name.as_deref().unwrap_or("a program"))
}

/// The lines about a peer that may still send to a former address of this host.
pub fn unconfirmed(text: &mut String, unconfirmed: &[Unconfirmed]) {
    for Unconfirmed { former_underlay, underlay, since } in unconfirmed {
        let _ = writeln!(
            text,
            "            may still send to {former_underlay}, our former address: it has not \
             confirmed {underlay} since {since}"
        );
    }
}
