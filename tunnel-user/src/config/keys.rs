//! Lists the keys that a file can have, and finds the most likely correct key for a misspelt one.

use crate::model::Role;

pub(super) const MEMBER: &str = "member";
pub(super) const NAME: &str = "name";
pub(super) const PRIVATE: &str = Role::Private.as_str();
pub(super) const PUBLIC: &str = Role::Public.as_str();
pub(super) const UNDERLAY: &str = Role::Underlay.as_str();
pub(super) const DIRECT: &str = "direct";
pub(super) const BYPASS: &str = "bypass";
pub(super) const DRAIN: &str = "drain";
pub(super) const REVISION: &str = "revision";
pub(super) const NETWORK: &str = "network";
pub(super) const INTERFACE: &str = "interface";

/// The keys at the top level of a file.
pub(super) const OF_FILE: [&str; 5] = [BYPASS, DRAIN, MEMBER, NETWORK, REVISION];

/// The keys of a member.
pub(super) const OF_MEMBER: [&str; 6] = [NAME, PRIVATE, PUBLIC, UNDERLAY, DIRECT, BYPASS];

/// The keys of a network.
pub(super) const OF_NETWORK: [&str; 2] = [NAME, INTERFACE];

/// The maximum length of a key to compare, in bytes: a longer key is not a typo.
const COMPARED_MAX: usize = 32;

/// The key of `known` that the author of a misspelt `key` most likely meant.
pub(super) fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    if key.len() > COMPARED_MAX {
        return None;
    }
    let key = key.to_lowercase();
    if let Some(start) = known.iter().find(|known| key.starts_with(**known)) {
        return Some(start);
    }
    known
        .iter()
        .map(|known| (strsim::levenshtein(&key, known), *known))
        .filter(|(edits, _)| *edits <= 2 && edits * 2 <= key.chars().count())
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_pen_are_recognised() {
        for (key, meant) in [
            ("nme", NAME),
            ("Name", NAME),
            ("pubilc", PUBLIC),
            ("private_address", PRIVATE),
            ("underlya", UNDERLAY),
            ("direkt", DIRECT),
            ("bypas", BYPASS),
            ("private_address_of_the_database", PRIVATE),
            ("private_address_of_the_databases", PRIVATE),
        ] {
            assert_eq!(nearest(key, &OF_MEMBER), Some(meant), "{key}");
        }
    }

    #[test]
    fn other_words_are_not() {
        let (short, three_slips, long) = ("nm", "unterlei", "private_address_of_the_databases_");
        let repeated = "name".repeat(100);
        for key in
            ["", "x", short, "mtu", "weight", "interface", three_slips, long, repeated.as_str()]
        {
            assert_eq!(nearest(key, &OF_MEMBER), None, "{key}");
        }
    }
}
