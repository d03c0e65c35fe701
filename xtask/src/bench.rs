//! Measures rewrite's cost: runs the package `bench` with the release binary, on this host or in a
//! virtual machine.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::{build, cargo, vm};

/// The place of the measurement, and the options of `bench`.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// The series of the kernel to boot; `None` measures on this host.
    pub kernel: Option<String>,
    /// The arguments for the package `bench`.
    words: Vec<OsString>,
}

/// xtask's own option, which the package `bench` does not parse but describes in its help.
const VM: &str = "--vm";

impl Request {
    /// Parses the arguments. `--vm` and its kernel may be at any position; all other arguments go to `bench`.
    ///
    /// # Errors
    /// If `--vm` has no kernel, or occurs more than once.
    pub fn parse(arguments: Vec<OsString>) -> Result<Self> {
        let (mut kernel, mut words) = (None, Vec::new());
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let text = argument.to_string_lossy();
            let found = match text.strip_prefix(VM) {
                Some("") => arguments.next(),
                Some(rest) if rest.starts_with('=') => Some(rest[1..].into()),
                Some(_) | None => {
                    words.push(argument);
                    continue;
                }
            };
            let found = found.and_then(|found| found.into_string().ok());
            let found = found.with_context(|| format!("{VM} needs a kernel: {VM} 6.12"))?;
            ensure!(kernel.is_none(), "{VM} is given twice; it takes one kernel");
            kernel = Some(found);
        }
        if words.iter().any(|word| word == "--help" || word == "-h") {
            kernel = None;
        }
        Ok(Self { kernel, words })
    }
}

/// Measures `binary` on this host or in a virtual machine.
pub fn run(binary: &Path, request: &Request) -> Result<()> {
    match &request.kernel {
        Some(series) => vm::bench::run(binary, &build_bench()?, series, &request.words),
        None => here(binary, &request.words),
    }
}

/// Replaces this process with `bench`, so that after an interrupt the shell waits until the labs are removed.
fn here(binary: &Path, words: &[OsString]) -> Result<()> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "the measurements load programs into the kernel and make network namespaces: run them as root"
    );
    let mut bench = cargo::command();
    bench
        .args(["run", "--locked", "--release", "--quiet", "--package", "bench", "--"])
        .args(words)
        .env("REWRITE_BIN", binary);
    Err(bench.exec()).with_context(|| format!("starting {bench:?}"))
}

fn build_bench() -> Result<PathBuf> {
    build::release_of("bench", "bench")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<(Option<String>, Vec<String>)> {
        let request = Request::parse(words.iter().map(OsString::from).collect())?;
        let words = request.words.iter().map(|word| word.to_string_lossy().into_owned());
        Ok((request.kernel, words.collect()))
    }

    #[test]
    fn the_kernel_is_found_anywhere_and_the_rest_is_left_as_it_is() {
        let kernel = Some("6.12".to_owned());
        for (words, rest) in [
            (&["--vm", "6.12"][..], &[][..]),
            (&["--full", "--vm", "6.12", "--only", "x"], &["--full", "--only", "x"]),
            (&["--vm=6.12", "--full"], &["--full"]),
        ] {
            assert_eq!(
                parse(words).unwrap(),
                (kernel.clone(), rest.iter().map(ToString::to_string).collect())
            );
        }
        let unrelated = ["--vmx", "--only", "end-to-end"];
        assert_eq!(parse(&unrelated).unwrap(), (None, unrelated.map(str::to_owned).to_vec()));
    }

    #[test]
    fn help_boots_nothing() {
        assert_eq!(parse(&["--vm", "6.12", "--help"]).unwrap().0, None);
    }

    #[test]
    fn no_kernel_and_two_are_refused() {
        for words in [&["--vm"][..], &["--vm", "6.1", "--vm", "6.12"]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
