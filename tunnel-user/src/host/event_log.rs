//! Appends lines to the log of events under /run, and reads them. Two files of limited size hold the log: the present
//! one, and the one before it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};

use super::runtime_folder::{RUNTIME, in_folder};

/// The name of the present file. The point at its start keeps it apart from the names of interfaces.
const NAME: &str = ".events.jsonl";
/// The name of the former file.
const FORMER: &str = ".events.former.jsonl";
/// The size in bytes above which the next file begins.
const SIZE_MAX: u64 = 1 << 20;

/// The log of events in one folder.
#[derive(Clone, Debug)]
pub struct EventLog {
    folder: PathBuf,
}

impl Default for EventLog {
    fn default() -> Self {
        Self { folder: RUNTIME.into() }
    }
}

impl EventLog {
    /// The path of the present file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    /// Appends one line, in one write, and begins the next file if the present one is full. Waits for no other process.
    ///
    /// # Errors
    /// If the folder can't be written to.
    pub fn append(&self, line: &str) -> io::Result<()> {
        let path = self.path();
        let mut file = in_folder(&self.folder, || {
            OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .custom_flags(O_NOFOLLOW | O_NONBLOCK)
                .open(&path)
        })?;
        file.write_all(line.as_bytes())?;
        if file.metadata()?.len() > SIZE_MAX
            && let Ok(file) = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            && is_at(&file, &path)
        {
            fs::rename(&path, self.folder.join(FORMER))?;
        }
        Ok(())
    }

    /// A reader from the oldest line on.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader { log: self.clone(), file: None, begun: false, rest: Vec::new() }
    }

    /// A reader of the lines that come from now on.
    ///
    /// # Errors
    /// If the present file can't be read.
    pub fn reader_of_next(&self) -> io::Result<Reader> {
        let mut file = open(&self.path())?;
        if let Some(file) = &mut file {
            file.seek(SeekFrom::End(0))?;
        }
        Ok(Reader { log: self.clone(), file, begun: true, rest: Vec::new() })
    }
}

/// True if `file` is the file at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    let number = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let found = fs::metadata(path).map(number);
    file.metadata().map(number).is_ok_and(|own| found.is_ok_and(|found| found == own))
}

/// Reads the log line by line, across the beginning of new files.
#[derive(Debug)]
pub struct Reader {
    log: EventLog,
    file: Option<File>,
    /// True after the first read, which begins with the former file.
    begun: bool,
    /// The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
}

impl Reader {
    /// The lines since the last read. Without a log, there are none.
    ///
    /// # Errors
    /// If a file can't be read.
    pub fn lines(&mut self) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            self.file = open(&self.log.folder.join(FORMER))?;
        }
        let mut is_whole = false;
        loop {
            if let Some(file) = &mut self.file {
                file.read_to_end(&mut self.rest)?;
                let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                let whole: Vec<u8> = self.rest.drain(..end).collect();
                lines.extend(String::from_utf8_lossy(&whole).lines().map(str::to_owned));
            }
            let path = self.log.path();
            if self.file.as_ref().is_some_and(|file| is_at(file, &path)) {
                return Ok(lines);
            }
            if self.file.is_some() && !std::mem::replace(&mut is_whole, true) {
                // The file has got a successor: read the lines that came before that.
                continue;
            }
            match open(&path)? {
                Some(next) => {
                    (self.file, self.rest) = (Some(next), Vec::new());
                    is_whole = false;
                }
                None => return Ok(lines),
            }
        }
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_once_also_across_the_beginning_of_a_new_file() {
        let top = tempfile::tempdir().unwrap();
        let log = EventLog { folder: top.path().join("run") };
        let mut reader = log.reader();
        assert!(reader.lines().unwrap().is_empty());
        log.append("first\n").unwrap();
        assert_eq!(reader.lines().unwrap(), ["first"]);
        let long = format!("{}\n", "x".repeat(1000));
        let mut read = 0;
        for number in 0..2500 {
            log.append(&long).unwrap();
            if number % 700 == 0 {
                read += reader.lines().unwrap().len();
            }
        }
        read += reader.lines().unwrap().len();
        assert_eq!(read, 2500);
        log.append("last\n").unwrap();
        assert_eq!(reader.lines().unwrap(), ["last"]);
        let size = |name: &str| fs::metadata(log.folder.join(name)).unwrap().len();
        assert!(size(NAME) <= SIZE_MAX && size(FORMER) <= SIZE_MAX + 2000);
        assert_eq!(fs::read_dir(&log.folder).unwrap().count(), 2);
        assert!(
            log.reader().lines().unwrap().len() > 1000,
            "a new reader begins with the former file"
        );
    }

    #[test]
    fn a_reader_of_the_next_lines_skips_the_present_ones() {
        let top = tempfile::tempdir().unwrap();
        let log = EventLog { folder: top.path().into() };
        let mut before_all = log.reader_of_next().unwrap();
        log.append("first\n").unwrap();
        let mut reader = log.reader_of_next().unwrap();
        log.append("second\n").unwrap();
        assert_eq!(reader.lines().unwrap(), ["second"]);
        assert_eq!(before_all.lines().unwrap(), ["first", "second"]);
    }

    #[test]
    fn half_a_line_waits_for_its_end() {
        let top = tempfile::tempdir().unwrap();
        let log = EventLog { folder: top.path().into() };
        let mut reader = log.reader();
        log.append("be").unwrap();
        assert!(reader.lines().unwrap().is_empty());
        log.append("gun\nnext\n").unwrap();
        assert_eq!(reader.lines().unwrap(), ["begun", "next"]);
    }
}
