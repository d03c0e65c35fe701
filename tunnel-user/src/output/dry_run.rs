//! Formats the output of `rewrite attach --dry-run`, as text and as JSON.

use std::fmt::Write as _;

use serde::Serialize;
use tunnel_user::ops::difference::Planned;

use super::diff;

/// The changes, the steps in their order, and the connections that the attach can end.
pub fn text(planned: &Planned) -> String {
    let interface = &planned.difference.interface;
    let mut text = diff::changes(&planned.difference);
    if planned.difference.changes.is_empty() {
        let _ = writeln!(text, "  no change; an attach replaces the programs by the same ones");
        return text;
    }
    let _ = writeln!(text, "  the steps, in this order:");
    for (index, step) in planned.steps.iter().enumerate() {
        let _ = writeln!(text, "  {:>4}. {step}", index + 1);
    }
    match &planned.endangered {
        Ok(found) => {
            for endangered in found {
                let _ = writeln!(text, "  can end: {endangered}");
            }
        }
        Err(unknown) => {
            let _ = writeln!(text, "  note: {unknown}");
        }
    }
    let _ = writeln!(
        text,
        "  nothing was changed; on trial: rewrite attach {interface} --confirm-within 60s"
    );
    text
}

#[derive(Serialize)]
struct Connection {
    local: String,
    remote: String,
    peer: String,
    ssh: bool,
    what: String,
}

/// The value that `--json` prints (docs/json.md).
pub fn json(planned: &Planned) -> impl Serialize + use<> {
    #[derive(Serialize)]
    struct Plan<D> {
        #[serde(flatten)]
        difference: D,
        steps: Vec<String>,
        endangered: Option<Vec<Connection>>,
    }
    let found = planned.endangered.as_ref().ok();
    Plan {
        difference: diff::json(&planned.difference),
        steps: planned.steps.clone(),
        endangered: found.map(|found| {
            let connections = found.iter().map(|endangered| Connection {
                local: endangered.connection.local.to_string(),
                remote: endangered.connection.remote.to_string(),
                peer: endangered.peer.to_string(),
                ssh: endangered.is_ssh,
                what: endangered.to_string(),
            });
            connections.collect()
        }),
    }
}
