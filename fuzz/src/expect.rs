//! The demand on every refusal: text that can go to a terminal.

use std::error::Error;

use tunnel_user::config::ConfigError;

/// A message and its remedy: neither empty, each on one line, without control characters.
pub fn assert_explained(problem: &dyn Error, help: &str) {
    let message = problem.to_string();
    assert!(!message.is_empty() && !help.is_empty(), "{problem:?}");
    for text in [message.as_str(), help] {
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
}

/// A refused file: at least one problem, each with a line of `text`, in the order of the lines, and
/// two printed lines for each.
pub fn assert_refusal(error: &ConfigError, text: &str) {
    assert!(!error.problems().is_empty());
    let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
    for problem in error.problems() {
        let line = problem.line.expect("a problem of a text has a line");
        assert!((1..=lines).contains(&line), "line {line} of {lines}: {error}");
        assert!(!problem.message.is_empty() && !problem.help.is_empty(), "{error}");
    }
    assert!(error.problems().is_sorted_by_key(|problem| problem.line), "{error}");
    let printed = error.to_string();
    assert_eq!(printed.split('\n').count(), 2 * error.problems().len(), "{printed:?}");
    assert!(!printed.chars().any(|c| c.is_control() && c != '\n'), "{printed:?}");
}
