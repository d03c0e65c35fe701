//! Parses and prints the time within which an operator must confirm a trial, and holds the request for a trial.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const LONGEST: u64 = 24 * 60 * 60;

/// A time in whole seconds, from one second to a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfirmWithin {
    seconds: u64,
}

/// The operator's request for a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialRequest {
    /// The time to confirm the change.
    pub time: ConfirmWithin,
    /// The command that asks for the trial, with all its options; `None` if it is not UTF-8.
    pub command: Option<String>,
}

impl ConfirmWithin {
    /// The time in seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.seconds
    }
}

impl fmt::Display for ConfirmWithin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(Duration::from_secs(self.seconds)).fmt(f)
    }
}

/// The reason for refusing a text as the time of a trial.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfirmWithinProblem {
    /// The text is not a time.
    #[error("{0}; write it like 60s, 5m or 1h 30m")]
    NoTime(#[from] humantime::DurationError),
    /// The time is too short to confirm within.
    #[error("the time is less than a second; give a longer one, such as 60s")]
    TooShort,
    /// The time is longer than a day.
    #[error("the time is more than 24h; give a shorter one, or leave --confirm-within out")]
    TooLong,
}

impl FromStr for ConfirmWithin {
    type Err = ConfirmWithinProblem;

    /// Parses `60s`, `5m` or `1h 30m`. Refuses less than one second, and rounds any other time up to whole seconds.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = humantime::parse_duration(text)?;
        if time < Duration::from_secs(1) {
            return Err(ConfirmWithinProblem::TooShort);
        }
        let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
        if seconds > LONGEST {
            return Err(ConfirmWithinProblem::TooLong);
        }
        Ok(Self { seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_minutes_and_hours_are_read() {
        for (text, seconds) in
            [("1s", 1), ("60s", 60), ("5m", 300), ("1h 30m", 5400), ("1500ms", 2), ("24h", 86_400)]
        {
            let time = text.parse::<ConfirmWithin>();
            assert_eq!(time.map(ConfirmWithin::seconds), Ok(seconds), "{text}");
        }
        assert_eq!(
            "90s".parse::<ConfirmWithin>().map(|time| time.to_string()),
            Ok("1m 30s".into())
        );
    }

    #[test]
    fn no_time_and_too_much_of_it_are_refused() {
        for (text, said) in [
            ("0s", "less than a second"),
            ("999ms", "less than a second"),
            ("24h 1s", "24h"),
            ("584542046090years", "24h"),
            ("60", "60s"),
            ("soon", "60s"),
            ("", "60s"),
            ("99999999999999999999s", "60s"),
        ] {
            let problem = text.parse::<ConfirmWithin>().expect_err(text);
            assert!(problem.to_string().contains(said), "{text}: {problem}");
        }
    }
}
