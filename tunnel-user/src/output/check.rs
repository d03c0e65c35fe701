//! The findings of a check.

use std::fmt::Write as _;

use tunnel_user::commands::check::{Finding, Level};

/// For people.
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
