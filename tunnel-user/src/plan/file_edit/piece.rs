//! Finds the lines of one member in the text of a cluster file, and replaces them.

use std::ops::Range;

/// The first line of a member.
const HEADER: &str = "[[member]]";

/// The bytes of the member that begins on `line`, counted from 1: the comment lines directly above it, its lines, and
/// the lines up to the next member's comment. The whole text, if the line is no `[[member]]`.
pub(super) fn of_member(text: &str, line: usize) -> Range<usize> {
    if !has_header(text, line) {
        return 0..text.len();
    }
    let header = line_start(text, line);
    let behind = header + text[header..].find('\n').map_or(text.len() - header, |at| at + 1);
    let mut end = behind;
    for line in text[behind..].split_inclusive('\n') {
        if line.trim_start().starts_with("[[") {
            break;
        }
        end += line.len();
    }
    let end = if end == text.len() { end } else { above_comments(text, end).max(behind) };
    above_comments(text, header)..end
}

/// True if the member that begins on `line`, counted from 1, has a header line.
pub(super) fn has_header(text: &str, line: usize) -> bool {
    text[line_start(text, line)..].trim_start_matches([' ', '\t']).starts_with(HEADER)
}

fn line_start(text: &str, line: usize) -> usize {
    let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    match line.checked_sub(2) {
        Some(before) => newlines.map(|(at, _)| at + 1).nth(before).unwrap_or(text.len()),
        None => 0,
    }
}

/// The start of the comment lines that end at `end`, the start of a line.
fn above_comments(text: &str, end: usize) -> usize {
    let lines = text[..end].split_inclusive('\n').rev();
    let comments = lines.take_while(|line| line.trim_start().starts_with('#'));
    end - comments.map(str::len).sum::<usize>()
}

/// The text with `new` in place of a range. Where the range's lines end with CRLF, the new lines do as well.
pub(super) fn replaced(text: &str, range: Range<usize>, new: &str) -> String {
    let new = with_ends_of(&text[range.clone()], new);
    [&text[..range.start], &new, &text[range.end..]].concat()
}

/// The text with `rest` in place of a removed member's range, without a second blank line. `rest` holds the lines of
/// the range that stay.
pub(super) fn closed_up(text: &str, range: Range<usize>, rest: &str) -> String {
    let rest = with_ends_of(&text[range.clone()], rest);
    let rest = [&rest, &text[range.end..]].concat();
    let before = &text[..range.start];
    let kept = before.trim_end();
    if kept.is_empty() {
        return rest.trim_start_matches(['\r', '\n']).to_owned();
    }
    if rest.trim().is_empty() {
        return format!("{kept}{}", line_end(text));
    }
    let has_gap = before[kept.len()..].matches('\n').count() > 1;
    let rest = if has_gap { rest.trim_start_matches(['\r', '\n']) } else { &rest[..] };
    [before, rest].concat()
}

/// The text with `new` at its end, after a blank line.
pub(super) fn appended(text: &str, new: &str) -> String {
    let end = line_end(text);
    let gap = if text.ends_with('\n') { end.to_owned() } else { end.repeat(2) };
    [text, &gap, &with_ends_of(text, new)].concat()
}

fn line_end(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

fn with_ends_of(former: &str, new: &str) -> String {
    match line_end(former) {
        "\n" => new.to_owned(),
        end => new.replace("\r\n", "\n").replace('\n', end),
    }
}

/// The lines between the common beginning and the common end of both texts.
pub(super) fn different_lines(former: &str, new: &str) -> (Vec<String>, Vec<String>) {
    let (a, b): (Vec<_>, Vec<_>) = (former.lines().collect(), new.lines().collect());
    let same =
        |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| pairs.take_while(|(a, b)| a == b).count();
    let start = same(&mut a.iter().zip(&b));
    let end = same(&mut a[start..].iter().rev().zip(b[start..].iter().rev()));
    let owned = |lines: &[&str]| lines.iter().map(ToString::to_string).collect();
    (owned(&a[start..a.len() - end]), owned(&b[start..b.len() - end]))
}
