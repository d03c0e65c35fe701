//! Converts the texts of one `bypass` key to its rules.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};

use super::problem::Problem;
use super::raw_file::{Field, Texts};
use crate::model::BypassRule;

/// The valid rules of a list. Each invalid or repeated rule adds a problem to `problems`.
pub(super) fn rules(list: &Texts, problems: &mut Vec<Problem>) -> BTreeSet<BypassRule> {
    let Field::Right(list) = list else { return BTreeSet::new() };
    let mut lines = BTreeMap::new();
    for text in &list.value {
        let rule: BypassRule = match text.value.parse() {
            Ok(rule) => rule,
            Err(problem) => {
                problems.push(Problem::at(text.place, problem.to_string(), problem.help()));
                continue;
            }
        };
        match lines.entry(rule) {
            Entry::Vacant(entry) => {
                entry.insert(text.place);
            }
            Entry::Occupied(first) => {
                let message = format!("bypass lists {rule} twice");
                let problem = Problem::at(text.place, message, "leave one of them out");
                problems.push(problem.with_other(*first.get()));
            }
        }
    }
    lines.into_keys().collect()
}
