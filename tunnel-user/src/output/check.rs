//! Formats the output of `rewrite check` as text.

use std::fmt::Write as _;

use serde::Serialize;
use tunnel_user::commands::check::{Finding, Level};

use super::style::{FAULT, GOOD, NOTABLE, paint};

/// The findings as text for people.
pub fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let label = match finding.level {
            Level::Good => paint(GOOD, "ok   "),
            Level::Note => paint(NOTABLE, "note "),
            Level::Bad => paint(FAULT, "WRONG"),
        };
        let _ = writeln!(text, "{label}  {}", finding.what.replace('\n', "\n       "));
    }
    text
}

#[derive(Serialize)]
struct Entry {
    level: &'static str,
    what: String,
}

#[derive(Serialize)]
struct Json {
    ok: bool,
    findings: Vec<Entry>,
}

/// The value that `check --json` prints (docs/json.md).
pub fn json(findings: &[Finding]) -> impl Serialize + use<> {
    let entry = |finding: &Finding| Entry {
        level: match finding.level {
            Level::Good => "ok",
            Level::Note => "note",
            Level::Bad => "wrong",
        },
        what: finding.what.clone(),
    };
    Json {
        ok: findings.iter().all(|finding| finding.level != Level::Bad),
        findings: findings.iter().map(entry).collect(),
    }
}
