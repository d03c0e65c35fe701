//! Tests random texts that combine pieces of valid and invalid files.

use std::path::Path;

use tunnel_user::config::parse;

use super::EXAMPLE;

/// The parser answers every text with a cluster or an error.
#[test]
fn no_text_makes_it_panic() {
    let pieces = [
        "[[member]]\n",
        "[member]\n",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "'''",
        "\"\"\"",
        "\\",
        "=",
        ",",
        ".",
        "\n",
        "\r",
        "\0",
        "#",
        "name = ",
        "private = ",
        "public = ",
        "underlay = ",
        "direct = ",
        "bypass = ",
        "[\"tcp/22\", \"udp/0\"]\n",
        "[\"icmp\", 1]\n",
        "\"fd00::/64\"\n",
        "\"a\"\n",
        "\"10.0.0.1\"\n",
        "\"10.0.0.0/24\"\n",
        "\"fd00::1\"\n",
        "[\"10.0.0.2\", \"::/0\"]\n",
        "true\n",
        "1\n",
        "1e400\n",
        "0xffffffffffffffffffffffffff\n",
        "2026-13-45\n",
        "é",
        "\u{feff}",
        "\u{1b}[2J",
        "member",
        "private.x.y = 1\n",
        "[member.private]\n",
        "\\uD800",
        "\\U00110000",
        "\"/999\"\n",
        "\"\"\n",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for _ in 0..20_000 {
        let text: String = (0..next(24)).map(|_| pieces[next(pieces.len())]).collect();
        if let Err(error) = parse(Path::new("cluster.toml"), &text) {
            assert!(!error.problems().is_empty(), "{text:?}");
            let lines = text.matches('\n').count() + 1;
            for problem in error.problems() {
                assert!(
                    problem.line.is_some_and(|line| (1..=lines).contains(&line)),
                    "{text:?}: {error}"
                );
            }
        }
        let cut = (0..=next(EXAMPLE.len())).rev().find(|at| EXAMPLE.is_char_boundary(*at));
        let half = &EXAMPLE[..cut.unwrap_or_default()];
        let _ = parse(Path::new("cluster.toml"), &format!("{half}{text}"));
    }
}
