//! Reads the cluster file from disk. No other file of this module does I/O.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::libc;

use super::lines::Place;
use super::problem::Problem;
use super::{Clusters, ConfigError, parse};

/// The maximum size of a file in bytes. A million members need about 75 MB.
const SIZE_MAX: u64 = 128 << 20;

/// Reads the cluster file at `path`.
///
/// # Errors
/// A [`ConfigError`] if the file can't be read or is not UTF-8, and all errors of [`parse`].
pub fn load(path: &Path) -> Result<Clusters, ConfigError> {
    load_with_text(path).map(|(cluster, _)| cluster)
}

/// Like [`load`], and also returns the file's text.
///
/// # Errors
/// The errors of [`load`].
pub fn load_with_text(path: &Path) -> Result<(Clusters, String), ConfigError> {
    let text = read(path)
        .map_err(|error| unreadable(&error))
        .and_then(into_text)
        .map_err(|problem| ConfigError::new(path, "", vec![problem]))?;
    parse(path, &text).map(|cluster| (cluster, text))
}

/// The reason why a file can't be read.
#[derive(Debug)]
enum Unreadable {
    /// The kernel's error.
    Io(io::Error),
    /// The file is a FIFO, a device or a socket: a read may wait for ever, or consume data.
    NotRegular,
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Unreadable> {
    // Check the type before the open, because opening a device can have side effects. A FIFO can replace the
    // file between the two calls: without `O_NONBLOCK`, the open would wait for a writer (fifo(7)).
    require_regular(&fs::metadata(path)?)?;
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    require_regular(&metadata)?;
    Ok(read_at_most(SIZE_MAX, file, metadata.len())?)
}

/// Reads a file of `len` bytes. The file may grow during the read. More than `max` bytes are an error.
fn read_at_most(max: u64, file: impl Read, len: u64) -> io::Result<Vec<u8>> {
    if len <= max {
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or_default() + 1);
        file.take(max + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 <= max {
            return Ok(bytes);
        }
    }
    Err(ErrorKind::FileTooLarge.into())
}

fn require_regular(metadata: &Metadata) -> Result<(), Unreadable> {
    if metadata.is_dir() {
        return Err(io::Error::from(ErrorKind::IsADirectory).into());
    }
    if metadata.is_file() { Ok(()) } else { Err(Unreadable::NotRegular) }
}

fn into_text(bytes: Vec<u8>) -> Result<String, Problem> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let newlines = error.as_bytes().iter().take(valid);
        let line = 1 + newlines.filter(|byte| **byte == b'\n').count();
        Problem::at(
            Place::of_line(line),
            "the file is not UTF-8 text",
            "save the file as UTF-8 text; a cluster file is TOML, not a program's own format",
        )
    })
}

fn unreadable(why: &Unreadable) -> Problem {
    let error = match why {
        Unreadable::Io(error) => error,
        Unreadable::NotRegular => {
            return Problem::of_file(
                "the path is a FIFO, a device or a socket, not a regular file",
                "write the cluster to a regular file, and name it with --config FILE",
            );
        }
    };
    let (message, help) = match error.kind() {
        ErrorKind::NotFound => (
            "there is no such file".into(),
            "write the cluster file there, or name another one with --config FILE",
        ),
        ErrorKind::PermissionDenied => (
            "no permission to read it".into(),
            "run as root, or let this user read the file and search its directories",
        ),
        ErrorKind::IsADirectory => (
            "the path is a directory, not a file".into(),
            "name the cluster file in it: --config FILE",
        ),
        ErrorKind::FileTooLarge => (
            format!("the file has more than {} MiB", SIZE_MAX >> 20),
            "name the cluster file, which is small: --config FILE",
        ),
        _ => (
            format!("rewrite can't read the file: {error}"),
            "make the file readable, or name another one with --config FILE",
        ),
    };
    Problem::of_file(message, help)
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
            (ErrorKind::FileTooLarge, "128 MiB", "--config FILE"),
            (ErrorKind::TimedOut, "can't read the file", "--config FILE"),
        ] {
            let problem = unreadable(&Unreadable::Io(kind.into()));
            assert_eq!(problem.line, None);
            assert!(problem.message.contains(message), "{problem:?}");
            assert!(problem.help.contains(help), "{problem:?}");
        }
    }

    #[test]
    fn a_fifo_or_a_device_is_refused_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        for path in [fifo.as_path(), Path::new("/dev/zero")] {
            let error = load(path).expect_err("not a regular file");
            assert!(error.to_string().contains("not a regular file"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        file.as_file().set_len(SIZE_MAX + 1).expect("a hole");
        let error = load(file.path()).expect_err("too large");
        assert!(error.to_string().contains("128 MiB"), "{error}");
    }

    #[test]
    fn a_file_of_the_most_bytes_is_read_whole_and_one_that_grows_beyond_is_refused() {
        let too_large = |result: io::Result<Vec<u8>>| {
            result.is_err_and(|error| error.kind() == ErrorKind::FileTooLarge)
        };
        assert_eq!(read_at_most(4, &b"abcd"[..], 4).expect("four bytes"), b"abcd");
        assert_eq!(read_at_most(4, &b"abcd"[..], 1).expect("it grew to four"), b"abcd");
        assert_eq!(read_at_most(4, io::empty(), 0).expect("an empty file"), b"");
        assert!(too_large(read_at_most(4, &b"abcde"[..], 1)));
        assert!(too_large(read_at_most(4, io::empty(), 5)), "its length suffices");
    }

    #[test]
    fn bytes_that_are_not_text_are_found_on_their_line() {
        let problem = into_text(b"a\nb\n\xff\n".to_vec()).expect_err("not UTF-8");
        assert_eq!(problem.line, Some(3));
    }
}
