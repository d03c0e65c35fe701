//! Defines and checks a member's name.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use super::text::quoted;

/// The maximum length of a name in bytes: the map `members` pads a name to 64 bytes with at least one zero byte.
const LEN_MAX: usize = tunnel_common::members::NAME_LEN - 1;

/// A member's name: 1 to 63 ASCII letters, digits, `.`, `_` or `-`, the first a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberName(Arc<str>);

impl MemberName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a peer of which only the private address is known: `peer-10-0-0-2`.
    #[must_use]
    pub fn of_peer(private: IpAddr) -> Self {
        Self(format!("peer-{private}").replace(['.', ':'], "-").into())
    }
}

impl AsRef<str> for MemberName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<&str> for MemberName {
    type Error = NameProblem;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let first = text.chars().next().ok_or(NameProblem::Empty)?;
        if let Some(character) = text.chars().find(|c| !is_allowed(*c)) {
            return Err(NameProblem::Character { text: text.to_owned(), character });
        }
        if !first.is_ascii_alphanumeric() {
            return Err(NameProblem::Start { text: text.to_owned() });
        }
        if text.len() > LEN_MAX {
            return Err(NameProblem::TooLong { text: text.to_owned() });
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for MemberName {
    type Err = NameProblem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text)
    }
}

fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

/// The reason why a text is not a member's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// The text has no characters.
    #[error("the name is empty")]
    Empty,
    /// The text holds a character that a name can't have.
    #[error("the name {} holds {character:?}", quoted(.text))]
    Character {
        /// The text.
        text: String,
        /// The first invalid character.
        character: char,
    },
    /// The text's first character is not a letter or a digit.
    #[error("the name {} does not begin with a letter or a digit", quoted(.text))]
    Start {
        /// The text.
        text: String,
    },
    /// The text is longer than 63 bytes.
    #[error("the name {} has {} bytes, more than {LEN_MAX}", quoted(.text), .text.len())]
    TooLong {
        /// The text.
        text: String,
    },
}

impl NameProblem {
    /// The remedy.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Empty => {
                "give the member a name, such as the host name of its machine: \"srva\"".into()
            }
            Self::Character { .. } => {
                "a name is made of the letters A-Z and a-z, the digits, '.', '_' and '-'".into()
            }
            Self::Start { .. } => "put a letter or a digit in front, such as \"srva\"".into(),
            Self::TooLong { .. } => format!("shorten it to {LEN_MAX} bytes or less"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_right() {
        let longest = "a".repeat(63);
        for text in ["a", "7", "srva", "srv-a.example_1", "A.", &longest] {
            let name = MemberName::try_from(text).expect(text);
            assert_eq!(name.as_str(), text);
            assert_eq!(name.to_string(), text);
            assert_eq!(text.parse(), Ok(name));
        }
    }

    #[test]
    fn names_that_are_wrong() {
        use NameProblem::{Character, Empty, Start, TooLong};
        let text = |text: &str| text.to_owned();
        let long = "a".repeat(64);
        for (name, problem) in [
            ("", Empty),
            ("-a", Start { text: text("-a") }),
            (".a", Start { text: text(".a") }),
            (&long, TooLong { text: text(&long) }),
            ("srv a", Character { text: text("srv a"), character: ' ' }),
            ("a\0", Character { text: text("a\0"), character: '\0' }),
            ("sörver", Character { text: text("sörver"), character: 'ö' }),
        ] {
            assert!(!problem.help().is_empty());
            assert_eq!(MemberName::try_from(name), Err(problem));
        }
    }

    #[test]
    fn a_name_fits_into_its_map_with_a_zero_behind_it() {
        assert_eq!(LEN_MAX, 63);
    }
}
