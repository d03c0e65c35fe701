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
    let (nothing, pings) = match (report.pinged, report.reached) {
        (0, _) => ("found nothing that harms the traffic", "no peer was pinged".to_owned()),
        (_, reached) => {
            let noun = if reached == 1 { "address" } else { "addresses" };
            let pings = format!("{reached} {noun} of peers answered a ping");
            ("nothing harms the traffic", pings)
        }
    };
    let _ = match (certain, possible) {
        (0, 0) => {
            writeln!(text, "{}: {}; {pings}", report.interfaces.join(", "), paint(GOOD, nothing))
        }
        _ => writeln!(
            text,
            "{}: {}, {} that may harm; {pings}",
            report.interfaces.join(", "),
            counted(certain, "fault"),
            counted(possible, "finding"),
        ),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_claims_no_more_than_the_pings_have_shown() {
        let line = |pinged, reached| {
            let interfaces = vec!["eth0".into()];
            text(&Report { findings: Vec::new(), interfaces, pinged, reached })
        };
        let found = paint(GOOD, "found nothing that harms the traffic");
        assert_eq!(line(0, 0), format!("eth0: {found}; no peer was pinged\n"));
        let nothing = paint(GOOD, "nothing harms the traffic");
        let one = format!("eth0: {nothing}; 1 address of peers answered a ping\n");
        assert_eq!(line(1, 1), one);
        assert_eq!(line(2, 2), one.replace("1 address ", "2 addresses "));
    }
}
