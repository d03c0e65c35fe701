//! Formats file text and lists of names for messages.

use std::fmt::{self, Write as _};

/// The maximum number of characters of a file's text that a message repeats.
const QUOTED_MAX: usize = 80;

/// Puts `text` in quotes and on one line, with its control characters escaped: a message that repeats a file's
/// text must not send them to a terminal.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_MAX) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
    }
}

/// Joins the items as `a, b, c`. Without items, the text is `none`.
pub(crate) fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for item in items {
        let separator = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{separator}{item}");
    }
    if text.is_empty() { "none".into() } else { text }
}

/// Each item as a string.
pub(crate) fn words<T: ToString>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}

/// A number with its noun, in the plural unless the number is one: `1 check`, `3 entries`.
pub fn counted(number: impl TryInto<u64>, noun: &str) -> String {
    match number.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {noun}"),
        number => format!("{number} {}", plural(noun)),
    }
}

/// The regular plural of an English noun.
fn plural(noun: &str) -> String {
    let stem = noun.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u']));
    match stem {
        Some(stem) => format!("{stem}ies"),
        None if noun.ends_with('s') => format!("{noun}es"),
        None => format!("{noun}s"),
    }
}

/// The name of an interface's sysctl, as sysctl(8) takes it: a dot of the interface's name becomes a slash.
#[must_use]
pub fn interface_sysctl(protocol: &str, interface: &str, name: &str) -> String {
    format!("net.{protocol}.conf.{}.{name}", interface.replace('.', "/"))
}

/// The text in a field that is padded with zeros.
#[must_use]
pub fn unpadded(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sysctl_of_a_vlan_interface_has_a_slash_for_its_dot() {
        assert_eq!(
            interface_sysctl("ipv4", "eth0.100", "rp_filter"),
            "net.ipv4.conf.eth0/100.rp_filter"
        );
    }

    #[test]
    fn a_number_has_its_noun_in_the_singular_or_the_plural() {
        for (number, noun, wanted) in [
            (1, "entry", "1 entry"),
            (2, "former entry", "2 former entries"),
            (0, "peer", "0 peers"),
            (2, "private address", "2 private addresses"),
            (2, "key", "2 keys"),
        ] {
            assert_eq!(counted(number, noun), wanted);
        }
    }

    #[test]
    fn quotes_hold_control_characters_back() {
        assert_eq!(quoted("a\x1b[2J\n"), r#""a\u{1b}[2J\n""#);
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let cut = quoted(&"ä".repeat(500));
        assert_eq!(cut, format!("\"{}\"...", "ä".repeat(QUOTED_MAX)));
    }
}
