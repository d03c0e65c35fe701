//! Checks the imports of tunnel-user: each folder imports only from itself and from folders earlier in the list
//! `FROM_THE_BOTTOM`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::rust_files;

/// The folders, and the files beside them, from the bottom up. `output` is not in the list, because it belongs to the
/// binary, which imports the rest as a crate.
const FROM_THE_BOTTOM: [&str; 11] = [
    "model",
    "config",
    "error",
    "interrupt",
    "plan",
    "host",
    "dataplane",
    "trial",
    "ops",
    "commands",
    "cli",
];

/// Fails if a file in `source` or its subfolders imports from a folder later in `FROM_THE_BOTTOM` than the file's own.
pub fn check(source: &Path) -> Result<()> {
    let mut wrong = Vec::new();
    for path in rust_files(source)? {
        let within = path.strip_prefix(source).context("a file of the crate")?;
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let upward = upward(folder(within), &text);
        wrong.extend(upward.map(|line| format!("{}: {line}", path.display())));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!(
        "imports from a folder above; from the bottom up, the folders are {}:\n{}",
        FROM_THE_BOTTOM.join(", "),
        wrong.join("\n")
    )
}

/// The first folder of a file's path, or the file's name without `.rs` if the path has no folder.
fn folder(within: &Path) -> &str {
    let first = within.iter().next().and_then(|name| name.to_str()).unwrap_or_default();
    first.strip_suffix(".rs").unwrap_or(first)
}

/// The lines of `text`, apart from comments, that name a folder later in `FROM_THE_BOTTOM` than `folder`.
fn upward<'a>(folder: &'a str, text: &'a str) -> impl Iterator<Item = &'a str> {
    let height = |name: &str| FROM_THE_BOTTOM.iter().position(|known| *known == name);
    let own = height(folder);
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    lines.filter(move |line| {
        let named = line.split("crate::").skip(1).filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            height(&rest[..end.unwrap_or(rest.len())])
        });
        own.is_some_and(|own| named.into_iter().any(|named| named > own))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_from_below_is_fine_and_one_from_above_is_found() {
        let text = "//! See crate::commands::run.\nuse crate::model::Prefix;\nuse crate::trial::State;\n\
                    let x = crate::host::clock::now();\n";
        let found = |folder| upward(folder, text).collect::<Vec<_>>();
        assert_eq!(found("commands"), [""; 0]);
        assert_eq!(found("dataplane"), ["use crate::trial::State;"]);
        let both = ["use crate::trial::State;", "let x = crate::host::clock::now();"];
        assert_eq!(found("plan"), both);
        assert_eq!(found("main"), [""; 0], "the binary sees all");
    }

    #[test]
    fn the_folder_of_a_file_is_the_first_part_of_its_path() {
        assert_eq!(folder(Path::new("plan/follow/mod.rs")), "plan");
        assert_eq!(folder(Path::new("error.rs")), "error");
    }
}
