//! Converts an offset in the text to the number of its line.

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
    fn an_empty_text_has_one_line() {
        assert_eq!(Lines::of("").line(0), 1);
    }
}
