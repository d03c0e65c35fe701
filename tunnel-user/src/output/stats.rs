//! Formats the output of `rewrite stats` as text, in lines of at most 80 columns.

use std::fmt::Write as _;

use indicatif::BinaryBytes;
use tunnel_user::commands::stats::{Counter, Interface, NotRewritten, Peer, Stats};
use tunnel_user::commands::traffic_report::Traffic;
use tunnel_user::plan::rate::Rate;

use super::text::{NOTHING_ATTACHED, ago, counted, wrapped};

/// The width of the column with the names. A longer name has a line of its own.
const NAMES: usize = 14;
/// The width of the text below a reason.
const WIDTH: usize = 76;

/// Formats the counters, or the rates if the statistics have them. `all` also shows reasons that never occurred.
pub fn text(stats: &Stats, all: bool) -> String {
    let mut text = String::new();
    if stats.interfaces.is_empty() {
        text.push_str(NOTHING_ATTACHED);
    }
    for interface in &stats.interfaces {
        match stats.seconds {
            Some(seconds) => heading(&mut text, interface, RATES, &format!("over {seconds:.1} s")),
            None => heading(&mut text, interface, TOTALS, ""),
        }
        for peer in &interface.peers {
            peer_line(&mut text, peer);
        }
        let shown =
            interface.not_rewritten.iter().filter(|reason| all || reason.counter.packets > 0);
        for reason in shown {
            reason_lines(&mut text, reason);
        }
    }
    text
}

/// The columns of totals and of rates.
const TOTALS: [&str; 4] = ["egress pkts", "bytes", "ingress pkts", "bytes"];
const RATES: [&str; 4] = ["egress pkt/s", "bit/s", "ingress pkt/s", "bit/s"];

fn heading(text: &mut String, interface: &Interface, columns: [&str; 4], title: &str) {
    let name = &interface.interface;
    if interface.peers.is_empty() {
        let _ = writeln!(text, "{}", format!("{name}  {title}").trim_end());
        return;
    }
    if !title.is_empty() {
        let _ = writeln!(text, "{name}: {title}");
    }
    let name = if title.is_empty() { &name[..] } else { "" };
    let _ = writeln!(text, "{}  heard", row(name, &columns, NAMES + 2));
}

/// A name and four columns.
fn row<T: ToString>(name: &str, columns: &[T; 4], names: usize) -> String {
    let [a, b, c, d] = columns.each_ref().map(ToString::to_string);
    format!("{name:<names$} {a:>12} {b:>10} {c:>13} {d:>10}")
}

fn peer_line(text: &mut String, peer: &Peer) {
    let ago = if peer.traffic.last_heard.is_some() { " ago" } else { "" };
    let heard = last_heard(&peer.traffic) + ago;
    let columns = match &peer.rates {
        Some(rates) => {
            let [egress, ingress] = [rates.egress, rates.ingress].map(per_second);
            [egress.0, egress.1, ingress.0, ingress.1]
        }
        None => {
            let [egress, ingress] = [peer.egress, peer.ingress].map(total);
            [egress.0, egress.1, ingress.0, ingress.1]
        }
    };
    let mut name = &peer.name[..];
    if name.len() > NAMES {
        let _ = writeln!(text, "  {name}");
        name = "";
    }
    let _ = writeln!(text, "  {}  {heard}", row(name, &columns, NAMES));
    if peer.traffic.router_errors > 0 {
        let errors = counted(peer.traffic.router_errors, "ICMP error");
        let _ = writeln!(text, "    {errors} of routers about packets to it");
    }
}

/// The time since the last packet from a peer.
pub(super) fn last_heard(traffic: &Traffic) -> String {
    match &traffic.last_heard {
        Some(last) => ago(last.seconds_ago),
        None if traffic.is_time_unknown => "unknown".into(),
        None => "never".into(),
    }
}

fn total(counter: Counter) -> (String, String) {
    (counter.packets.to_string(), BinaryBytes(counter.bytes).to_string())
}

/// The packets and the bits per second, as text.
pub(super) fn per_second(rate: Rate) -> (String, String) {
    (si(rate.packets_per_second), si(rate.bits_per_second))
}

/// A number with a decimal prefix: `999`, `1.25 k`, `12.5 M`.
fn si(number: f64) -> String {
    let prefixes = ["", " k", " M", " G", " T", " P"];
    let (mut scaled, mut prefix) = (number, 0);
    while scaled >= 999.5 && prefix + 1 < prefixes.len() {
        scaled /= 1000.0;
        prefix += 1;
    }
    let digits = match scaled {
        _ if prefix == 0 && scaled.fract() == 0.0 => 0,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{scaled:.digits$}{}", prefixes[prefix])
}

fn reason_lines(text: &mut String, reason: &NotRewritten) {
    let NotRewritten { direction, counter, .. } = reason;
    let amount = match reason.rate.map(per_second) {
        Some((packets, bits)) => format!("{packets} pkt/s, {bits}bit/s"),
        None => {
            format!("{}, {}", counted(counter.packets, "packet"), BinaryBytes(counter.bytes))
        }
    };
    let head =
        format!("not rewritten: {direction} {amount}, {} ({})", reason.reason, reason.verdict);
    for (indent, line) in
        std::iter::once("  ").chain(std::iter::repeat("    ")).zip(wrapped(&head, WIDTH))
    {
        let _ = writeln!(text, "{indent}{line}");
    }
    let help = reason.remedy.filter(|_| counter.packets > 0);
    let help = help.map(|remedy| format!("help: {remedy}"));
    for words in std::iter::once(reason.description).chain(help.as_deref()) {
        for line in wrapped(words, WIDTH) {
            let _ = writeln!(text, "    {line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use tunnel_common::outcome::Reason;

    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_prefix() {
        let said = [0.0, 7.0, 0.5, 999.0, 999.6, 1_250.0, 12_500_000.0, 123e9].map(si);
        assert_eq!(said, ["0", "7", "0.50", "999", "1.00 k", "1.25 k", "12.5 M", "123 G"]);
    }

    #[test]
    fn the_lines_of_every_reason_fit_80_columns() {
        for reason in Reason::ALL {
            let mut text = String::new();
            let most = Counter { packets: u64::from(u32::MAX), bytes: u64::MAX >> 8 };
            reason_lines(
                &mut text,
                &NotRewritten {
                    direction: "ingress",
                    reason: reason.name(),
                    description: reason.description(),
                    verdict: "drop",
                    remedy: reason.remedy(),
                    counter: most,
                    rate: None,
                },
            );
            assert!(text.lines().all(|line| line.len() <= 80), "{text}");
            assert_eq!(text.contains("    help: "), reason.remedy().is_some(), "{text}");
        }
    }

    #[test]
    fn the_documentation_has_the_remedy_of_each_reason() {
        let page = include_str!("../../../docs/command-line.md");
        for reason in Reason::ALL {
            let row = reason.remedy().map(|remedy| format!("\n| `{}` | {remedy} |", reason.name()));
            assert!(row.is_none_or(|row| page.contains(&row)), "{}", reason.name());
        }
    }
}
