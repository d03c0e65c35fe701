//! Fuzzes the userspace parsers of external input: runs the targets of `fuzz`, one after the other. See
//! docs/decisions/0011.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{cargo, workspace};

/// The compiler flags for libFuzzer: counters at every branch, reports of comparisons, and crashes at
/// memory errors. `cargo fuzz` sets the same flags.
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Zsanitizer=address",
    "--cfg=fuzzing",
];

/// The time limit for one input; a slower input is a finding.
const SECONDS_PER_INPUT: u32 = 10;

/// The maximum length of an input in bytes.
const INPUT_LEN_MAX: u32 = 4096;

/// Runs each target in `wanted`, or each existing target if `wanted` is empty, for `seconds`. A finding does
/// not stop the next targets.
///
/// # Errors
/// If a target has a finding, or can't be built.
pub fn run(seconds: u64, wanted: &[String]) -> Result<()> {
    // For libFuzzer, 0 means no limit.
    ensure!(seconds > 0, "--seconds takes a number from 1");
    let targets = select(targets()?, wanted)?;
    let folder = build()?;
    let mut failed = Vec::new();
    for target in targets {
        println!("\n{target}: {seconds} s");
        if !fuzz(&folder.join(&target), &target, seconds)? {
            failed.push(target);
        }
    }
    ensure!(
        failed.is_empty(),
        "{} found something; the input is in target/fuzz/findings, and \
         {}/TARGET FILE runs it again",
        failed.join(", "),
        folder.display()
    );
    Ok(())
}

fn select(targets: Vec<String>, wanted: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = wanted.iter().find(|name| !targets.contains(name)) {
        bail!("there is no target {unknown:?}: there are {}", targets.join(", "));
    }
    let is_wanted = |target: &String| wanted.is_empty() || wanted.contains(target);
    Ok(targets.into_iter().filter(is_wanted).collect())
}

/// The names of all targets.
fn targets() -> Result<Vec<String>> {
    let folder = workspace().join("fuzz/fuzz_targets");
    let what = || format!("reading {}", folder.display());
    let mut targets = Vec::new();
    for entry in fs::read_dir(&folder).with_context(what)? {
        let path = entry.with_context(what)?.path();
        if path.extension() == Some(OsStr::new("rs")) {
            targets.extend(path.file_stem().and_then(OsStr::to_str).map(str::to_owned));
        }
    }
    targets.sort_unstable();
    Ok(targets)
}

/// Builds all targets, and returns their folder.
fn build() -> Result<PathBuf> {
    let compiler = Command::new("c++").arg("--version").stdout(Stdio::null()).status();
    ensure!(
        compiler.is_ok_and(|status| status.success()),
        "libFuzzer needs a C++ compiler, and none is installed: apt-get install g++"
    );
    let host = host()?;
    let mut build = cargo::command();
    build
        .args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml"])
        .args(["--target-dir", "target/fuzz/build"])
        // With an explicit target, cargo does not apply the flags to build scripts and macros.
        .args(["--target", &host])
        .env("RUSTFLAGS", FLAGS.join(" "))
        .env("RUSTC_BOOTSTRAP", "1");
    cargo::run(&mut build)?;
    Ok(Path::new("target/fuzz/build").join(host).join("release"))
}

fn host() -> Result<String> {
    let output = Command::new("rustc")
        .args(["--print", "host-tuple"])
        .current_dir(workspace())
        .output()
        .context("asking rustc for its host")?;
    ensure!(output.status.success(), "rustc --print host-tuple: {}", output.status);
    Ok(String::from_utf8(output.stdout).context("reading rustc's host")?.trim().to_owned())
}

/// Runs one target; returns true if the target has no finding.
fn fuzz(binary: &Path, target: &str, seconds: u64) -> Result<bool> {
    let corpus = folder("corpus", target)?;
    let findings = folder("findings", target)?;
    let mut fuzzer = Command::new(workspace().join(binary));
    fuzzer
        .current_dir(workspace())
        .arg(corpus)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={INPUT_LEN_MAX}"))
        .arg(format!("-timeout={SECONDS_PER_INPUT}"))
        .arg(format!("-artifact_prefix={}/", findings.display()))
        .args(["-print_final_stats=1", "-verbosity=0"]);
    let seeds = Path::new("fuzz/seeds").join(target);
    if workspace().join(&seeds).exists() {
        fuzzer.arg(seeds);
    }
    let dictionary = Path::new("fuzz/dictionaries").join(format!("{target}.dict"));
    if workspace().join(&dictionary).exists() {
        fuzzer.arg(format!("-dict={}", dictionary.display()));
    }
    let status = fuzzer.status().with_context(|| format!("starting {}", binary.display()))?;
    Ok(status.success())
}

/// Creates a folder for this target; returns the folder's path relative to the workspace.
fn folder(kind: &str, target: &str) -> Result<PathBuf> {
    let folder = Path::new("target/fuzz").join(kind).join(target);
    let path = workspace().join(&folder);
    fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn all_targets_are_run_unless_some_are_named() {
        let all = || names(&["a", "b"]);
        assert_eq!(select(all(), &[]).unwrap(), all());
        assert_eq!(select(all(), &names(&["b"])).unwrap(), ["b"]);
        let error = select(all(), &names(&["c"])).unwrap_err().to_string();
        assert!(error.contains("\"c\"") && error.contains("a, b"), "{error}");
    }

    #[test]
    fn every_target_is_a_binary_of_the_package() {
        let manifest = fs::read_to_string(workspace().join("fuzz/Cargo.toml")).unwrap();
        let targets = targets().unwrap();
        assert!(!targets.is_empty());
        for target in targets {
            let path = format!("path = \"fuzz_targets/{target}.rs\"");
            assert!(manifest.contains(&path), "{target}");
        }
    }
}
