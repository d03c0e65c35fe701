//! Defines the drain: the time for which a host accepts packets from a peer's former address.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A time in whole seconds, from zero to a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drain(u32);

/// The longest drain that a text can give, in seconds: a day.
const LONGEST: u64 = 24 * 60 * 60;

impl Drain {
    /// Zero seconds: former addresses stay valid no longer than the change takes.
    pub const NONE: Self = Self(0);

    /// Converts a number of seconds, as the maps hold it, to a drain.
    #[must_use]
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds)
    }

    /// The drain in seconds.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

impl Default for Drain {
    /// 30 seconds: longer than packets stay in flight, and longer than the pause before a retransmission.
    fn default() -> Self {
        Self(30)
    }
}

impl fmt::Display for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(Duration::from_secs(self.0.into())).fmt(f)
    }
}

/// The reason why a text is not a drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainProblem(String);

impl DrainProblem {
    /// The remedy.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        "write a number and a unit, up to a day: \"30s\", \"5m\", \"0s\" for none"
    }
}

impl fmt::Display for DrainProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for DrainProblem {}

impl FromStr for Drain {
    type Err = DrainProblem;

    fn from_str(text: &str) -> Result<Self, DrainProblem> {
        let quoted = super::text::quoted(text);
        let duration = humantime::parse_duration(text)
            .map_err(|error| DrainProblem(format!("{quoted} is not a time: {error}")))?;
        if duration.subsec_nanos() != 0 {
            return Err(DrainProblem(format!("{quoted} is not a number of whole seconds")));
        }
        match u32::try_from(duration.as_secs()) {
            Ok(seconds) if u64::from(seconds) <= LONGEST => Ok(Self(seconds)),
            _ => Err(DrainProblem(format!("{quoted} is longer than a day"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, seconds) in
            [("30s", 30), ("5m", 300), ("0s", 0), ("1h 30m", 5_400), ("1day", 86_400)]
        {
            let drain: Drain = text.parse().unwrap();
            assert_eq!(drain.seconds(), seconds, "{text}");
            assert_eq!(drain.to_string().parse(), Ok(drain));
        }
    }

    #[test]
    fn others_are_refused_in_words() {
        for (text, word) in [
            ("30", "is not a time"),
            ("soon", "is not a time"),
            ("", "is not a time"),
            ("1500ms", "whole"),
            ("25h", "day"),
        ] {
            let problem = text.parse::<Drain>().unwrap_err();
            assert!(problem.to_string().contains(word), "{text}: {problem}");
        }
    }
}
