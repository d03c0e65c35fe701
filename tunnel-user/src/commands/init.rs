//! `rewrite init`: looks for the sources of an import on this host, and writes the cluster file from the best one; or
//! an example with this host's own addresses.

use std::path::PathBuf;

use crate::error::Error;
use crate::host::import_sources;
use crate::model::{Family, MemberName};
use crate::ops::import::{self, Import, Target};
use crate::plan::import::draft::{Draft, DraftAddresses, DraftMember, draft, outer_address};
use crate::plan::import::draft::{disagreements, is_private_use};
use crate::plan::import::{Found, HostFacts, Source};

/// The name of the example's peer.
const EXAMPLE_PEER: &str = "another-host";

/// The request of an init.
#[derive(Clone, Debug)]
pub struct Request {
    /// The file that names addresses.
    pub hosts: PathBuf,
    /// The name of this host's member.
    pub self_name: Option<MemberName>,
    /// The new file.
    pub target: Target,
}

/// The result of a look at a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The source.
    pub source: Source,
    /// The number of peers that it names.
    pub peers: usize,
    /// The reason why the source can't be read.
    pub problem: Option<String>,
}

/// The new file, and the sources on this host.
#[derive(Clone, Debug)]
pub struct Init {
    /// The file, and the way to it.
    pub import: Import,
    /// The sources that name peers, or can't be read.
    pub seen: Vec<Seen>,
}

/// Looks at all sources, and writes the file.
///
/// # Errors
/// If the file exists already or can't be written. A source that can't be read is part of the result.
pub async fn run(request: &Request) -> Result<Init, Error> {
    let Request { hosts, self_name, target } = request;
    import::require_free(target)?;
    let facts = import_sources::facts(hosts).await?;
    let (mut seen, mut sources) = (Vec::new(), Vec::new());
    for source in Source::ALL {
        let input = (source == Source::Hosts).then_some(hosts.as_path());
        match import::read(source, input, &facts) {
            Ok(found) => {
                let draft = draft(&found, &facts, self_name.as_ref());
                let peers = if is_usable(source, &found) { draft.peers() } else { 0 };
                if peers > 0 {
                    seen.push(Seen { source, peers, problem: None });
                    sources.push((source, found, draft));
                }
            }
            Err(error) => seen.push(Seen { source, peers: 0, problem: Some(error.to_string()) }),
        }
    }
    let mut sources = sources.into_iter();
    let Some((source, mut found, best)) = sources.next() else {
        let example = example(&facts, self_name.as_ref());
        let origin = format!("An example: {}.", no_source(&seen));
        let findings = example.findings.clone();
        let parts = (example, findings);
        let import = import::finish(None, &Found::default(), parts, &facts, &origin, target)?;
        return Ok(Init { import, seen });
    };
    for (other, _, draft) in sources {
        found.findings.extend(disagreements(source, &best, other, &draft));
    }
    let import = import::import(source, &found, &facts, self_name.as_ref(), target)?;
    Ok(Init { import, seen })
}

/// The reason for an example in place of an import.
#[must_use]
pub fn no_source(seen: &[Seen]) -> &'static str {
    match seen.iter().any(|seen| seen.problem.is_some()) {
        true => "no source that can be read names a peer",
        false => "no source of an import is on this host",
    }
}

/// A file of hosts is a source if all its addresses are of private networks: otherwise it names more than a cluster.
fn is_usable(source: Source, found: &Found) -> bool {
    source != Source::Hosts || found.hosts.iter().all(|host| is_private_use(host.private))
}

/// This host with the address of its uplink, and a peer to fill in.
fn example(facts: &HostFacts, self_name: Option<&MemberName>) -> Draft {
    let own = Family::ALL.into_iter().filter_map(|family| outer_address(facts, family));
    let of_address = |outer| match is_private_use(outer) {
        true => DraftAddresses { private: None, public: None, underlay: Some(outer) },
        false => DraftAddresses { private: None, public: Some(outer), underlay: None },
    };
    let blank = DraftAddresses { private: None, public: None, underlay: None };
    let own = own.map(of_address).next().unwrap_or(blank);
    let hostname = || facts.hostname.as_ref().and_then(|name| name.parse().ok());
    let name = self_name.cloned().or_else(hostname);
    let member = |name, is_self, addresses| DraftMember { name, is_self, addresses };
    let name = name.or_else(|| "this-host".parse().ok());
    let members = [(name, true, own), (EXAMPLE_PEER.parse().ok(), false, blank)];
    let members = members
        .into_iter()
        .filter_map(|(name, is_self, addresses)| Some(member(name?, is_self, vec![addresses])));
    Draft::with_blanks(members.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_with_a_problem_is_no_missing_source() {
        let seen = |problem| Seen { source: Source::Nft, peers: 0, problem };
        assert_eq!(no_source(&[]), "no source of an import is on this host");
        let unread = seen(Some("can't run nft".to_owned()));
        assert_eq!(no_source(&[unread]), "no source that can be read names a peer");
    }
}
