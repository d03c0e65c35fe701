//! Parses the guest's output: the tests' output, and the lines of `init.sh` and `guest.sh` that begin
//! with `@vm`.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};

use crate::vm::machine::OutputParser;

/// The parser's state: the results of the lines parsed so far.
#[derive(Debug, Default, PartialEq)]
pub struct Console {
    /// The kernel's release, as in `uname -r`.
    pub release: Option<String>,
    /// The hook that `rewrite attach` chose.
    pub hook: Option<String>,
    /// The number of passed tests.
    pub passed: u32,
    /// The reasons for which tests skipped a part.
    pub skipped: BTreeSet<String>,
    /// The messages about the guest's faults.
    pub faults: Vec<String>,
    /// The finished runs.
    pub runs: Vec<Ended>,
    /// The guest's clock at the last message with a time: the seconds since the start of the kernel.
    pub seconds: f64,
    /// True after the guest's last message.
    pub done: bool,
    running: Option<String>,
    failed: u32,
}

/// A finished run.
#[derive(Debug, PartialEq)]
pub struct Ended {
    /// The test binary's name.
    pub binary: String,
    /// The run's duration in seconds.
    pub seconds: f64,
}

impl OutputParser for Console {
    fn parse_line(&mut self, line: &str) {
        if let Some(message) = line.strip_prefix("@vm ") {
            if self.parse_message(message).is_none() {
                self.faults.push(format!("the guest printed {line:?}, which is unknown"));
            }
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += number_before(counts, " passed").unwrap_or(0);
            self.failed += number_before(counts, " failed").unwrap_or(0);
        } else if let Some(reason) = line.strip_prefix("skipped: ") {
            self.skipped.insert(reason.to_owned());
        }
    }

    fn has_booted(&self) -> bool {
        self.release.is_some()
    }

    fn activity(&self) -> String {
        format!("{}, {} passed", self.running(), self.passed)
    }
}

impl Console {
    fn parse_message(&mut self, message: &str) -> Option<()> {
        let words: Vec<_> = message.split(' ').collect();
        match words[..] {
            ["kernel", release, seconds] => {
                self.release = Some(release.to_owned());
                self.seconds = seconds.parse().ok()?;
            }
            ["attach", code, hook, seconds] => {
                self.seconds = seconds.parse().ok()?;
                if code == "0" && !hook.is_empty() {
                    self.hook = Some(hook.to_owned());
                } else {
                    self.faults.push(format!("attach by hand ended with {code}"));
                }
            }
            ["begin", binary] => {
                self.running = Some(binary.to_owned());
                self.failed = 0;
            }
            ["end", code, seconds] => {
                let now = seconds.parse().ok()?;
                let binary = self.running.take()?;
                if code != "0" {
                    let failed = self.failed;
                    self.faults.push(format!("{binary} ended with {code}, {failed} tests failed"));
                }
                self.runs.push(Ended { binary, seconds: now - self.seconds });
                self.seconds = now;
            }
            ["done", seconds] => {
                self.seconds = seconds.parse().ok()?;
                self.done = true;
            }
            _ => return None,
        }
        Some(())
    }

    fn running(&self) -> &str {
        match (&self.running, &self.release) {
            (Some(binary), _) => binary,
            (None, Some(_)) => "attach",
            (None, None) => "boot",
        }
    }

    /// Checks that the run was complete and without faults.
    ///
    /// # Errors
    /// If the guest had faults, failed to complete the run, or ran no test. The error contains all faults.
    pub fn verdict(&self) -> Result<()> {
        if !self.faults.is_empty() {
            bail!("{}", self.faults.join("; "));
        }
        ensure!(self.done, "it ended in the middle of {}", self.running());
        ensure!(self.passed > 0, "no test ran");
        Ok(())
    }
}

/// The number directly before `words` in `text`.
fn number_before(text: &str, words: &str) -> Option<u32> {
    let (before, _) = text.split_once(words)?;
    before.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: &str = "test result: ok. 13 passed; 0 failed; 1 ignored; 0 measured";

    fn parsed(lines: &[&str]) -> Console {
        let mut console = Console::default();
        for line in lines {
            console.parse_line(line);
        }
        console
    }

    #[test]
    fn a_guest_to_its_end() {
        let console = parsed(&[
            "@vm kernel 6.1.0-56-cloud-amd64 2.50",
            "@vm attach 0 clsact 3.50",
            "@vm begin packet_table",
            RESULT,
            "skipped: this kernel has no tcx",
            "@vm end 0 13.75",
            "@vm done 13.75",
        ]);
        console.verdict().expect("all is well");
        assert_eq!(console.release.as_deref(), Some("6.1.0-56-cloud-amd64"));
        assert_eq!(console.hook.as_deref(), Some("clsact"));
        assert_eq!(console.passed, 13);
        assert_eq!(console.runs, [Ended { binary: "packet_table".into(), seconds: 10.25 }]);
        assert!(console.skipped.contains("this kernel has no tcx"));
    }

    #[test]
    fn a_guest_that_stops_in_the_middle() {
        let console = parsed(&["@vm kernel 6.1 1.0", "@vm attach 0 clsact 2.0", "@vm begin lab"]);
        let error = console.verdict().expect_err("it is not done");
        assert!(error.to_string().contains("middle of lab"), "{error}");
    }

    #[test]
    fn faults_are_counted_whatever_follows() {
        let console = parsed(&[
            "@vm kernel 6.1 1.0",
            "@vm attach 1  2.0",
            "@vm begin lab",
            "test result: FAILED. 2 passed; 3 failed; 0 ignored",
            "@vm end 101 3.0",
            "@vm begin packet_table",
            RESULT,
            "@vm end 0 4.0",
            "@vm done 4.0",
        ]);
        let error = console.verdict().expect_err("faults").to_string();
        assert_eq!(error, "attach by hand ended with 1; lab ended with 101, 3 tests failed");
        assert_eq!(console.passed, 15);
    }

    #[test]
    fn a_guest_that_runs_nothing() {
        let console = parsed(&["@vm kernel 6.1 1.0", "@vm attach 0 tcx 2.0", "@vm done 2.0"]);
        assert!(console.verdict().is_err());
    }
}
