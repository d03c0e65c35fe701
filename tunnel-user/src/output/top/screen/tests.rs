use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyCode;
use tunnel_user::commands::stats::{Counter, NotRewritten, Peer};

use super::super::view::tests::{peer, view};
use super::*;

/// The screen's lines, without the blanks at their ends.
fn drawn(view: &View, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view, Duration::from_secs(1), None)).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| row(y).trim_end().to_owned()).collect()
}

fn peers() -> Vec<Peer> {
    vec![peer("srvb", 2, 12_500_000.0, Some(0.2)), peer("srvc", 3, 0.0, None)]
}

#[test]
fn eighty_columns_have_rates_and_the_last_packet_of_each_peer() {
    let lines = drawn(&view(peers()), 80, 24);
    assert_eq!(lines[0], "eth0  2 peers: 2 heard, 0 silent  by rate, every 1 s");
    assert_eq!(
        &lines[1..5],
        [
            "                    egress   egress  ingress  ingress              ping     ping",
            "peer                 pkt/s    bit/s    pkt/s    bit/s    heard     time     loss",
            "srvb                1.56 k   12.5 M   1.56 k   12.5 M    0.2 s",
            "srvc                     0        0        0        0    never",
        ]
    );
    assert_eq!(lines[23], KEYS);
}

#[test]
fn a_wide_screen_also_has_addresses_and_paths() {
    let lines = drawn(&view(peers()), 200, 24);
    let srvb = &lines[3];
    assert!(srvb.contains(" 10.0.0.2 ") && srvb.contains("eth0 to 203.0.113.2"), "{srvb}");
    assert!(!drawn(&view(peers()), 119, 24)[3].contains("203.0.113.2"));
}

#[test]
fn packets_that_were_not_rewritten_have_lines_of_their_own() {
    let reason = |packets, name| NotRewritten {
        direction: "ingress",
        reason: name,
        description: "in words",
        verdict: "drop",
        remedy: None,
        counter: Counter { packets, bytes: 64 * packets },
        rate: None,
    };
    let mut stats = tunnel_user::commands::stats::Stats { seconds: None, interfaces: Vec::new() };
    stats.interfaces.push(tunnel_user::commands::stats::Interface {
        interface: "eth0".into(),
        own: Vec::new(),
        peers: peers(),
        not_rewritten: vec![reason(1, "spoofed"), reason(0, "fragment"), reason(9, "bypassed")],
    });
    let lines = drawn(&View::new(stats, false), 80, 24);
    let expected = [
        "not rewritten on eth0: ingress 9 packets, bypassed (drop): in words",
        "not rewritten on eth0: ingress 1 packet, spoofed (drop): in words",
        KEYS,
    ];
    assert_eq!(lines[21..], expected);
}

#[test]
fn the_selected_peer_stays_on_the_screen() {
    let many = (0..100).map(|n| peer(&format!("srv{n:02}"), 2, 0.0, None)).collect();
    let mut view = view(many);
    assert!(drawn(&view, 80, 24).iter().any(|line| line.starts_with("srv00 ")));
    view.press(&KeyCode::End.into(), false);
    let lines = drawn(&view, 80, 24);
    assert!(lines.iter().any(|line| line.starts_with("srv99 ")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.starts_with("srv00 ")), "{lines:#?}");
}

#[test]
fn a_terminal_of_any_size_is_drawn_without_a_panic() {
    for (width, height) in [(1, 1), (10, 3), (80, 2), (300, 4)] {
        drawn(&view(peers()), width, height);
    }
}

#[test]
fn the_end_of_long_output_is_shown() {
    let shown = |width, height| {
        let lines = tail(["one", "", "abcdef"].into_iter(), width, height);
        lines.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(shown(4, 9), ["one", "", "abcd", "ef"]);
    assert_eq!(shown(4, 1), ["ef"]);
    assert_eq!(shown(9, 2), ["", "abcdef"]);
}
