//! Writes an archive of files for the kernel's initramfs, in the format of
//! Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's source.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

const MAGIC: &str = "070701";
const TRAILER: &str = "TRAILER!!!";
const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

/// Files by their paths, without a leading slash. Each folder precedes its entries.
#[derive(Clone, Default)]
pub struct Files(BTreeMap<PathBuf, Entry>);

#[derive(Clone)]
enum Entry {
    Folder,
    /// A copy of the host's file with this path.
    Copy(PathBuf),
    /// A file with these bytes.
    Text(Vec<u8>),
    Link(PathBuf),
}

impl Files {
    /// Adds a copy of one of the host's files.
    pub fn copy(&mut self, path: impl AsRef<Path>, from: impl Into<PathBuf>) {
        self.insert(path.as_ref(), Entry::Copy(from.into()));
    }

    /// Adds a file with this content.
    pub fn text(&mut self, path: impl AsRef<Path>, text: impl Into<Vec<u8>>) {
        self.insert(path.as_ref(), Entry::Text(text.into()));
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: impl AsRef<Path>, to: impl Into<PathBuf>) {
        self.insert(path.as_ref(), Entry::Link(to.into()));
    }

    /// True if a path exists in the archive.
    pub fn contains(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }

    fn insert(&mut self, path: &Path, entry: Entry) {
        for folder in path.ancestors().skip(1).filter(|folder| *folder != Path::new("")) {
            self.0.entry(folder.to_owned()).or_insert(Entry::Folder);
        }
        self.0.insert(path.to_owned(), entry);
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// When a file of the host can't be read, or the archive can't be written.
    pub fn write(&self, mut to: impl Write) -> Result<()> {
        for (number, (path, entry)) in (1..).zip(&self.0) {
            let (mode, content) = match entry {
                Entry::Folder => (FOLDER, Vec::new()),
                Entry::Copy(from) => {
                    let bytes = fs::read(from);
                    (PROGRAM, bytes.with_context(|| format!("reading {}", from.display()))?)
                }
                Entry::Text(bytes) => (PROGRAM, bytes.clone()),
                Entry::Link(target) => (LINK, text(target)?.into()),
            };
            write_entry(&mut to, number, text(path)?, mode, &content)
                .with_context(|| format!("writing {} into the archive", path.display()))?;
        }
        write_entry(&mut to, 0, TRAILER, 0, &[]).context("ending the archive")?;
        to.flush().context("ending the archive")
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

fn write_entry(
    to: &mut impl Write,
    number: u32,
    name: &str,
    mode: u32,
    content: &[u8],
) -> io::Result<()> {
    let size = |length: usize| u32::try_from(length).map_err(io::Error::other);
    let owner = 0;
    let links = 1;
    let time = 0;
    let device = 0;
    let checksum = 0;
    let name_size = size(name.len() + 1)?;
    let content_size = size(content.len())?;
    let mut header = MAGIC.to_owned();
    for field in [
        number,
        mode,
        owner,
        owner,
        links,
        time,
        content_size,
        device,
        device,
        device,
        device,
        name_size,
        checksum,
    ] {
        header.push_str(&format!("{field:08x}"));
    }
    header.push_str(name);
    header.push('\0');
    to.write_all(header.as_bytes())?;
    to.write_all(padding(header.len()))?;
    to.write_all(content)?;
    to.write_all(padding(content.len()))
}

/// The padding to a multiple of four bytes.
fn padding(length: usize) -> &'static [u8] {
    &[0; 3][..length.next_multiple_of(4) - length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_a_folder_as_the_format_has_it() {
        let mut files = Files::default();
        files.text("etc/odd", "12345");
        let mut archive = Vec::new();
        files.write(&mut archive).expect("an archive");
        // Each entry's fields are: number, mode, owner, group, links, time, size, two devices, length of
        // the name with its terminator, checksum. The header with the name is padded to a multiple of
        // four bytes, and so is the content.
        let wanted = [
            "070701000000010000\
             41ed0000000000000000000000010000000000000000000000000000000000000000000000000000000400000000",
            "etc\0\0\0",
            "070701000000020000\
             81ed0000000000000000000000010000000000000005000000000000000000000000000000000000000800000000",
            "etc/odd\0\0\0",
            "12345\0\0\0",
            "07070100000000000000000000000000000000000000010000000000000000000000000000000000000000000000\
             000000000b00000000",
            "TRAILER!!!\0\0\0\0",
        ];
        assert_eq!(String::from_utf8_lossy(&archive), wanted.concat());
    }
}
