//! Parses the guest's output: the tables, and the lines of `init.sh` and `guest.sh` that begin with
//! `@vm`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};

use crate::vm::machine::OutputParser;

/// The parser's state: the results of the lines that it has parsed.
#[derive(Debug, Default, PartialEq)]
pub struct Console {
    /// The output of the measurements.
    pub measurements: String,
    files: BTreeMap<String, String>,
    part: Part,
    code: Option<String>,
    faults: Vec<String>,
}

/// The current part of the guest's run.
#[derive(Debug, Default, PartialEq)]
enum Part {
    #[default]
    Boot,
    Between,
    Measurements,
    /// A file's name, and the part of the file's text that has arrived.
    File(String, String),
    Done,
}

impl OutputParser for Console {
    fn parse_line(&mut self, line: &str) {
        if let Some(message) = line.strip_prefix("@vm ") {
            if self.parse_message(message).is_none() {
                self.faults.push(format!("the guest printed {line:?}, which is unexpected there"));
            }
            return;
        }
        let text = match &mut self.part {
            Part::Measurements => &mut self.measurements,
            Part::File(_, text) => text,
            Part::Boot | Part::Between | Part::Done => return,
        };
        text.push_str(line);
        text.push('\n');
    }

    fn has_booted(&self) -> bool {
        self.part != Part::Boot
    }

    fn activity(&self) -> String {
        let activity = match &self.part {
            Part::Boot => "boot",
            Part::Between => "the scripts",
            Part::Measurements => "the measurements",
            Part::File(name, _) => name,
            Part::Done => "power off",
        };
        activity.to_owned()
    }
}

impl Console {
    fn parse_message(&mut self, message: &str) -> Option<()> {
        let words: Vec<_> = message.split(' ').collect();
        let part = std::mem::take(&mut self.part);
        self.part = match (part, &words[..]) {
            (Part::Boot, ["kernel", ..]) => Part::Between,
            (Part::Between, ["begin", "bench"]) => Part::Measurements,
            (Part::Measurements, ["end", code, _]) => {
                self.code = Some((*code).to_owned());
                Part::Between
            }
            (Part::Between, ["file", name]) => Part::File((*name).to_owned(), String::new()),
            (Part::File(name, text), ["whole"]) => {
                // Remove the newline that guest.sh adds after the text.
                let text = text.strip_suffix('\n').unwrap_or(&text).to_owned();
                self.files.insert(name, text);
                Part::Between
            }
            (Part::Between, ["done", _]) => Part::Done,
            (part, _) => {
                self.part = part;
                return None;
            }
        };
        Some(())
    }

    /// The result files by name, if the run was complete and without a fault.
    ///
    /// # Errors
    /// If the guest had a fault, failed to complete the run, or sent no intact report.
    pub fn files(&self) -> Result<&BTreeMap<String, String>> {
        if !self.faults.is_empty() {
            bail!("{}", self.faults.join("; "));
        }
        let code = self.code.as_deref().context("it ended before the measurements did")?;
        ensure!(code == "0", "the measurements exited with {code}");
        ensure!(self.part == Part::Done, "it ended in the middle of {}", self.activity());
        let report = self.files.get(REPORT).with_context(|| format!("there is no {REPORT}"))?;
        serde_json::from_str::<serde_json::Value>(report)
            .with_context(|| format!("{REPORT} did not arrive intact"))?;
        Ok(&self.files)
    }
}

/// The name of the result file that must exist.
const REPORT: &str = "report.json";

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &[&str] = &["@vm kernel 6.12.1 2.50", "@vm begin bench"];
    const END: &[&str] = &["@vm done 100.5"];

    fn parsed(parts: &[&[&str]]) -> Console {
        let mut console = Console::default();
        for line in parts.concat() {
            console.parse_line(line);
        }
        console
    }

    fn fault(parts: &[&[&str]]) -> String {
        format!("{:#}", parsed(parts).files().expect_err("something is wrong"))
    }

    #[test]
    fn a_guest_to_its_end() {
        let tables = ["A title.", "", "| ipip |", "@vm end 0 99.0"];
        let files = ["@vm file plot.svg", "<svg>", "</svg>", "", "@vm whole"];
        let report = ["@vm file report.json", "{", "}", "@vm whole"];
        let console = parsed(&[&["not of ours"], BEGIN, &tables, &files, &report, END]);
        assert_eq!(console.measurements, "A title.\n\n| ipip |\n");
        let files = console.files().expect("all is well");
        assert_eq!(files["plot.svg"], "<svg>\n</svg>\n");
        assert_eq!(files["report.json"], "{\n}");
    }

    #[test]
    fn measurements_that_fail() {
        let fault = fault(&[BEGIN, &["bench: no such thing", "@vm end 1 9.0"], END]);
        assert_eq!(fault, "the measurements exited with 1");
    }

    #[test]
    fn a_guest_that_stops_in_the_middle() {
        assert_eq!(fault(&[BEGIN, &["A title."]]), "it ended before the measurements did");
        let file = ["@vm end 0 9.0", "@vm file report.json", "{"];
        assert_eq!(fault(&[BEGIN, &file]), "it ended in the middle of report.json");
    }

    #[test]
    fn a_report_that_is_missing_or_incomplete() {
        assert_eq!(fault(&[BEGIN, &["@vm end 0 9.0"], END]), "there is no report.json");
        let file = ["@vm end 0 9.0", "@vm file report.json", "{", "@vm whole"];
        let fault = fault(&[BEGIN, &file, END]);
        assert!(fault.starts_with("report.json did not arrive intact"), "{fault}");
    }

    #[test]
    fn unexpected_messages_are_faults() {
        let fault = fault(&[BEGIN, &["@vm whole", "@vm end 0 9.0"], END]);
        assert!(fault.contains("\"@vm whole\""), "{fault}");
    }
}
