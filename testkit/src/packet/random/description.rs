//! Describes a packet in one line, which is formatted only when a test reads it.

use std::fmt;
use std::net::IpAddr;

/// One fact about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A word.
    Word(&'static str),
    /// A name and a number.
    Number(&'static str, usize),
    /// A name and a range of bytes. The range excludes its end.
    Range(&'static str, usize, usize),
    /// The source and the destination.
    Ends(IpAddr, IpAddr),
    /// The start of the notes about a packet inside this packet.
    Open,
    /// The end of the inner packet's notes.
    Close,
}

/// The description of a packet.
#[derive(Clone, Debug, Default)]
pub struct Description {
    notes: Vec<Note>,
    /// If true, the packet is complete, and all its own lengths, versions and checksums are right. A quoted or
    /// tunnelled packet may still have faults.
    pub honest: bool,
}

impl Description {
    /// An empty description of a packet without faults.
    #[must_use]
    pub(super) fn new() -> Self {
        Self { notes: Vec::with_capacity(16), honest: true }
    }

    /// Adds a note.
    pub(super) fn note(&mut self, note: Note) {
        self.notes.push(note);
    }

    /// True if a note about the packet, or about a packet inside it, has this word.
    #[must_use]
    pub fn says(&self, word: &str) -> bool {
        self.notes.iter().any(|note| match note {
            Note::Word(said) | Note::Number(said, _) | Note::Range(said, ..) => *said == word,
            _ => false,
        })
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for note in &self.notes {
            match note {
                Note::Open => {
                    f.write_str(" (")?;
                    separator = "";
                    continue;
                }
                Note::Close => {
                    f.write_str(")")?;
                    continue;
                }
                _ => f.write_str(separator)?,
            }
            separator = ", ";
            match note {
                Note::Word(word) => f.write_str(word)?,
                Note::Number(of, number) => write!(f, "{of} {number}")?,
                Note::Range(of, from, to) => write!(f, "{of} {from}..{to}")?,
                Note::Ends(source, destination) => write!(f, "{source} > {destination}")?,
                Note::Open | Note::Close => {}
            }
        }
        Ok(())
    }
}
