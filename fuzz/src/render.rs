//! A cluster as the text of a file.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use tunnel_user::config::Cluster;
use tunnel_user::model::{BypassRule, Prefix};

/// The text of a file that describes `cluster`.
#[must_use]
pub fn file(cluster: &Cluster) -> String {
    let mut text = rules(cluster.bypass());
    for member in cluster.members() {
        let list = |role: fn(&tunnel_user::model::Mapping) -> Prefix| {
            let ranges: Vec<String> =
                member.mappings().map(|mapping| format!("\"{}\"", role(&mapping))).collect();
            ranges.join(", ")
        };
        let _ = write!(
            text,
            "[[member]]\nname = \"{}\"\nprivate = [{}]\npublic = [{}]\nunderlay = [{}]\n\
             direct = {}\n{}",
            member.name,
            list(|mapping| mapping.private().0),
            list(|mapping| mapping.public().0),
            list(|mapping| mapping.underlay().0),
            member.direct,
            rules(&member.bypass),
        );
    }
    text
}

fn rules(rules: &BTreeSet<BypassRule>) -> String {
    let rules: Vec<String> = rules.iter().map(|rule| format!("\"{rule}\"")).collect();
    format!("bypass = [{}]\n", rules.join(", "))
}
