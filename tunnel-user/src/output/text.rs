//! Formats the text fragments that several commands print.

use std::fmt::Write as _;

pub use tunnel_user::model::text::counted;
use tunnel_user::model::text::interface_sysctl;
use tunnel_user::model::{Drain, Private};
use tunnel_user::ops::private_in_arp::Set;
use tunnel_user::plan::peers::NamedPeer;
use tunnel_user::plan::route::RouteChanges;

/// The answer if no interface is attached.
pub const NOTHING_ATTACHED: &str = "no interface is attached in this network namespace\n";

/// Formats a sysctl with its value: `net.ipv4.conf.eth0.arp_ignore=2`.
pub fn sysctl(interface: &str, set: &Set) -> String {
    format!("{}={}", interface_sysctl("ipv4", interface, set.sysctl.name()), set.value)
}

/// The end of a line about a former address, with the seconds for which the programs still accept packets from it;
/// `u32::MAX` means no limit.
pub fn for_now(seconds: u32) -> String {
    match seconds {
        u32::MAX => " as well".into(),
        seconds => format!(" as well, for {}", Drain::from_seconds(seconds)),
    }
}

/// Adds a line for each route.
pub fn routes(text: &mut String, changes: &RouteChanges) {
    for route in &changes.set {
        let _ = writeln!(text, "  route {route}");
    }
    for route in &changes.remove {
        let _ = writeln!(text, "  removed: route {route}");
    }
}

/// Returns `peer` or `peers`, to match the number.
pub const fn noun(peers: usize) -> &'static str {
    if peers == 1 { "peer" } else { "peers" }
}

/// The peer's name, addresses and rules.
pub fn named(peer: &NamedPeer) -> String {
    let addresses: Vec<_> = peer.addresses.iter().map(ToString::to_string).collect();
    let direct = if peer.direct { ", direct" } else { "" };
    let bypass = match joined(&peer.bypass) {
        rules if rules.is_empty() => rules,
        rules => format!(", bypass {rules}"),
    };
    format!("{}  {}{direct}{bypass}", peer.name, addresses.join(", "))
}

/// Formats pairs of addresses: `10.0.0.1 as 198.51.100.2, fd00::1 as 2001:db8::2`.
pub fn pairs(first: &[String], word: &str, second: &[String]) -> String {
    let pairs: Vec<_> = first.iter().zip(second).map(|(a, b)| format!("{a} {word} {b}")).collect();
    pairs.join(", ")
}

/// The items as texts, for a list in JSON.
pub fn texts<T: ToString>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}

/// Joins items with commas, as a list on the command line.
pub fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let words: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    words.join(",")
}

/// Formats an address with its prefix length: `10.0.0.1/32`.
pub fn with_length(address: Private) -> String {
    format!("{}/{}", address.0.address(), address.0.length())
}

/// The words of a text in lines of at most `width` columns, if no word is longer.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A duration in the unit that suits it: `0.4 s`, `34 s`, `5 min`, `3 h`, `2 d`.
pub fn ago(seconds: f64) -> String {
    match seconds {
        ..10.0 => format!("{seconds:.1} s"),
        ..120.0 => format!("{seconds:.0} s"),
        ..7_200.0 => format!("{:.0} min", (seconds / 60.0).floor()),
        ..172_800.0 => format!("{:.0} h", (seconds / 3_600.0).floor()),
        _ => format!("{:.0} d", (seconds / 86_400.0).floor()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_before_the_word_that_does_not_fit() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("one two three", 6), ["one", "two", "three"]);
    }

    #[test]
    fn durations_have_the_unit_that_suits_them() {
        let said = [0.44, 9.9, 10.0, 119.0, 120.0, 7_199.0, 7_200.0, 172_800.0].map(ago);
        assert_eq!(said, ["0.4 s", "9.9 s", "10 s", "119 s", "2 min", "119 min", "2 h", "2 d"]);
    }
}
