//! Builds and finds the test binaries, and lists their tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::runs::{Run, Selection};
use crate::cargo;

/// The test binaries by name.
pub type TestBinaries = BTreeMap<String, PathBuf>;

/// Builds the tests of the package `tests`; returns the test binaries.
pub fn build() -> Result<TestBinaries> {
    let mut test = cargo::command();
    test.args(["test", "--locked", "--package", "tests", "--no-run", "--message-format=json"])
        .stderr(Stdio::inherit());
    let output = test.output().context("starting cargo")?;
    let messages = String::from_utf8(output.stdout).context("reading cargo's output")?;
    ensure!(output.status.success(), "the tests can't be built:\n{}", rendered(&messages));
    let binaries = messages.lines().filter_map(binary).collect();
    Ok(binaries)
}

/// A test binary's name and path, if cargo's message contains one.
fn binary(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let target = &message["target"];
    let is_test = target["kind"].as_array()?.iter().any(|kind| kind == "test");
    let path = message["executable"].as_str()?;
    is_test.then_some((target["name"].as_str()?.to_owned(), path.into()))
}

/// The compiler's messages, as a terminal would show them.
fn rendered(messages: &str) -> String {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages
        .filter_map(|message| message["message"]["rendered"].as_str().map(str::to_owned))
        .collect()
}

/// Checks that a run's tests exist, so that a renamed test is an error instead of a silent omission.
///
/// # Errors
/// When a test does not exist, or the binary has no tests.
pub fn require_tests(binary: &Path, run: &Run) -> Result<()> {
    let mut list = Command::new(binary);
    list.args(["--list", "--format=terse"]);
    if run.selection == Selection::Ignored {
        list.arg("--ignored");
    }
    let output = list.output().with_context(|| format!("starting {}", binary.display()))?;
    ensure!(output.status.success(), "{list:?}: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    ensure!(!names.is_empty(), "{} has no tests", run.binary);
    for wanted in run.tests {
        if !names.contains(wanted) {
            bail!("{} has no test {wanted}: see xtask/src/vm/test/runs.rs", run.binary);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tests_with_a_binary_count() {
        let message = |kind: &str, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"lab"}},"executable":{executable}}}"#
            )
        };
        let found = binary(&message("test", r#""/x/lab-1""#));
        assert_eq!(found, Some(("lab".to_owned(), PathBuf::from("/x/lab-1"))));
        assert_eq!(binary(&message("lib", r#""/x/lab-1""#)), None);
        assert_eq!(binary(&message("test", "null")), None);
        assert_eq!(binary(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
