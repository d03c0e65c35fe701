//! Translates the numbers in the BPF programs' messages into words.

use log::{Log, Metadata, Record};
use tunnel_common::outcome::Reason;
use tunnel_user::plan::attach_point::BOTH;

/// Writes the translated messages to this program's own log.
pub struct DescribedLog;

impl Log for DescribedLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let message = record.args().to_string();
        tracing::info!("{}", describe(&message).unwrap_or(message));
    }

    fn flush(&self) {}
}

/// Translates a message in the format of tunnel-ebpf's `tc.rs`: `direction 0 reason 0 length 98 A to B`.
fn describe(message: &str) -> Option<String> {
    let mut words = message.split_whitespace();
    let mut number = |name: &str| {
        words.find(|word| *word == name)?;
        words.next()?.parse::<usize>().ok()
    };
    let direction = number("direction")?;
    let direction = BOTH.into_iter().find(|known| *known as usize == direction)?;
    let reason = *Reason::ALL.get(number("reason")?)?;
    let length = number("length")?;
    let addresses: Vec<_> = words.collect();
    Some(format!(
        "{}: {}, {length} bytes, not rewritten: {} ({})",
        direction.name(),
        addresses.join(" "),
        reason.name(),
        reason.description()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_the_names_that_stats_shows() {
        let reason = Reason::Spoofed as usize;
        let message = format!("direction 1 reason {reason} length 98 10.0.0.2 to 198.51.100.2");
        let words = describe(&message).unwrap_or_default();
        assert!(words.starts_with("ingress: 10.0.0.2 to 198.51.100.2, 98 bytes"), "{words}");
        assert!(words.contains("not rewritten: spoofed"), "{words}");
    }

    #[test]
    fn what_is_not_such_a_message_is_left_as_it_is() {
        assert_eq!(describe("direction 1 reason 99 length 98"), None);
        assert_eq!(describe("direction 2 reason 0 length 98"), None);
        assert_eq!(describe("hello"), None);
    }
}
