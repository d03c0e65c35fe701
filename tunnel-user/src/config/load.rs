//! Reads the cluster file and the files of the folder beside it from disk. No other file of this module does I/O.

use std::ffi::OsString;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::libc;

use super::lines::Place;
use super::problem::Problem;
use super::sources::Sources;
use super::{Clusters, ConfigError, fragment, parse_sources};

/// The maximum size of a cluster's text in bytes. A million members need about 75 MB.
const SIZE_MAX: u64 = 128 << 20;
/// The ending of the cluster file's name, and of the names of the files that count in the folder beside it.
const ENDING: &str = "toml";
/// The ending of the folder's name.
const FOLDER_ENDING: &str = "d";

/// The text of a cluster, and the files from which it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterText {
    /// The text. The files are one behind the other in it.
    pub text: String,
    /// The files.
    pub sources: Sources,
}

/// The folder whose files belong to the cluster file at `path`: `cluster.d` for `cluster.toml`. `None` if the file's
/// name has another ending.
#[must_use]
pub fn folder_beside(path: &Path) -> Option<PathBuf> {
    path.extension().is_some_and(|it| it == ENDING).then(|| path.with_extension(FOLDER_ENDING))
}

/// Reads the cluster file at `path`.
///
/// # Errors
/// A [`ConfigError`] if the file can't be read or is not UTF-8, and all errors of [`super::parse`].
pub fn load(path: &Path) -> Result<Clusters, ConfigError> {
    load_with_text(path).map(|(cluster, _)| cluster)
}

/// Like [`load`], and also returns the text.
///
/// # Errors
/// The errors of [`load`].
pub fn load_with_text(path: &Path) -> Result<(Clusters, ClusterText), ConfigError> {
    let text = read_text(path)?;
    let mut cluster = ClusterText { text, sources: Sources::of(path) };
    if let Some(folder) = folder_beside(path) {
        add_folder(&mut cluster, &folder)?;
    }
    parse_sources(&cluster.sources, &cluster.text).map(|parsed| (parsed, cluster))
}

/// Appends the files of the folder, in the order of their names. Without a folder, there are none.
fn add_folder(cluster: &mut ClusterText, folder: &Path) -> Result<(), ConfigError> {
    let refused = |problem| Err(ConfigError::new(&Sources::of(folder), "", vec![problem]));
    let names = match names(folder) {
        Ok(names) => names,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            return refused(Problem::of_file(
                "the path is a file, and not the folder of the members' files",
                "rename the file, or make it a folder of files with [[member]] tables",
            ));
        }
        Err(error) => return refused(unreadable(&error.into())),
    };
    for name in names {
        let path = folder.join(name);
        let more = read_text(&path)?;
        if (cluster.text.len() + more.len()) as u64 > SIZE_MAX {
            return refused(unreadable(&io::Error::from(ErrorKind::FileTooLarge).into()));
        }
        let line = cluster.sources.append(&mut cluster.text, path, &more);
        fragment::check(&more, line)
            .map_err(|problem| ConfigError::new(&cluster.sources, &cluster.text, vec![problem]))?;
    }
    Ok(())
}

/// The names of the folder's files that count, in order. Hidden files are copies of editors and of configuration
/// management.
fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        if !is_hidden && Path::new(&name).extension().is_some_and(|ending| ending == ENDING) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    read(path)
        .map_err(|error| unreadable(&error))
        .and_then(into_text)
        .map_err(|problem| ConfigError::new(&Sources::of(path), "", vec![problem]))
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

    /// Two members in the cluster file, and the given files in the folder beside it.
    fn with_folder(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let top = tempfile::tempdir().expect("a folder");
        let path = top.path().join("cluster.toml");
        let member = |name: &str, number: u8| {
            format!(
                "[[member]]\nname = \"{name}\"\nprivate = \"10.0.0.{number}\"\n\
                 public = \"192.0.2.{number}\"\n"
            )
        };
        fs::write(&path, member("srva", 1) + &member("srvb", 2)).expect("a file");
        let folder = folder_beside(&path).expect("a folder's name");
        fs::create_dir(&folder).expect("a folder");
        for (name, text) in files {
            let text = text.replace("SRVC", &member("srvc", 3)).replace("SRVD", &member("srvd", 4));
            fs::write(folder.join(name), text).expect("a file");
        }
        (top, path)
    }

    fn names_of(path: &Path) -> Vec<String> {
        let clusters = load(path).expect("right files");
        clusters.all()[0].members().iter().map(|member| member.name.to_string()).collect()
    }

    #[test]
    fn the_members_of_the_folder_follow_in_the_order_of_the_files_names() {
        let (_top, path) = with_folder(&[
            ("20.toml", "SRVC"),
            ("10.toml", "# first\nSRVD"),
            (".30.toml.swp", "wrong"),
            (".40.toml", "wrong"),
            ("README", "wrong"),
        ]);
        assert_eq!(names_of(&path), ["srva", "srvb", "srvd", "srvc"]);
        let (_, cluster) = load_with_text(&path).expect("right files");
        let line = 1 + cluster.text.lines().position(|line| line.contains("srvc")).expect("srvc");
        let (file, line) = cluster.sources.locate(line);
        assert!(file.ends_with("cluster.d/20.toml") && line == 2, "{}:{line}", file.display());
    }

    #[test]
    fn an_empty_folder_and_no_folder_change_nothing() {
        let (_top, path) = with_folder(&[]);
        assert_eq!(names_of(&path), ["srva", "srvb"]);
        let text = fs::read_to_string(&path).expect("the file");
        assert_eq!(load_with_text(&path).expect("a right file").1.text, text);
        let other = path.with_extension("conf");
        fs::rename(&path, &other).expect("another name");
        assert_eq!(names_of(&other), ["srva", "srvb"]);
    }

    #[test]
    fn a_problem_names_the_file_of_the_folder() {
        for (text, wanted) in [
            ("drain = \"1h\"\n", "cluster.d/10.toml:1: the key \"drain\" is outside of a member"),
            ("[[member]]\nname =\n", "cluster.d/10.toml:2: this is not TOML"),
            ("[[member]]\nname = \"x y\"\n", "cluster.d/10.toml:2: "),
            (
                "[[member]]\nname = \"srva\"\nprivate = \"10.0.0.9\"\npublic = \"192.0.2.9\"\n",
                "cluster.toml:2)",
            ),
        ] {
            let (_top, path) = with_folder(&[("10.toml", text), ("20.toml", "SRVC")]);
            let error = load(&path).expect_err(text).to_string();
            assert!(error.contains(wanted), "{wanted}: {error}");
        }
        let (_top, path) = with_folder(&[]);
        let folder = folder_beside(&path).expect("a folder's name");
        fs::remove_dir(&folder).expect("an empty folder");
        fs::write(&folder, "").expect("a file in its place");
        let error = load(&path).expect_err("a file").to_string();
        assert!(error.contains("cluster.d: the path is a file"), "{error}");
    }
}
