//! One line on what a packet is, put into words only when somebody reads it.

use std::fmt;
use std::net::IpAddr;

/// One thing to say of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A word.
    Word(&'static str),
    /// A number, and of what.
    Number(&'static str, usize),
    /// From one byte to another, the latter not included, and of what.
    Range(&'static str, usize, usize),
    /// Source and destination.
    Ends(IpAddr, IpAddr),
    /// The rest is said of a packet within it.
    Open,
    /// The packet within it has nothing more.
    Close,
}

/// The kind of a packet.
#[derive(Clone, Debug, Default)]
pub struct Description {
    notes: Vec<Note>,
    /// True if every length, version and checksum of the packet itself is right and no byte is
    /// missing, whatever it quotes.
    pub honest: bool,
}

impl Description {
    /// The facts of a packet before it is read.
    #[must_use]
    pub(super) fn new() -> Self {
        Self { notes: Vec::with_capacity(16), honest: true }
    }

    /// Says one thing more.
    pub(super) fn note(&mut self, note: Note) {
        self.notes.push(note);
    }

    /// True if this is said of the packet or of one within it.
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
