//! Parses the guest's output: the lines of `init.sh` and `guest.sh` that begin with `@vm`.

use anyhow::{Result, bail, ensure};

use crate::architecture::Architecture;
use crate::vm::machine::OutputParser;

/// The steps of `guest.sh`, in their order.
pub const STEPS: [&str; 11] = [
    "install",
    "hosts",
    "explain",
    "attach",
    "ping",
    "transfer",
    "rewrite-ping",
    "status",
    "xdp",
    "detach",
    "purge",
];

/// The parser's state.
#[derive(Debug, Default)]
pub struct Console {
    /// The kernel's release, as in `uname -r`.
    pub release: Option<String>,
    architecture: Option<String>,
    /// The finished steps with their exit codes.
    steps: Vec<(String, String)>,
    is_done: bool,
}

impl OutputParser for Console {
    fn parse_line(&mut self, line: &str) {
        let Some(message) = line.strip_prefix("@vm ") else { return };
        match message.split(' ').collect::<Vec<_>>()[..] {
            ["kernel", release, _] => self.release = Some(release.to_owned()),
            ["architecture", name] => self.architecture = Some(name.to_owned()),
            ["step", name, code] => self.steps.push((name.to_owned(), code.to_owned())),
            ["done", _] => self.is_done = true,
            // The verdict misses what an unknown line replaces.
            _ => {}
        }
    }

    fn has_booted(&self) -> bool {
        self.release.is_some()
    }

    fn activity(&self) -> String {
        if !self.has_booted() {
            return "boot".to_owned();
        }
        STEPS
            .get(self.steps.len())
            .map_or_else(|| "power off".to_owned(), |step| (*step).to_owned())
    }
}

impl Console {
    /// Succeeds if all steps succeeded on a machine of this architecture.
    ///
    /// # Errors
    /// Names the first step that failed or is missing.
    pub fn verdict(&self, architecture: Architecture) -> Result<()> {
        ensure!(
            self.architecture.as_deref() == Some(architecture.name()),
            "the guest's architecture is {:?}, and the package's is {}",
            self.architecture,
            architecture.name()
        );
        for (number, expected) in STEPS.iter().enumerate() {
            match self.steps.get(number) {
                Some((name, code)) if name == expected && code == "0" => {}
                Some((name, code)) if name == expected => bail!("{name} exited with {code}"),
                _ => bail!("the guest did not come to the step {expected}"),
            }
        }
        ensure!(self.is_done, "the guest did not come to its end");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(lines: &[String]) -> Console {
        let mut console = Console::default();
        for line in lines {
            console.parse_line(line);
        }
        console
    }

    fn lines_of_a_success() -> Vec<String> {
        let begin = ["@vm kernel 6.1.0-56-cloud-arm64 2.50", "@vm architecture aarch64"];
        let mut lines = begin.map(str::to_owned).to_vec();
        lines.extend(STEPS.iter().map(|step| format!("@vm step {step} 0")));
        lines.push("@vm done 60.0".to_owned());
        lines
    }

    fn fault(lines: &[String]) -> String {
        parsed(lines).verdict(Architecture::Aarch64).expect_err("a fault").to_string()
    }

    #[test]
    fn a_guest_to_its_end() {
        let console = parsed(&lines_of_a_success());
        assert_eq!(console.release.as_deref(), Some("6.1.0-56-cloud-arm64"));
        assert!(console.verdict(Architecture::Aarch64).is_ok());
    }

    #[test]
    fn a_step_that_fails_is_named() {
        let mut lines = lines_of_a_success();
        lines[5] = "@vm step attach 2".to_owned();
        assert_eq!(fault(&lines), "attach exited with 2");
    }

    #[test]
    fn a_guest_that_stops_in_the_middle() {
        let lines = lines_of_a_success();
        assert_eq!(fault(&lines[..7]), "the guest did not come to the step transfer");
        assert_eq!(fault(&lines[..13]), "the guest did not come to its end");
    }

    #[test]
    fn a_guest_of_another_architecture_shows_nothing_about_the_package() {
        let mut lines = lines_of_a_success();
        lines[1] = "@vm architecture x86_64".to_owned();
        assert!(fault(&lines).contains("architecture"), "{}", fault(&lines));
    }
}
