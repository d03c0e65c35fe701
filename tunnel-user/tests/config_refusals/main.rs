//! Tests invalid cluster files. Each file has a list of all expected problems: the line, the fault and the remedy.

mod addresses;
mod bypass;
mod conflicts;
mod grammar;
mod lists;
mod members;
mod several;
mod unreadable;

use std::path::Path;

use tunnel_user::config::{Problem, parse};

/// An invalid file.
struct Case {
    scenario: &'static str,
    text: String,
    /// All expected problems, in the order of their lines.
    expected: Vec<Expected>,
}

/// The line of a problem, and fragments of its message and its help.
#[derive(Clone, Copy)]
struct Expected(usize, &'static str, &'static str);

fn case(scenario: &'static str, text: &str, expected: &[Expected]) -> Case {
    Case { scenario, text: text.to_owned(), expected: expected.to_vec() }
}

/// A valid file in which `value` replaces the value of the second member's `key`. That member has `private` on line 8,
/// `public` on line 9 and `underlay` on line 10.
fn with(key: &str, value: &str) -> String {
    let or = |of: &str, usual: &str| if key == of { value } else { usual }.to_owned();
    format!(
        "[[member]]\nname = \"srva\"\nprivate = \"10.0.0.1\"\npublic = \"198.51.100.2\"\n\n\
         [[member]]\nname = {}\nprivate = {}\npublic = {}\nunderlay = {}\n",
        or("name", "\"srvb\""),
        or("private", "\"10.0.0.2\""),
        or("public", "\"203.0.113.2\""),
        or("underlay", "\"172.31.0.5\""),
    )
}

fn matches(found: &[Problem], expected: &[Expected]) -> bool {
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(problem, expected)| {
            let Expected(line, message, help) = *expected;
            problem.line == Some(line)
                && problem.message.contains(message)
                && problem.help.contains(help)
        })
}

/// Parses the file of each case, and reports all failing cases.
#[track_caller]
fn assert_refused(cases: &[Case]) {
    let mut wrong = String::new();
    for case in cases {
        match parse(Path::new("cluster.toml"), &case.text) {
            Ok(cluster) => wrong += &format!("{}: taken as {cluster:?}\n", case.scenario),
            Err(error) => {
                if !matches(error.problems(), &case.expected) {
                    wrong += &format!("{}:\n{error}\n", case.scenario);
                }
                assert_printed(case.scenario, &error.to_string(), error.problems());
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Asserts the printed format. Each problem has two lines: `FILE:LINE: message` and `  help: remedy`.
#[track_caller]
fn assert_printed(scenario: &str, printed: &str, problems: &[Problem]) {
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 2 * problems.len(), "{scenario}: {printed}");
    for (pair, problem) in lines.chunks(2).zip(problems) {
        let line = problem.line.expect("a problem in a text has a line");
        let what = format!("cluster.toml:{line}: {}", problem.message);
        assert_eq!(pair, [what, format!("  help: {}", problem.help)], "{scenario}");
    }
    assert!(!printed.chars().any(|c| c.is_control() && c != '\n'), "{scenario}: {printed:?}");
}

#[test]
fn the_template_of_the_tables_is_right() {
    assert!(parse(Path::new("cluster.toml"), &with("", "")).is_ok());
}

#[test]
fn the_tables_together_have_more_than_a_hundred_rows() {
    let rows = grammar::cases().len()
        + members::cases().len()
        + addresses::cases().len()
        + lists::cases().len()
        + bypass::cases().len()
        + conflicts::cases().len()
        + several::cases().len();
    assert!(rows > 100, "{rows}");
}
