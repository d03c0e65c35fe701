//! Formats the output of `rewrite doctor` as text.

use std::fmt::Write as _;

use tunnel_user::commands::doctor::Report;

use super::style::{FAULT, GOOD, NOTABLE, paint};
use super::text::counted;

/// One paragraph for each finding, and a last line with the result.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let (level, style) = if finding.certain { ("WRONG", FAULT) } else { ("may harm", NOTABLE) };
        let level = paint(style, format_args!("{level:<8}"));
        let place = finding.interface.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        let _ = writeln!(text, "{level}  {}  {place}{}", finding.fault.id(), finding.what);
        let _ = writeln!(text, "  why: {}", finding.why);
        if let Some(remedy) = &finding.remedy {
            let _ = writeln!(text, "  help: {remedy}");
        }
    }
    let certain = report.findings.iter().filter(|finding| finding.certain).count();
    let possible = report.findings.len() - certain;
    let noun = if report.reached == 1 { "address" } else { "addresses" };
    let reached = format!("{} {noun}", report.reached);
    let _ = match (certain, possible) {
        (0, 0) => writeln!(
            text,
            "{}: {}; {reached} of peers answered a ping",
            report.interfaces.join(", "),
            paint(GOOD, "nothing harms the traffic"),
        ),
        _ => writeln!(
            text,
            "{}: {}, {} that may harm; {reached} of peers answered a ping",
            report.interfaces.join(", "),
            counted(certain, "fault"),
            counted(possible, "finding"),
        ),
    };
    text
}
