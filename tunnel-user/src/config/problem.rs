//! Holds the problems of a file, and formats them for the user.

use std::error::Error;
use std::fmt;
use std::path::Path;

use annotate_snippets::Renderer;

use super::excerpt::{self, Excerpt};
use super::lines::Place;
use super::sources::Sources;

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1, of the key or value at fault, in its file. `None` if the file could not be read.
    pub line: Option<usize>,
    /// The fault, on one line.
    pub message: String,
    /// The remedy, on one line.
    pub help: String,
    place: Option<Place>,
    /// The place of another key or value, with which this one is in conflict.
    other: Option<Place>,
    /// The file, if it is not the first one of the cluster's text.
    file: Option<Box<Path>>,
    excerpt: Option<Box<Excerpt>>,
}

impl Problem {
    pub(super) fn at(place: Place, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { line: Some(place.line()), place: Some(place), ..Self::of_file(message, help) }
    }

    /// A problem of the whole file, which could not be read.
    pub(super) fn of_file(message: impl Into<String>, help: impl Into<String>) -> Self {
        let (message, help) = (message.into(), help.into());
        Self { line: None, message, help, place: None, other: None, file: None, excerpt: None }
    }

    /// Names the place of another key or value at the end of the message.
    pub(super) fn with_other(self, other: Place) -> Self {
        Self { other: Some(other), ..self }
    }

    /// Gives the problem its file, and the lines their numbers in their files.
    fn located(mut self, sources: &Sources) -> Self {
        let file = self.place.map_or(sources.first(), |place| {
            let (file, line) = sources.locate(place.line());
            self.line = Some(line);
            file
        });
        if let Some(other) = self.other {
            let (path, line) = sources.locate(other.line());
            self.message += &match path == file {
                true => format!(" (line {line})"),
                false => format!(" ({}:{line})", path.display()),
            };
        }
        self.file = (file != sources.first()).then(|| file.into());
        self
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
/// For each problem, `Display` prints `FILE:LINE: message` and, on the next line, `  help: remedy`. The alternate form
/// `{:#}` shows the line of the file in between, with carets under the fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    sources: Sources,
    problems: Vec<Problem>,
    has_more: bool,
}

impl ConfigError {
    /// The excerpts come from `text`, the text of the files in `sources`.
    pub(super) fn new(sources: &Sources, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.place);
        let has_more = are_enough(&problems);
        problems.truncate(PROBLEMS_MAX);
        let places = problems.iter().map(|problem| problem.place);
        let excerpts = excerpt::of_places(text, places.flatten());
        let with_place = problems.iter_mut().filter(|problem| problem.place.is_some());
        with_place.zip(excerpts).for_each(|(problem, excerpt)| {
            let (_, line) = sources.locate(excerpt.line());
            problem.excerpt = Some(Box::new(excerpt.at_line(line)));
        });
        let problems = problems.into_iter().map(|problem| problem.located(sources)).collect();
        Self { sources: sources.clone(), problems, has_more }
    }

    /// The file that was refused; of several files, the first one.
    #[must_use]
    pub fn file(&self) -> &Path {
        self.sources.first()
    }

    /// The problems, in the order of their lines.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl ConfigError {
    /// The text with excerpts in the colours of a terminal.
    #[must_use]
    pub fn styled(&self) -> String {
        self.text(Some(&Renderer::styled()))
    }

    fn text(&self, excerpts: Option<&Renderer>) -> String {
        let first = self.file();
        let mut parts = Vec::new();
        for problem in &self.problems {
            let Problem { message, help, .. } = problem;
            let file = problem.file.as_deref().unwrap_or(first).display();
            parts.push(match problem.line {
                Some(line) => format!("{file}:{line}: {message}"),
                None => format!("{file}: {message}"),
            });
            if let (Some(renderer), Some(excerpt)) = (excerpts, &problem.excerpt) {
                parts.push(excerpt.rendered(renderer));
            }
            parts.push(format!("  help: {help}"));
        }
        if self.has_more {
            let file = first.display();
            parts.push(format!(
                "{file}: the file has more problems than these {PROBLEMS_MAX}\n  help: fix these, then run the \
                 command again"
            ));
        }
        parts.join("\n")
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let renderer = f.alternate().then(Renderer::plain);
        f.write_str(&self.text(renderer.as_ref()))
    }
}

impl Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_prints_with_file_line_and_help() {
        let error = ConfigError::new(
            &Sources::of(Path::new("a.toml")),
            "",
            vec![
                Problem::at(Place::of_line(7), "late", "x"),
                Problem::at(Place::of_line(2), "early", "y"),
            ],
        );
        assert_eq!(error.to_string(), "a.toml:2: early\n  help: y\na.toml:7: late\n  help: x");
    }

    #[test]
    fn no_more_than_a_hundred_problems_are_printed() {
        let problems = |count| {
            (1..=count).map(|line| Problem::at(Place::of_line(line), "wrong", "x")).collect()
        };
        let printed = |count| {
            ConfigError::new(&Sources::of(Path::new("a.toml")), "", problems(count)).to_string()
        };
        assert!(!printed(100).contains("more"), "{}", printed(100));
        assert!(printed(101).ends_with(
            "more problems than these 100\n  help: fix these, then run the command again"
        ));
        assert_eq!(printed(1000).matches("wrong").count(), 100);
    }

    #[test]
    fn a_file_that_was_not_read_has_no_line() {
        let problem = Problem::of_file("no such file", "write it");
        let error = ConfigError::new(&Sources::of(Path::new("a.toml")), "", vec![problem]);
        assert_eq!(error.to_string(), "a.toml: no such file\n  help: write it");
    }

    #[test]
    fn the_alternate_form_marks_the_fault_in_its_line() {
        let text = "[[member]]\nname = \"a\"\nprivate = \"10.0.0\"\npublic = 7\n";
        let error = crate::config::parse(Path::new("a.toml"), text).expect_err("wrong");
        let wanted = "\
a.toml:1: the file has one member, which has no peer
  |
1 | [[member]]
  | ^^^^^^^^^^
  help: write a [[member]] for each of the other hosts as well
a.toml:3: \"10.0.0\" is not an IP address
  |
3 | private = \"10.0.0\"
  |           ^^^^^^^^
  help: write an address, such as \"10.0.0.1\": rewrite does not resolve names
a.toml:4: public is an integer, not a string or a list of strings
  |
4 | public = 7
  |          ^
  help: write the address in quotes: public = \"10.0.0.1\"";
        assert_eq!(format!("{error:#}"), wanted);
        assert_eq!(error.to_string().lines().count(), 6);
        assert!(error.styled().contains("\u{1b}["), "{}", error.styled());
    }

    #[test]
    fn a_problem_of_a_further_file_has_its_path_and_its_line_there() {
        let mut sources = Sources::of(Path::new("a.toml"));
        let mut text = "one\ntwo\n".to_owned();
        sources.append(&mut text, "a.d/b.toml".into(), "three\nfour\n");
        let problem = |line| Problem::at(Place::of_line(line), "wrong", "x");
        let problems = vec![
            problem(2).with_other(Place::of_line(1)),
            problem(3).with_other(Place::of_line(4)),
            problem(4).with_other(Place::of_line(1)),
        ];
        let wanted = "\
a.toml:2: wrong (line 1)
  |
2 | two
  | ^^^
  help: x
a.d/b.toml:1: wrong (line 2)
  |
1 | three
  | ^^^^^
  help: x
a.d/b.toml:2: wrong (a.toml:1)
  |
2 | four
  | ^^^^
  help: x";
        assert_eq!(format!("{:#}", ConfigError::new(&sources, &text, problems)), wanted);
    }
}
