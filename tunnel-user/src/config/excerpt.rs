//! Cuts the line of a problem out of a file, and marks the fault in it.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::lines::Place;

/// The maximum number of characters of the line before the fault.
const BEFORE_MAX: usize = 60;
/// The maximum number of characters from the fault on.
const FROM_FAULT_MAX: usize = 60;
/// Stands for the rest of a line that is cut.
const CUT: &str = "...";

/// A line of a file, or the part of it around a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    line: usize,
    text: String,
    /// The bytes of `text` that are at fault.
    fault: Range<usize>,
}

/// The excerpts for places, which are sorted by line. The search ends at the last place: a long file may have its
/// fault at the top.
pub(super) fn of_places(text: &str, places: impl Iterator<Item = Place>) -> Vec<Excerpt> {
    let mut lines = text.split('\n').zip(1..);
    let mut current = lines.next();
    let excerpts = places.map(|place| {
        while current.is_some_and(|(_, number)| number < place.line()) {
            current = lines.next();
        }
        Excerpt::of(place.line(), current.map_or("", |(line, _)| line), place.bytes())
    });
    excerpts.collect()
}

impl Excerpt {
    fn of(number: usize, line: &str, fault: Range<usize>) -> Self {
        let line = line.trim_end();
        let mut start = line.floor_char_boundary(fault.start);
        let mut end = line.ceil_char_boundary(fault.end);
        if fault.is_empty() && fault.start == 0 {
            (start, end) = (line.len() - line.trim_start().len(), line.len());
        }
        let (before, rest) = line.split_at(start);
        let (fault, after) = rest.split_at(end - start);
        let before = last(before, BEFORE_MAX);
        let marked = first(fault, FROM_FAULT_MAX);
        let left = FROM_FAULT_MAX.saturating_sub(fault.chars().take(FROM_FAULT_MAX).count());
        let after = if marked.len() == fault.len() { first(after, left) } else { "" };
        let (is_cut_before, is_cut_after) =
            (start > before.len(), marked.len() + after.len() < rest.len());
        let mut text = if is_cut_before { CUT.to_owned() } else { String::new() };
        text.extend(before.chars().map(visible));
        let start = text.len();
        text.extend(marked.chars().map(visible));
        let end = text.len();
        text.extend(after.chars().map(visible));
        if is_cut_after {
            text.push_str(CUT);
        }
        Self { line: number, text, fault: start..end }
    }

    /// The number of the line.
    pub(super) const fn line(&self) -> usize {
        self.line
    }

    /// The same line under another number.
    pub(super) fn at_line(self, line: usize) -> Self {
        Self { line, ..self }
    }

    /// The line with its number, and a line with carets below it.
    pub(super) fn rendered(&self, renderer: &Renderer) -> String {
        let fault = AnnotationKind::Primary.span(self.fault.clone());
        let snippet = Snippet::source(&self.text[..]).line_start(self.line).annotation(fault);
        renderer.render(&[Group::with_level(Level::ERROR).element(snippet)])
    }
}

/// The first characters.
fn first(text: &str, max: usize) -> &str {
    text.char_indices().nth(max).map_or(text, |(at, _)| &text[..at])
}

/// The last characters.
fn last(text: &str, max: usize) -> &str {
    let Some(last) = max.checked_sub(1) else { return "" };
    text.char_indices().rev().nth(last).map_or(text, |(at, _)| &text[at..])
}

/// Replaces a control character, which a terminal would obey, with a blank.
fn visible(character: char) -> char {
    if character.is_control() { ' ' } else { character }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(line: &str, fault: Range<usize>) -> String {
        Excerpt::of(7, line, fault).rendered(&Renderer::plain())
    }

    #[test]
    fn the_carets_are_below_the_fault() {
        assert_eq!(rendered("a = \"x\"  # ä", 4..7), "  |\n7 | a = \"x\"  # ä\n  |     ^^^");
        assert_eq!(rendered("  ä ö", 0..0), "  |\n7 |   ä ö\n  |   ^^^", "the whole line");
        assert_eq!(rendered("a = 1\r", 4..900), "  |\n7 | a = 1\n  |     ^", "several lines");
        assert_eq!(rendered("a =", 3..3), "  |\n7 | a =\n  |    ^", "the end of the line");
        assert_eq!(rendered("a\u{1b}[31m = 1", 9..10).matches('\u{1b}').count(), 0);
    }

    #[test]
    fn a_long_line_is_cut_around_the_fault() {
        let line = format!("{}FAULT{}", "ä".repeat(1 << 20), "b".repeat(1 << 20));
        let text = rendered(&line, (2 << 20)..(2 << 20) + 5);
        assert!(text.chars().count() < 400, "{}", text.chars().count());
        assert!(
            text.contains("...ää") && text.contains("äFAULTb") && text.contains("bb..."),
            "{text}"
        );
        let long = rendered(&"x".repeat(1 << 20), 10..1 << 20);
        assert!(long.len() < 400 && long.contains("xx..."), "{long}");
    }

    #[test]
    fn a_place_beyond_the_text_has_an_empty_excerpt() {
        let excerpts = of_places("a\nb", [2, 9].map(Place::of_line).into_iter());
        assert_eq!(excerpts.iter().map(|excerpt| &excerpt.text[..]).collect::<Vec<_>>(), ["b", ""]);
        let _ = excerpts[1].rendered(&Renderer::plain());
    }
}
