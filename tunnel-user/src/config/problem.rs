//! Holds the problems of a file, and formats them for the user.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1, of the key or value at fault. `None` if the file could not be read.
    pub line: Option<usize>,
    /// The fault, on one line.
    pub message: String,
    /// The remedy, on one line.
    pub help: String,
}

impl Problem {
    pub(super) fn at(line: usize, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { line: Some(line), message: message.into(), help: help.into() }
    }
}

/// The maximum number of reported problems: nobody fixes more before the next run, and a file of a million
/// members may have millions.
pub(super) const PROBLEMS_MAX: usize = 100;

/// True if there is one problem more than the maximum: the report then says that the file has more problems.
pub(super) const fn are_enough(problems: &[Problem]) -> bool {
    problems.len() > PROBLEMS_MAX
}

/// The error for a refused file: at least one [`Problem`] and at most [`PROBLEMS_MAX`], in the order of their
/// lines.
///
/// For each problem, `Display` prints `FILE:LINE: message` and, on the next line, `  help: remedy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: PathBuf,
    problems: Vec<Problem>,
    has_more: bool,
}

impl ConfigError {
    pub(super) fn new(file: &Path, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.line);
        let has_more = are_enough(&problems);
        problems.truncate(PROBLEMS_MAX);
        Self { file: file.to_owned(), problems, has_more }
    }

    /// The file that was refused.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The problems, in the order of their lines.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:", self.file.display())?;
            if let Some(line) = problem.line {
                write!(f, "{line}:")?;
            }
            write!(f, " {}\n  help: {}", problem.message, problem.help)?;
        }
        if self.has_more {
            write!(
                f,
                "\n{}: the file has more problems than these {PROBLEMS_MAX}\n  help: fix these, \
                 then run the command again",
                self.file.display()
            )?;
        }
        Ok(())
    }
}

impl Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_prints_with_file_line_and_help() {
        let error = ConfigError::new(
            Path::new("a.toml"),
            vec![Problem::at(7, "late", "x"), Problem::at(2, "early", "y")],
        );
        assert_eq!(error.to_string(), "a.toml:2: early\n  help: y\na.toml:7: late\n  help: x");
    }

    #[test]
    fn no_more_than_a_hundred_problems_are_printed() {
        let problems = |count| (1..=count).map(|line| Problem::at(line, "wrong", "x")).collect();
        let printed = |count| ConfigError::new(Path::new("a.toml"), problems(count)).to_string();
        assert!(!printed(100).contains("more"), "{}", printed(100));
        assert!(printed(101).ends_with(
            "more problems than these 100\n  help: fix these, then run the command again"
        ));
        assert_eq!(printed(1000).matches("wrong").count(), 100);
    }

    #[test]
    fn a_file_that_was_not_read_has_no_line() {
        let problem =
            Problem { line: None, message: "no such file".into(), help: "write it".into() };
        let error = ConfigError::new(Path::new("a.toml"), vec![problem]);
        assert_eq!(error.to_string(), "a.toml: no such file\n  help: write it");
    }
}
