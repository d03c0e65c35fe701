//! Checks the length of the Rust files: at most 400 lines, because long files are hard to search, and at least 40,
//! because short files make a reader switch between files.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::rust_files;

/// The maximum number of lines in a file.
const MOST: usize = 400;
/// The minimum number of lines in a file without a reason in `SHORT`.
const FEWEST: usize = 40;

/// The files that list modules may be short.
const MODULE_LISTS: [&str; 3] = ["mod.rs", "lib.rs", "main.rs"];

const VARIANT: &str = "one file a variant of the benchmark";
const HEADER: &str = "one file a header";
const MAP: &str = "one file a map";
const SUBJECT: &str = "one file a subject of tests";

/// The files that may be short, each with its reason.
const SHORT: &[(&str, &str)] = &[
    ("bench/src/end_to_end/variants/empty.rs", VARIANT),
    ("bench/src/end_to_end/variants/ipip.rs", VARIANT),
    ("bench/src/end_to_end/variants/iptables.rs", VARIANT),
    ("bench/src/end_to_end/variants/l2tp.rs", VARIANT),
    ("bench/src/end_to_end/variants/rewrite.rs", VARIANT),
    ("bench/src/end_to_end/variants/vxlan.rs", VARIANT),
    ("bench/src/end_to_end/variants/wireguard_kernel.rs", VARIANT),
    ("bench/src/load/request_response.rs", "one file a load"),
    ("bench/src/progress.rs", "all suites show it"),
    ("bench/src/text_file.rs", "the suites and the competitors write their files with it"),
    ("fuzz/src/expect.rs", "all targets check refusals with it"),
    ("testkit/src/packet/infiniband.rs", HEADER),
    ("testkit/src/packet/setters.rs", "the macros of the transports and IP headers"),
    ("testkit/src/packet/tests/lies.rs", SUBJECT),
    ("testkit/src/process.rs", "namespaces, labs and GlusterFS run commands with it"),
    ("tests/tests/dataplane/multicast.rs", SUBJECT),
    ("tests/tests/drivers/traffic.rs", SUBJECT),
    ("tests/tests/drivers/tunnels.rs", SUBJECT),
    ("tests/tests/packet_table/malformed.rs", SUBJECT),
    ("tunnel-common/src/bypass.rs", MAP),
    ("tunnel-common/src/members.rs", MAP),
    ("tunnel-ebpf/src/decide/tests/missed.rs", SUBJECT),
    ("tunnel-ebpf/src/parse/ip.rs", "the result of the parsers of both versions"),
    ("tunnel-ebpf/src/parse/tcp.rs", HEADER),
    ("tunnel-user/src/config/bypass_list.rs", "validate.rs, its only user, is near the limit"),
    ("tunnel-user/src/dataplane/pins/tests.rs", "pins.rs has no room for its tests"),
    ("tunnel-user/src/host/clock.rs", "commands, ops and output read the clock"),
    (
        "tunnel-user/src/host/freed_memory.rs",
        "the unsafe calls of the allocator, apart from the daemon",
    ),
    (
        "tunnel-user/src/ops/lock_attached.rs",
        "in attached.rs, it would close a circle with upgrade.rs",
    ),
    ("tunnel-user/src/commands/dry_run.rs", "one file a verb"),
    ("tunnel-user/src/commands/import.rs", "one file a verb"),
    ("tunnel-user/src/output/progress.rs", "all verbs show it"),
    ("xtask/src/cargo.rs", "every task runs cargo with it"),
    ("xtask/src/lock.rs", "build, previous and setup take it"),
    ("xtask/src/progress.rs", "setup, managers and vm run commands with it"),
];

/// Fails if a file is too long, or too short without a reason.
pub fn check(workspace: &Path) -> Result<()> {
    let files: Vec<_> = rust_files(workspace)?
        .into_iter()
        .map(|path| {
            let text =
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let file = path.strip_prefix(workspace).context("a file of the workspace")?;
            Ok((file.display().to_string(), text.lines().count()))
        })
        .collect::<Result<_>>()?;
    let files: Vec<_> = files.iter().map(|(file, lines)| (file.as_str(), *lines)).collect();
    let violations = violations(&files, SHORT);
    if violations.is_empty() {
        return Ok(());
    }
    bail!("the length of files:\n{}", violations.join("\n"))
}

/// Describes the files that break the rule, and the outdated rows of `short`. Each item of `files` is a file's path
/// and number of lines.
fn violations(files: &[(&str, usize)], short: &[(&str, &str)]) -> Vec<String> {
    let is_list = |path: &str| MODULE_LISTS.contains(&path.rsplit('/').next().unwrap_or(path));
    let has_reason = |path: &str| short.iter().any(|(row, _)| *row == path);
    let of_files = files.iter().filter_map(|(path, lines)| {
        if *lines > MOST {
            Some(format!("{path}: {lines} lines, more than {MOST}: split it by its jobs"))
        } else if *lines < FEWEST && !is_list(path) && !has_reason(path) {
            Some(format!(
                "{path}: {lines} lines, fewer than {FEWEST}: merge it into the file that uses it, or add it with its \
                 reason to SHORT (xtask/src/lint/file_length.rs)"
            ))
        } else {
            None
        }
    });
    let of_rows = short.iter().filter_map(|(row, reason)| {
        let found = files.iter().find(|(path, _)| path == row);
        let state = match found {
            Some((_, lines)) if *lines < FEWEST => return None,
            Some((_, lines)) => format!("{lines} lines"),
            None => "no such file".to_owned(),
        };
        Some(format!(
            "{row}: {state}: remove its row (\"{reason}\") from SHORT (xtask/src/lint/file_length.rs)"
        ))
    });
    of_files.chain(of_rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: (&str, &str) = ("a/src/leaf.rs", "all siblings use it");

    #[test]
    fn files_of_40_to_400_lines_pass() {
        assert_eq!(violations(&[("a/src/x.rs", 40), ("a/src/y.rs", 400)], &[]), [""; 0]);
    }

    #[test]
    fn a_file_that_is_too_long_is_found_even_with_a_reason() {
        let found = violations(&[("a/src/lib.rs", 401)], &[]);
        assert_eq!(found, ["a/src/lib.rs: 401 lines, more than 400: split it by its jobs"]);
        assert_eq!(violations(&[(ROW.0, 401)], &[ROW]).len(), 2, "the row is outdated as well");
    }

    #[test]
    fn a_short_file_needs_a_reason_unless_it_lists_modules() {
        let found = violations(&[("a/src/leaf.rs", 39)], &[]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("a/src/leaf.rs: 39 lines, fewer than 40: merge"), "{found:?}");
        assert_eq!(violations(&[(ROW.0, 39)], &[ROW]), [""; 0]);
        for list in ["a/src/lib.rs", "a/src/main.rs", "a/src/b/mod.rs"] {
            assert_eq!(violations(&[(list, 3)], &[]), [""; 0], "{list}");
        }
        assert_eq!(violations(&[("a/src/my_mod.rs", 3)], &[]).len(), 1);
    }

    #[test]
    fn a_row_whose_file_is_gone_or_has_grown_is_found() {
        for (files, state) in [(&[][..], "no such file"), (&[(ROW.0, 40)], "40 lines")] {
            let found = violations(files, &[ROW]);
            let wanted =
                format!("a/src/leaf.rs: {state}: remove its row (\"all siblings use it\")");
            assert!(found.len() == 1 && found[0].starts_with(&wanted), "{found:?}");
        }
    }
}
