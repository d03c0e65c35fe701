//! Runs the measurements on a Debian kernel in a virtual machine. The kernel has features that the host's kernel may
//! lack. The guest contains the release binary, the package `bench`, and the programs that `bench` calls.
//!
//! Software emulation makes absolute figures meaningless, but ratios between figures of the same round
//! are useful.

mod console;

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use indicatif::MultiProgress;
use testkit::process;

use super::initramfs;
use super::machine::{Clock, Machine, Outcome};
use super::package::Flavour;
use crate::architecture::Architecture;
use crate::workspace;
use console::Console;

const GUEST: &str = include_str!("guest.sh");
/// The programs that the measurements need in addition to [`super::programs::COMMON`].
const PROGRAMS: &[&str] = &["conntrack", "iperf3", "taskset"];
/// The number of processors. Client, server and router share one processor in any case.
const PROCESSORS: u8 = 1;
const LIMIT: Duration = Duration::from_secs(600);
const FULL_LIMIT: Duration = Duration::from_secs(3600);
/// The default arguments, which select the suite that is relevant for other kernels.
const SUITE: [&str; 2] = ["--only", "end-to-end"];
/// The option for a longer run.
const FULL: &str = "--full";

/// Boots the newest kernel of a series, and measures `binary` with `bench` in the guest. Prints the results,
/// and writes them to files below `target/bench`.
///
/// # Errors
/// When the kernel is not available, or the measurements fail.
pub fn run(binary: &Path, bench: &Path, series: &str, arguments: &[OsString]) -> Result<()> {
    let folder = super::folder()?;
    let words = words(arguments)?;
    let out = format!("target/bench/vm-{series}");
    let mut files = initramfs::common(GUEST, PROGRAMS)?;
    initramfs::add_built(&mut files, &folder, binary, "usr/bin/rewrite")?;
    initramfs::add_built(&mut files, &folder, bench, "usr/bin/bench")?;
    files.text("words", lines(&words));
    files.text("out", lines(&[&out]));
    files.text("origin.sh", origin());
    let mut kernels =
        super::kernels(&folder, Architecture::X86_64, &[series.to_owned()], Flavour::Cloud);
    let kernel = kernels.pop().context("no kernel")??;
    let machine = Machine {
        name: format!("{series}-bench"),
        kernel: &kernel,
        files: &files,
        processors: PROCESSORS,
        nics: &[],
        clock: Clock::Instructions,
        limit: if words.contains(&FULL) { FULL_LIMIT } else { LIMIT },
    };
    let Outcome { console, ended, output } =
        machine.boot(&folder, &MultiProgress::new(), Console::default())?;
    let files = ended.and_then(|()| console.files());
    let files = files.inspect_err(|_| eprintln!("{output}"))?;
    print!("{}", console.measurements);
    let out = workspace().join(out);
    fs::create_dir_all(&out).with_context(|| format!("creating {}", out.display()))?;
    for (name, text) in files {
        let path = out.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// The arguments of `bench` in the guest.
fn words(arguments: &[OsString]) -> Result<Vec<&str>> {
    let mut words = Vec::new();
    for argument in arguments {
        let word = argument.to_str().with_context(|| format!("{argument:?} is not UTF-8"))?;
        ensure!(!word.contains('\n'), "{word:?} is more than a line");
        words.push(word);
    }
    if !words.iter().any(|word| word.split('=').next() == Some(SUITE[0])) {
        words.extend(SUITE);
    }
    Ok(words)
}

fn lines(words: &[impl AsRef<str>]) -> String {
    words.iter().map(|word| format!("{}\n", word.as_ref())).collect()
}

/// The versions of rewrite and rustc as shell exports, since the guest has neither git nor rustc.
fn origin() -> String {
    let commit = output_of(Command::new("git").args(["describe", "--always", "--dirty"]));
    let rustc = output_of(Command::new("rustc").arg("--version"));
    let export = |name: &str, value: Option<String>| {
        value.map_or_else(String::new, |value| format!("export {name}='{value}'\n"))
    };
    export("BENCH_COMMIT", commit) + &export("BENCH_RUSTC", rustc)
}

/// The output of a program, or `None` if the program fails or the output contains a single quote. `None` does not
/// stop the measurement.
fn output_of(command: &mut Command) -> Option<String> {
    let output = process::run(command.current_dir(workspace())).ok()?.trim().to_owned();
    (!output.contains('\'')).then_some(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_suite_is_end_to_end() {
        let words = |arguments: &[&str]| {
            let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
            words(&arguments).map(|words| words.join(" ")).map_err(|error| error.to_string())
        };
        assert_eq!(words(&[]).unwrap(), "--only end-to-end");
        assert_eq!(words(&["--full"]).unwrap(), "--full --only end-to-end");
        assert_eq!(words(&["--only", "growth"]).unwrap(), "--only growth");
        assert_eq!(words(&["--only=growth"]).unwrap(), "--only=growth");
        assert!(words(&["a\nb"]).is_err());
    }
}
