//! Reads a large file in pieces of a few members each. The TOML tree of a whole file of a million members takes
//! more than a gigabyte, and the allocation of this memory takes most of the time.
//!
//! If a piece alone is not enough, for example to find the line of a mistake, the reader falls back to the whole
//! file. A file longer than `WHOLE_MAX` has no such fallback, because its tree could take gigabytes: each byte
//! can become a node of the tree.

use toml::de::DeTable;

use super::keys;
use super::lines::{Lines, Place};
use super::problem::{Problem, are_enough};
use super::raw::{Reader, syntax};
use super::raw_file::{Field, RawFile};

/// The minimum size of a piece in bytes. The tree of such a small piece stays in the processor's cache.
const LENGTH: usize = 64 << 10;

/// The maximum size in bytes of a text that is read as a whole. The tree of a text of this many newlines takes 230 MB.
pub(super) const WHOLE_MAX: usize = 4 << 20;

/// The first line of each member.
const HEADER: &str = "[[member]]";

/// Reads `text` in pieces. Returns `None` if the text is short, or if the caller must read it as a whole.
pub(super) fn read(text: &str) -> Option<RawFile> {
    if text.len() > LENGTH { read_by(text, LENGTH) } else { None }
}

/// Splits `text` at headers into pieces of at least `length` bytes, and reads each piece.
///
/// The pieces make up the whole file if all of them are TOML, if the first piece has no members, and if all other
/// pieces have only members. A split at a `[[member]]` line within a multi-line string leaves a piece with an open
/// string: that piece is not TOML, and the result is `None`.
fn read_by(text: &str, length: usize) -> Option<RawFile> {
    let (before, members) = text.split_at(next_header(text, 0)?);
    let mut line = 1;
    let mut file = read_piece(before, &mut line, |key| key != keys::MEMBER)?;
    let mut rest = members;
    // Reserve once, so that the members do not move again and again. A failed reservation is harmless.
    let _ = file.members.try_reserve_exact(members.matches(HEADER).count());
    while !rest.is_empty() {
        let end = next_header(rest, length.max(HEADER.len())).unwrap_or(rest.len());
        let (piece, behind) = rest.split_at(end);
        file.members.extend(read_piece(piece, &mut line, |key| key == keys::MEMBER)?.members);
        rest = behind;
    }
    Some(file)
}

/// Reads a text that is too long to be read as a whole. Returns the text's content and its problems, and stops
/// once there are enough problems. Fails with one problem if a piece is not TOML, or is itself too long, or if
/// the first piece has members in a different form.
///
/// Here, a header within a multi-line string is a problem.
pub(super) fn read_long(text: &str) -> Result<(RawFile, Vec<Problem>), Problem> {
    let mut file = RawFile {
        networks: Vec::new(),
        members: Vec::new(),
        bypass: Field::Missing,
        drain: Field::Missing,
        revision: Field::Missing,
    };
    let mut problems = Vec::new();
    let (mut rest, mut line) = (text, 1);
    let mut end = next_header(text, 0).unwrap_or(text.len());
    while !rest.is_empty() && !are_enough(&problems) {
        let (piece, behind) = rest.split_at(end);
        let is_first = rest.len() == text.len();
        if piece.len() > WHOLE_MAX {
            return Err(Problem::at(
                Place::of_line(line),
                format!("the file has more than {} MiB without a line {HEADER}", WHOLE_MAX >> 20),
                "begin each member with [[member]] on a line of its own; is this the cluster file?",
            ));
        }
        let lines = Lines::of_piece(piece, line);
        let next = lines.last();
        let root = DeTable::parse(piece).map_err(|error| syntax(&error, &lines))?;
        let root = root.get_ref();
        if is_first
            && !piece.starts_with(HEADER)
            && root.keys().any(|key| *key.get_ref() == keys::MEMBER)
        {
            return Err(Problem::at(
                Place::of_line(line),
                "the members of a long file do not all begin with [[member]]",
                "begin each member with [[member]] on a line of its own",
            ));
        }
        let mut reader = Reader::new(lines);
        let part = reader.part(root);
        problems.extend(reader.into_problems());
        if is_first {
            (file.bypass, file.drain) = (part.bypass, part.drain);
            file.revision = part.revision;
        }
        file.networks.extend(part.networks);
        file.members.extend(part.members);
        (rest, line) = (behind, next);
        end = next_header(rest, LENGTH).unwrap_or(rest.len());
    }
    Ok((file, problems))
}

/// The offset of the first header line after `from`. With `from` 0, the header may also start the text.
fn next_header(text: &str, from: usize) -> Option<usize> {
    if from == 0 && text.starts_with(HEADER) {
        return Some(0);
    }
    let from = text.ceil_char_boundary(from);
    let newline = text[from..].find(&format!("\n{HEADER}"))?;
    Some(from + newline + 1)
}

/// Reads a piece that begins on `line`, and advances `line` to the next piece's first line.
fn read_piece(text: &str, line: &mut usize, may_hold: fn(&str) -> bool) -> Option<RawFile> {
    let lines = Lines::of_piece(text, *line);
    *line = lines.last();
    let root = DeTable::parse(text).ok()?;
    let root = root.get_ref();
    if !root.keys().all(|key| may_hold(key.get_ref())) {
        return None;
    }
    let mut reader = Reader::new(lines);
    let file = reader.part(root);
    reader.into_problems().is_empty().then_some(file)
}

#[cfg(test)]
mod tests {
    use super::super::raw::read_whole;
    use super::*;

    const FILE: &str = "revision = 7\ndrain = \"30s\"\nbypass = [\"tcp/22\"]\n\
        [[network]]\nname = \"n\"\ninterface = \"eth0\"\n\n\
        [[member]]\nname = \"a\"\nprivate = \"10.0.0.1\"\npublic.n = \"192.0.2.1\"\n\n\
        # the second\n[[member]] # b\r\nname = \"b\"\nprivate = [\n\"10.0.0.2\",\n\"fd00::2\"]\n\
        [member.public]\nn = \"192.0.2.2\"\n\
        [[member]]\nname = \"c\"\nprivate = \"10.0.0.3\"\npublic.n = \"192.0.2.3\"";

    /// Asserts that pieces of every length make the same file as the whole text.
    fn is_same(text: &str) {
        let (whole, problems) = read_whole(text).expect("TOML");
        assert_eq!(problems, []);
        for length in 0..=text.len() + 1 {
            assert_eq!(read_by(text, length).as_ref(), Some(&whole), "{length} in {text}");
        }
    }

    #[test]
    fn pieces_are_what_the_whole_is_lines_and_all() {
        is_same(FILE);
        is_same(FILE.split_at(FILE.find("[[member]]").expect("a header")).1);
        is_same("[[member]]");
    }

    #[test]
    fn what_a_piece_does_not_tell_is_left_to_the_whole() {
        let member = "[[member]]\nname = \"x\"\n";
        for text in [
            // No header at the start of a line.
            String::new(),
            "member = []\n".into(),
            " [[member]]\nname = \"a\"\n".into(),
            // Members in a different form before the first header: a header can't add to them.
            format!("member = [{{ name = \"a\" }}]\n{member}"),
            format!("[member]\nname = \"a\"\n{member}"),
            format!("member.name = \"a\"\n{member}"),
            // A header within a string.
            format!("drain = \"\"\"\n{member}\"\"\"\n"),
            format!("{member}public = \"\"\"\n{member}\"\"\"\n"),
            format!("{member}public = '''\n{member}'''\n{member}"),
            // Other content after the members.
            format!("{member}[[network]]\nname = \"n\"\n"),
            format!("drain = \"1s\"\n{member}[drain]\nx = 1\n"),
            // Invalid content.
            format!("{member}name = \"twice\"\n{member}"),
            format!("{member}private = 7\n{member}"),
            format!("{member}other = 7\n{member}"),
            format!("nonsense\n{member}"),
        ] {
            assert_eq!(read_by(&text, 0), None, "{text}");
        }
    }

    /// Repeats `member` until the text is longer than `WHOLE_MAX`.
    fn long(member: &str) -> String {
        member.repeat(WHOLE_MAX / member.len() + 1)
    }

    #[test]
    fn a_long_text_without_members_is_refused_and_not_read() {
        for text in ["\n", "=", "[", "a=1\n", "a.", "#"].map(long) {
            let problem = super::super::raw::read(&text).expect_err("too long");
            assert!(problem.message.contains("4 MiB"), "{problem:?}");
        }
    }

    /// A comment of this many bytes, its newline included.
    fn comment(len: usize) -> String {
        format!("#{}\n", "-".repeat(len - 2))
    }

    #[test]
    fn the_longest_text_without_members_is_read_and_one_more_byte_is_refused() {
        let (_, problems) = super::super::raw::read(&comment(WHOLE_MAX)).expect("short enough");
        assert_eq!(problems[0].message, "the file has no members");
        let problem = super::super::raw::read(&comment(WHOLE_MAX + 1)).expect_err("too long");
        assert!(problem.message.contains("4 MiB"), "{problem:?}");
        let before_a_member = |len| read_long(&(comment(len) + "[[member]]\nname = \"x\"\n"));
        let (file, problems) = before_a_member(WHOLE_MAX).expect("short enough");
        assert_eq!((file.members[0].place.line(), problems), (2, vec![]));
        let problem = before_a_member(WHOLE_MAX + 1).expect_err("too long");
        assert!(problem.message.contains("4 MiB"), "{problem:?}");
    }

    #[test]
    fn a_long_text_with_members_of_another_form_is_refused() {
        let member = "[[member]]\nname = \"x\"\n";
        let text = format!("member = [{{ name = \"a\" }}]\n{}", long(member));
        let problem = super::super::raw::read(&text).expect_err("two forms");
        assert_eq!(problem.line, Some(1));
        assert_eq!(problem.message, "the members of a long file do not all begin with [[member]]");
    }

    #[test]
    fn what_is_wrong_with_a_long_text_is_on_its_line() {
        let member = "[[member]]\nname = \"x\"\n";
        let lines = long(member).lines().count();
        for (behind, said) in [
            ("other = 7\n", "unknown key"),
            ("name = 7\n", "twice"),
            ("private = 7\n", "private is an integer"),
            ("nonsense\n", "not TOML"),
        ] {
            let text = format!("{}{behind}", long(member));
            let (line, message) = match super::super::raw::read(&text) {
                Ok((_, problems)) => (problems[0].line, problems[0].message.clone()),
                Err(problem) => (problem.line, problem.message),
            };
            assert!(message.contains(said), "{behind}: {message}");
            assert_eq!(line, Some(lines + 1), "{behind}");
        }
        let (_, problems) = super::super::raw::read(&long("[[member]]\nx = 1\n")).unwrap();
        assert!(are_enough(&problems) && problems.len() < 10_000, "{}", problems.len());
    }

    #[test]
    fn a_long_text_may_have_its_networks_behind_its_members() {
        let member = "[[member]]\nname = \"x\"\n";
        let text = format!("drain = \"1s\"\n{}[[network]]\nname = \"n\"\n", long(member));
        let (file, problems) = super::super::raw::read(&text).unwrap();
        assert_eq!(problems, []);
        assert_eq!(
            (file.networks.len(), file.members.len()),
            (1, long(member).len() / member.len())
        );
        assert!(matches!(file.drain, Field::Right(_)));
    }

    #[test]
    fn only_a_large_file_is_read_in_pieces() {
        assert_eq!(read(FILE), None);
        let member = "[[member]]\nname = \"x\"\n";
        let file = read(&member.repeat(10_000)).expect("a file");
        assert_eq!(file.members.len(), 10_000);
        assert_eq!(file.members[9_999].place.line(), 19_999);
        let padded = |len: usize| comment(len - member.len()) + member;
        assert_eq!(read(&padded(LENGTH)), None, "just not large");
        assert!(read(&padded(LENGTH + 1)).is_some());
    }
}
