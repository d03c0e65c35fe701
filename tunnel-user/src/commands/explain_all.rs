//! `rewrite explain --all`: proves from the file alone that packets between all members arrive as they were sent.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use crate::error::Error;
use crate::ops::load_file;
use crate::plan::every_pair::{self, Failed};

/// The output of `explain --all`; `--json` prints these fields (docs/json.md).
#[derive(Clone, Debug, Serialize)]
pub struct Proof {
    /// The number of members in the file.
    pub members: u64,
    /// The number of ordered pairs, over all networks and families.
    pub pairs: u64,
    /// The number of pairs with a failure.
    pub failed_pairs: u64,
    /// The failures.
    pub failures: Vec<Failure>,
}

/// A packet that does not arrive as it was sent.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// The network; null in a file without networks.
    pub network: Option<String>,
    /// The sender's name.
    pub from: String,
    /// The receiver's name.
    pub to: String,
    /// The failure in words.
    pub what: String,
}

impl Proof {
    /// True if every packet arrives as it was sent.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Reads the file at `config`, and checks every pair of members on each of its networks.
///
/// # Errors
/// If the file can't be read, or is invalid.
pub async fn run(config: &Path) -> Result<Proof, Error> {
    let (clusters, _) = load_file::load(config, None).await?;
    let (mut pairs, mut failed_pairs, mut failures) = (0_u64, 0_u64, Vec::new());
    let mut members = BTreeSet::new();
    for cluster in clusters.all() {
        let checked = every_pair::check(cluster);
        pairs = pairs.saturating_add(checked.pairs);
        failed_pairs = failed_pairs.saturating_add(checked.failed_pairs);
        members.extend(cluster.members().iter().map(|member| &member.name));
        let network = cluster.network().map(|network| network.name.to_string());
        failures
            .extend(checked.failures.into_iter().map(|failed| failure(network.clone(), failed)));
    }
    Ok(Proof { members: members.len() as u64, pairs, failed_pairs, failures })
}

fn failure(network: Option<String>, failed: Failed) -> Failure {
    let Failed { from, to, what } = failed;
    Failure { network, from: from.to_string(), to: to.to_string(), what }
}
