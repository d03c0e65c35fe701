//! Reading the file from disk: the only part of the configuration that does I/O.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::problem::Problem;
use super::{Clusters, ConfigError, parse};

/// The most bytes that a file can have: twice what a million members need.
const SIZE_MAX: u64 = 256 << 20;

/// Reads the cluster file at `path`.
///
/// # Errors
/// A [`ConfigError`] if the file can't be read or is not UTF-8, and all those of [`parse`].
pub fn load(path: &Path) -> Result<Clusters, ConfigError> {
    load_with_text(path).map(|(cluster, _)| cluster)
}

/// Like [`load`], with the very text that it was read from.
///
/// # Errors
/// Those of [`load`].
pub fn load_with_text(path: &Path) -> Result<(Clusters, String), ConfigError> {
    let text = read(path)
        .map_err(|error| unreadable(&error))
        .and_then(into_text)
        .map_err(|problem| ConfigError::new(path, vec![problem]))?;
    parse(path, &text).map(|cluster| (cluster, text))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SIZE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

fn into_text(bytes: Vec<u8>) -> Result<String, Problem> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let newlines = error.as_bytes().iter().take(valid);
        let line = 1 + newlines.filter(|byte| **byte == b'\n').count();
        Problem::at(
            line,
            "this is not UTF-8 text",
            "save the file as UTF-8 text; a cluster file is TOML, not a program's own format",
        )
    })
}

fn unreadable(error: &io::Error) -> Problem {
    let (message, help) = match error.kind() {
        ErrorKind::NotFound => (
            "there is no such file".into(),
            "write the cluster file there, or name another one with --config FILE",
        ),
        ErrorKind::PermissionDenied => (
            "no permission to read it".into(),
            "run as root, or let this user read the file and search its directories",
        ),
        ErrorKind::IsADirectory => {
            ("it is a directory, not a file".into(), "name the cluster file in it: --config FILE")
        }
        ErrorKind::FileTooLarge => (
            format!("it has more than {} MiB", SIZE_MAX >> 20),
            "name the cluster file, which is small: --config FILE",
        ),
        _ => (
            format!("it can't be read: {error}"),
            "see to it that the file can be read, or name another one with --config FILE",
        ),
    };
    Problem { line: None, message, help: help.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_not_to_read_has_its_own_words() {
        for (kind, message, help) in [
            (ErrorKind::NotFound, "no such file", "--config FILE"),
            (ErrorKind::PermissionDenied, "no permission", "run as root"),
            (ErrorKind::IsADirectory, "is a directory", "--config FILE"),
            (ErrorKind::FileTooLarge, "256 MiB", "--config FILE"),
            (ErrorKind::TimedOut, "can't be read", "--config FILE"),
        ] {
            let problem = unreadable(&kind.into());
            assert_eq!(problem.line, None);
            assert!(problem.message.contains(message), "{problem:?}");
            assert!(problem.help.contains(help), "{problem:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_found_on_their_line() {
        let problem = into_text(b"a\nb\n\xff\n".to_vec()).expect_err("not UTF-8");
        assert_eq!(problem.line, Some(3));
    }
}
