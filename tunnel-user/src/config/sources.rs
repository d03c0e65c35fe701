//! The files of a cluster: the cluster file, and the files of the folder beside it. Their texts, one after the other, are
//! the cluster's text, and a line of that text has its file and its line there.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// The files of a cluster's text, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    first: PathBuf,
    rest: Vec<Source>,
}

/// A file behind the first one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    path: PathBuf,
    /// The number of the file's first line in the cluster's text, from 1.
    line: usize,
    /// The offset of the file's first byte in the cluster's text.
    start: usize,
}

/// A change of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange<'a> {
    /// The file.
    pub path: &'a Path,
    /// The file's former text.
    pub former: &'a str,
    /// The file's new text.
    pub text: &'a str,
}

impl Sources {
    /// A text from one file.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        Self { first: path.to_owned(), rest: Vec::new() }
    }

    /// The first file: the cluster file.
    #[must_use]
    pub fn first(&self) -> &Path {
        &self.first
    }

    /// True if the text comes from one file.
    #[must_use]
    pub const fn is_one_file(&self) -> bool {
        self.rest.is_empty()
    }

    /// Appends the text of a further file to `text`, the text of the files so far, and returns the number of its first
    /// line. The file begins on a line of its own.
    pub(super) fn append(&mut self, text: &mut String, path: PathBuf, more: &str) -> usize {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        let from = self.rest.last().map_or(0, |source| source.start);
        let before = self.rest.last().map_or(1, |source| source.line);
        let newlines = text[from..].bytes().filter(|byte| *byte == b'\n').count();
        let line = before + newlines;
        self.rest.push(Source { path, line, start: text.len() });
        text.push_str(more);
        line
    }

    /// The file that has this line of the cluster's text, and the line in that file. Lines count from 1.
    #[must_use]
    pub fn locate(&self, line: usize) -> (&Path, usize) {
        let index = self.rest.partition_point(|source| source.line <= line);
        match index.checked_sub(1).and_then(|index| self.rest.get(index)) {
            Some(source) => (&source.path, line - source.line + 1),
            None => (&self.first, line),
        }
    }

    /// The change of the one file in which `new` differs from `text`, the cluster's text. `None` without a difference,
    /// and if several files differ.
    #[must_use]
    pub fn change<'a>(&'a self, text: &'a str, new: &'a str) -> Option<FileChange<'a>> {
        let files = || {
            let ends = self.rest.iter().map(|source| source.start).chain([text.len()]);
            let starts = [0].into_iter().chain(self.rest.iter().map(|source| source.start));
            let paths = [self.first.as_path()].into_iter();
            let paths = paths.chain(self.rest.iter().map(|source| source.path.as_path()));
            paths.zip(starts.zip(ends).map(|(start, end)| start..end))
        };
        let changed = |(path, range): (&'a Path, Range<usize>)| {
            let (before, former) = (text.get(..range.start)?, text.get(range.clone())?);
            let behind = text.get(range.end..)?;
            let new = new.strip_prefix(before)?.strip_suffix(behind)?;
            (new != former).then_some(FileChange { path, former, text: new })
        };
        files().find_map(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_files() -> (Sources, String) {
        let mut sources = Sources::of(Path::new("cluster.toml"));
        let mut text = "a\nb".to_owned();
        let lines = [("a.toml", "c\nd\n"), ("b.toml", ""), ("c.toml", "e\n")]
            .map(|(path, more)| sources.append(&mut text, path.into(), more));
        assert_eq!((text.as_str(), lines), ("a\nb\nc\nd\ne\n", [3, 5, 5]));
        (sources, text)
    }

    #[test]
    fn a_line_of_the_text_has_its_file_and_its_line_there() {
        let (sources, _) = three_files();
        let found: Vec<_> = (1..=6).map(|line| sources.locate(line)).collect();
        let wanted = [
            ("cluster.toml", 1),
            ("cluster.toml", 2),
            ("a.toml", 1),
            ("a.toml", 2),
            ("c.toml", 1),
            ("c.toml", 2),
        ];
        assert_eq!(found, wanted.map(|(path, line)| (Path::new(path), line)));
    }

    #[test]
    fn the_change_of_a_text_is_the_change_of_one_file() {
        let (sources, text) = three_files();
        let of = |new: &'static str| {
            sources
                .change(&text, new)
                .map(|change| (change.path.to_owned(), change.text.to_owned()))
        };
        assert_eq!(of("a\nx\nc\nd\ne\n"), Some(("cluster.toml".into(), "a\nx\n".into())));
        assert_eq!(of("a\nb\nd\ne\n"), Some(("a.toml".into(), "d\n".into())));
        assert_eq!(of("a\nb\nc\nd\ne2\n"), Some(("c.toml".into(), "e2\n".into())));
        assert_eq!(of("a\nb\nc\nd\ne\n"), None, "no change");
        assert_eq!(of("a\nx\nc\nd\nx\n"), None, "two files");
    }

    #[test]
    fn a_single_file_has_all_lines() {
        let sources = Sources::of(Path::new("cluster.toml"));
        assert!(sources.is_one_file());
        assert_eq!(sources.locate(9), (Path::new("cluster.toml"), 9));
    }
}
