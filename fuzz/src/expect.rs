//! Checks the messages for refused input: each message has a remedy and is safe for a terminal.

use std::error::Error;

use tunnel_user::config::ConfigError;

/// Asserts that a message and its remedy are not empty and have no control characters.
pub fn assert_explained(problem: &dyn Error, help: &str) {
    let message = problem.to_string();
    assert!(!message.is_empty() && !help.is_empty(), "{problem:?}");
    for text in [message.as_str(), help] {
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
}

/// Asserts that a refused file has at least one problem, and that the problems are in the order of the lines.
/// Each problem is on a line of `text`, and its message and remedy take one printed line each.
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
