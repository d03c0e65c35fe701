//! Formats the output of `rewrite check` as text.

use std::fmt::Write as _;

use tunnel_user::commands::check::{Finding, Level};

/// The findings as text for people.
pub fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let label = match finding.level {
            Level::Good => "ok   ",
            Level::Note => "note ",
            Level::Bad => "WRONG",
        };
        let _ = writeln!(text, "{label}  {}", finding.what.replace('\n', "\n       "));
    }
    text
}
