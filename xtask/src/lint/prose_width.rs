//! Checks the width of the documentation's prose: at most 120 columns. Code blocks and tables keep the lines of what they
//! show.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The maximum number of characters in a line of prose.
const MOST: usize = 120;
/// The folder of the documentation. The files beside it at the top of the workspace are documentation, too.
const DOCS: &str = "docs";

/// Fails if a line of prose is too wide.
pub fn check(workspace: &Path) -> Result<()> {
    let mut files = markdown_files(workspace, false)?;
    files.extend(markdown_files(&workspace.join(DOCS), true)?);
    let mut wide = Vec::new();
    for path in files {
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let file = path.strip_prefix(workspace).context("a file of the workspace")?.display();
        wide.extend(wide_lines(&text).into_iter().map(|number| format!("{file}:{number}")));
    }
    if wide.is_empty() {
        return Ok(());
    }
    bail!("lines of prose with more than {MOST} columns, to be wrapped:\n{}", wide.join("\n"))
}

/// The numbers of the lines of prose that are too wide, from 1.
fn wide_lines(text: &str) -> Vec<usize> {
    let mut is_code = false;
    let mut wide = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        let is_table = line.starts_with('|');
        if !is_code && !is_table && line.chars().count() > MOST {
            wide.push(number);
        }
    }
    wide
}

/// The Markdown files in a folder, and in its subfolders if `recursive`, sorted.
fn markdown_files(folder: &Path, recursive: bool) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry.context("reading a folder")?.path();
        if path.is_dir() && recursive {
            found.extend(markdown_files(&path, recursive)?);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_at_most_120_columns_wide() {
        let line = |columns| "é".repeat(columns);
        assert_eq!(wide_lines(&format!("# A\n\n{}\n{}\n", line(120), line(121))), [4]);
    }

    #[test]
    fn code_and_tables_may_be_wider() {
        let wide = "x".repeat(121);
        let text = format!("```console\n{wide}\n```\n| {wide} |\n- item\n  ```\n  {wide}\n  ```\n");
        assert_eq!(wide_lines(&text), [0; 0]);
        assert_eq!(wide_lines(&format!("{text}{wide}\n")), [9]);
    }
}
