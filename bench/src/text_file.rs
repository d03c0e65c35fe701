//! Writes a text for a command into a temporary file.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use tempfile::NamedTempFile;

/// A temporary file that only its owner can read. Dropping this value deletes the file.
pub struct TextFile(NamedTempFile);

impl TextFile {
    /// Writes a text into a new file.
    pub fn with(text: &str) -> Result<Self> {
        let mut file = NamedTempFile::new().context("create a temporary file")?;
        file.write_all(text.as_bytes())
            .with_context(|| format!("write {}", file.path().display()))?;
        Ok(Self(file))
    }

    /// The file's path, as an argument of a command.
    pub fn word(&self) -> Result<&str> {
        self.0.path().to_str().context("a temporary folder that is not UTF-8")
    }
}
