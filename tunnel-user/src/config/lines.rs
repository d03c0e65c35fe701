//! Converts the bytes of a key or value to its place: a line, and the bytes of this line.

use std::ops::Range;

/// The place of a key or value in a file. The numbers take 32 bits, because a file may have a million members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    line: u32,
    /// The first byte, counted from 0, in the line.
    start: u32,
    /// The number of bytes, which may go beyond the line; 0 for the whole line.
    length: u32,
}

impl Place {
    /// A whole line, counted from 1.
    pub(super) fn of_line(line: usize) -> Self {
        Self { line: saturated(line), start: 0, length: 0 }
    }

    /// The number of the line, from 1.
    pub(super) const fn line(self) -> usize {
        self.line as usize
    }

    /// The bytes within the line. The range may go beyond the line; an empty range at 0 means the whole line.
    pub(super) const fn bytes(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.length as usize
    }
}

/// The first line.
impl Default for Place {
    fn default() -> Self {
        Self::of_line(1)
    }
}

/// Converts a number to 32 bits; a larger number becomes the maximum. In a file of at most 128 MiB, all numbers are
/// smaller.
fn saturated(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The lines of a text, as the offset of each line's start.
pub(super) struct Lines {
    starts: Vec<usize>,
    /// The number of the first line.
    first: usize,
}

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        Self::of_piece(text, 1)
    }

    /// The lines of a piece of text whose first line has the number `first`.
    pub(super) fn of_piece(text: &str, first: usize) -> Self {
        let after_newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts =
            std::iter::once(0).chain(after_newlines.map(|(offset, _)| offset + 1)).collect();
        Self { starts, first }
    }

    /// The number of the last line, which is empty if the text ends with a newline.
    pub(super) const fn last(&self) -> usize {
        self.first + self.starts.len() - 1
    }

    /// The place of the bytes in `span`.
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        let line = self.line(span.start);
        let line_start = self.starts.get(line - self.first).copied().unwrap_or_default();
        Place {
            line: saturated(line),
            start: saturated(span.start.saturating_sub(line_start)),
            length: saturated(span.len()),
        }
    }

    /// The number of the line, from 1, that holds the byte at `offset`. Past the end, the number of the last line.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.first + self.starts.partition_point(|start| *start <= offset) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newline_belongs_to_the_line_that_it_ends() {
        let lines = Lines::of("ab\nc\r\n\nd");
        let of_each_byte: Vec<usize> = (0..9).map(|offset| lines.line(offset)).collect();
        assert_eq!(of_each_byte, [1, 1, 1, 2, 2, 2, 3, 4, 4]);
    }

    #[test]
    fn a_place_counts_bytes_from_the_start_of_its_line() {
        let lines = Lines::of_piece("ab\ncd = 7\n", 5);
        let place = lines.place(8..9);
        assert_eq!((place.line(), place.bytes()), (6, 5..6));
        assert_eq!(Place::default().bytes(), 0..0);
    }

    #[test]
    fn an_empty_text_has_one_line() {
        assert_eq!(Lines::of("").line(0), 1);
    }
}
