//! Colours words of the output. `print` drops the colours if stdout is not a terminal, or if NO_COLOR is set.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

/// A fault.
pub const FAULT: Style = AnsiColor::Red.on_default().bold();
/// A finding that may harm, and something that changes.
pub const NOTABLE: Style = AnsiColor::Yellow.on_default();
/// A good state, and something that is added.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Something that is removed.
pub const REMOVED: Style = AnsiColor::Red.on_default();

/// The words in a style. The style's codes have no width on a terminal, so pad the words before the call.
pub fn paint(style: Style, words: impl Display) -> String {
    format!("{style}{words}{style:#}")
}

/// The line of a change with its sign: `+` is added, `-` is removed, `~` is changed.
pub fn change(sign: char, words: impl Display) -> String {
    let style = match sign {
        '+' => GOOD,
        '-' => REMOVED,
        _ => NOTABLE,
    };
    paint(style, format_args!("{sign} {words}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_style_ends_with_the_words() {
        assert_eq!(change('+', "peer x"), "\u{1b}[32m+ peer x\u{1b}[0m");
        assert_ne!(change('-', "x"), change('~', "x").replace('~', "-"));
        assert_eq!(anstream::adapter::strip_str(&paint(FAULT, "WRONG")).to_string(), "WRONG");
    }
}
