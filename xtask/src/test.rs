//! Runs all tests: the tests that need no kernel, and the tests that load the programs and build labs.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::{cargo, previous};

/// The number of tests, and thus of labs, at a time. The labs have unique names, but more labs would compete for
/// the processors that the paced streams need.
const THREADS: &str = "2";

/// Runs the tests against `binary`. `arguments` go to cargo test; without arguments, all tests run.
pub fn run(binary: &Path, arguments: &[OsString]) -> Result<()> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "the tests load programs into the kernel and make network namespaces: run them as root"
    );
    let mut test = cargo::command();
    test.args(["test", "--locked", "--no-fail-fast"])
        .env("REWRITE_BIN", binary)
        .env("RUST_TEST_THREADS", THREADS);
    if upgrades(arguments) {
        test.env("REWRITE_PREVIOUS_BIN", previous::binary()?);
    }
    if arguments.is_empty() {
        test.arg("--workspace");
    } else {
        test.args(["--package", "tests"]).args(arguments);
    }
    cargo::run(&mut test)
}

/// True if the arguments can select upgrade tests. The upgrade tests are in `control` and start from the previous
/// version.
fn upgrades(arguments: &[OsString]) -> bool {
    let is_named = |name: &str| arguments.iter().any(|word| word == name);
    !is_named("--test") || is_named("control")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_before_is_only_built_for_the_tests_of_the_control_side() {
        let words = |text: &str| text.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        assert!(upgrades(&words("")) && upgrades(&words("upgrade")));
        assert!(upgrades(&words("--test control upgrade")));
        assert!(!upgrades(&words("--test packet_table")));
    }
}
