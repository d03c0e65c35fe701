//! Checks the addresses of one member against each other.

use std::fmt;

use crate::model::{Family, Prefix, Role};

/// The reason why two address lists of one member don't fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// One list has a family that the other lacks.
    Family {
        /// The private addresses' families.
        private: Vec<Family>,
        /// The role that differs.
        role: Role,
        /// The other role's families.
        other: Vec<Family>,
    },
    /// The two lists' prefixes of one family differ in length.
    Length {
        /// The private range.
        private: Prefix,
        /// The role that differs.
        role: Role,
        /// The other role's range.
        other: Prefix,
    },
}

impl Mismatch {
    /// The role whose value is at fault.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self {
            Self::Family { role, .. } | Self::Length { role, .. } => *role,
        }
    }

    /// The remedy.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Family { role, .. } => format!(
                "give private and {role} addresses of the same family: both IPv4, or both IPv6"
            ),
            Self::Length { role, .. } => format!(
                "make the private and the {role} prefix equally long: rewrite keeps the host part"
            ),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Family { private, role, other } => {
                let (private, other) = (list(private), list(other));
                write!(f, "family mismatch: private is {private}, {role} is {other}")
            }
            Self::Length { private, role, other } => write!(
                f,
                "private {private} has a prefix of {} bits, {role} {other} one of {}",
                private.length(),
                other.length()
            ),
        }
    }
}

fn list(families: &[Family]) -> String {
    let words: Vec<String> = families.iter().map(Family::to_string).collect();
    words.join(" and ")
}

/// Checks the address lists of one member against each other. Each list has at most one range per family.
/// `private` and `public` must have the same families, `underlay` must have no further families, and all ranges
/// of a family must be equally long. In a family that `underlay` lacks, the public address is the underlay.
#[must_use]
pub fn check_pairing(private: &[Prefix], public: &[Prefix], underlay: &[Prefix]) -> Vec<Mismatch> {
    let mut mismatches = Vec::new();
    for (role, ranges) in [(Role::Public, public), (Role::Underlay, underlay)] {
        let (ours, theirs) = (families(private), families(ranges));
        let lacks = role == Role::Public && ours.iter().any(|family| !theirs.contains(family));
        if lacks || theirs.iter().any(|family| !ours.contains(family)) {
            mismatches.push(Mismatch::Family { private: ours, role, other: theirs });
        }
        let pairs = private.iter().flat_map(|private| {
            let same_family = ranges.iter().filter(|other| other.family() == private.family());
            same_family.map(move |other| (private, other))
        });
        mismatches.extend(
            pairs.filter(|(private, other)| private.length() != other.length()).map(
                |(private, other)| Mismatch::Length { private: *private, role, other: *other },
            ),
        );
    }
    mismatches
}

fn families(ranges: &[Prefix]) -> Vec<Family> {
    let has = |family: &Family| ranges.iter().any(|range| range.family() == *family);
    Family::ALL.into_iter().filter(has).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(private: &str, public: &str, underlay: &str) -> Vec<String> {
        let ranges = |text: &str| -> Vec<Prefix> {
            text.split_whitespace().map(|text| text.parse().expect(text)).collect()
        };
        check_pairing(&ranges(private), &ranges(public), &ranges(underlay))
            .iter()
            .map(Mismatch::to_string)
            .collect()
    }

    #[test]
    fn lists_that_fit() {
        for (private, public, underlay) in [
            ("10.0.0.1", "192.0.2.1", ""),
            ("10.0.0.1", "192.0.2.1", "172.31.0.5"),
            ("10.0.0.0/24", "192.0.2.0/24", "172.31.0.0/24"),
            ("10.0.0.1 fd00::1", "2001:db8::1 192.0.2.1", "172.31.0.5"),
            ("fd00::/64", "2001:db8::/64", ""),
        ] {
            assert_eq!(check(private, public, underlay), Vec::<String>::new());
        }
    }

    #[test]
    fn families_must_be_the_same() {
        for (private, public, underlay, said) in [
            ("10.0.0.1", "2001:db8::1", "", "private is IPv4, public is IPv6"),
            ("10.0.0.1 fd00::1", "192.0.2.1", "", "private is IPv4 and IPv6, public is IPv4"),
            ("10.0.0.1", "192.0.2.1", "fd00::1", "private is IPv4, underlay is IPv6"),
        ] {
            let mismatches = check(private, public, underlay);
            assert_eq!(mismatches, [format!("family mismatch: {said}")]);
        }
    }

    #[test]
    fn prefixes_must_be_equally_long() {
        assert_eq!(
            check("10.0.0.0/24", "192.0.2.0/25", "172.31.0.5"),
            [
                "private 10.0.0.0/24 has a prefix of 24 bits, public 192.0.2.0/25 one of 25",
                "private 10.0.0.0/24 has a prefix of 24 bits, underlay 172.31.0.5 one of 32",
            ]
        );
    }
}
