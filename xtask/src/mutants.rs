//! Runs mutation tests: breaks the pure code in one place at a time, and checks that a test fails.

use std::env;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{cargo, workspace};

/// The patterns for the files of the pure code, whose tests need no kernel.
const FILES: [&str; 6] = [
    "tunnel-ebpf/src/checksum.rs",
    "tunnel-ebpf/src/decide/**",
    "tunnel-ebpf/src/parse/**",
    "tunnel-user/src/config/**",
    "tunnel-user/src/plan/**",
    "tunnel-user/src/trial/**",
];

/// The files of the tests, which are not mutated.
const TESTS: [&str; 2] = ["**/tests/**", "**/tests.rs"];

/// The minimum percentage of the compiling mutants that the tests must catch.
const CAUGHT_PERCENT_MIN: u64 = 95;

/// The limit for the probability of a small sample: a less probable sample contradicts that percentage. Tests that are
/// good enough give such a sample less than once in a thousand samples.
const CONTRADICTION: f64 = 0.001;
/// The number of compiling mutants from which the percentage itself counts.
const LARGE_SAMPLE: u64 = 60;

/// The time limit for the tests of one mutant in seconds. The limit catches a mutant that makes a loop endless.
const TIMEOUT: &str = "300";

/// The exit codes of cargo-mutants after it has tried all mutants: all mutants caught, some mutants missed, some
/// mutants over the time limit.
const TRIED: [i32; 3] = [0, 2, 3];

/// The numbers of tried mutants by outcome.
#[derive(Debug, PartialEq, Eq)]
struct Outcomes {
    /// The mutants with which a test failed or did not end.
    caught: u64,
    /// The mutants with which all tests passed.
    missed: u64,
    /// The mutants that did not compile.
    unviable: u64,
}

/// Tries the mutants in the files of `FILES` whose patterns contain one of `words`; without words, in all files. With
/// `sample`, tries only about this number of mutants, which `seed` selects.
pub fn run(sample: Option<usize>, seed: usize, words: &[String]) -> Result<()> {
    let files: Vec<_> = FILES
        .into_iter()
        .filter(|file| words.is_empty() || words.iter().any(|word| file.contains(word)))
        .collect();
    ensure!(!files.is_empty(), "no file is named so: there are {}", FILES.join(", "));
    let total = count(&files)?;
    let folder = workspace().join("target/mutants");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let mut mutants = command(&files);
    mutants.args(["--timeout", TIMEOUT, "--no-times", "--output"]).arg(&folder);
    if let Some(shards) =
        sample.map(|sample| total.div_ceil(sample.max(1))).filter(|shards| *shards > 1)
    {
        let shard = format!("{}/{shards}", seed % shards);
        println!("{total} mutants, shard {shard}");
        mutants.args(["--sharding", "round-robin", "--shard", &shard]);
    }
    // cargo-mutants tests a copy of the workspace. Build the copy in a lasting folder, so that the next run finds its
    // dependencies compiled.
    if env::var_os("CARGO_TARGET_DIR").is_none() {
        mutants.env("CARGO_TARGET_DIR", folder.join("target"));
    }
    mutants.args(["--", "--tests"]);
    let status = mutants.status().with_context(|| format!("starting {mutants:?}"))?;
    ensure!(status.code().is_some_and(|code| TRIED.contains(&code)), "{mutants:?}: {status}");
    let path = folder.join("mutants.out/outcomes.json");
    let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let written =
        serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?;
    let outcomes = outcomes(&written)?;
    println!(
        "{} caught, {} missed, {} do not compile",
        outcomes.caught, outcomes.missed, outcomes.unviable
    );
    ensure!(
        is_enough(&outcomes),
        "the tests miss more than {} of 100 mutants: mutants.out/missed.txt in {} lists them; write the tests that \
         catch them",
        100 - CAUGHT_PERCENT_MIN,
        folder.display()
    );
    Ok(())
}

fn command(files: &[&str]) -> Command {
    let mut command = cargo::command();
    command.args(["mutants", "--workspace"]);
    for file in files {
        command.args(["--file", file]);
    }
    for tests in TESTS {
        command.args(["--exclude", tests]);
    }
    command
}

fn count(files: &[&str]) -> Result<usize> {
    let list = command(files).arg("--list").output().context("starting cargo mutants")?;
    ensure!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
    Ok(list.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count())
}

/// The numbers in cargo-mutants' outcomes.json.
fn outcomes(outcomes: &Value) -> Result<Outcomes> {
    let number = |name: &str| {
        outcomes[name].as_u64().with_context(|| format!("outcomes.json has no number {name}"))
    };
    Ok(Outcomes {
        caught: number("caught")? + number("timeout")?,
        missed: number("missed")?,
        unviable: number("unviable")?,
    })
}

/// True if the outcomes agree with `CAUGHT_PERCENT_MIN`. In a small sample, single misses are chance.
fn is_enough(outcomes: &Outcomes) -> bool {
    let tried = outcomes.caught + outcomes.missed;
    let has_percentage = outcomes.caught * 100 >= tried * CAUGHT_PERCENT_MIN;
    has_percentage || tried < LARGE_SAMPLE && chance(tried, outcomes.missed) >= CONTRADICTION
}

/// The probability that at least `missed` of `tried` mutants are missed, if each is missed with the probability that
/// `CAUGHT_PERCENT_MIN` leaves: the upper tail of the binomial distribution.
fn chance(tried: u64, missed: u64) -> f64 {
    let each = (100 - CAUGHT_PERCENT_MIN) as f64 / 100.0;
    let exactly = |missed: u64| {
        let ways = (0..missed).map(|k| (tried - k) as f64 / (k + 1) as f64).product::<f64>();
        ways * each.powf(missed as f64) * (1.0 - each).powf((tried - missed) as f64)
    };
    (missed..=tried).map(exactly).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mutant_whose_tests_do_not_end_is_caught() {
        let numbers =
            json!({"total_mutants": 9, "caught": 5, "missed": 1, "timeout": 2, "unviable": 1});
        let expected = Outcomes { caught: 7, missed: 1, unviable: 1 };
        assert_eq!(outcomes(&numbers).ok(), Some(expected));
    }

    #[test]
    fn five_of_a_hundred_may_be_missed() {
        assert!(is_enough(&Outcomes { caught: 95, missed: 5, unviable: 40 }));
        assert!(!is_enough(&Outcomes { caught: 94, missed: 6, unviable: 0 }));
        assert!(is_enough(&Outcomes { caught: 0, missed: 0, unviable: 3 }));
    }

    #[test]
    fn a_small_sample_fails_only_if_it_is_no_chance() {
        // 1 - 0.95^6, and 0.05^6.
        assert!((chance(6, 1) - 0.264_908).abs() < 1e-6);
        assert!((chance(6, 6) - 1.5625e-8).abs() < 1e-12);
        assert!((chance(6, 0) - 1.0).abs() < 1e-12);
        assert!(is_enough(&Outcomes { caught: 4, missed: 2, unviable: 0 }));
        assert!(!is_enough(&Outcomes { caught: 2, missed: 4, unviable: 0 }));
        assert!(!is_enough(&Outcomes { caught: 0, missed: 3, unviable: 0 }));
        assert!(!is_enough(&Outcomes { caught: 56, missed: 4, unviable: 0 }));
    }
}
