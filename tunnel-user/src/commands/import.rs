//! `rewrite import`: makes a cluster file from NAT rules, tunnels or the files of cluster software, and lists the
//! commands of the switch-over.

use std::path::PathBuf;

use crate::error::Error;
use crate::host::import_sources;
use crate::model::MemberName;
use crate::ops::import::{self, Import, Target};
use crate::plan::import::Source;

/// The request of an import.
#[derive(Clone, Debug)]
pub struct Request {
    /// The source.
    pub source: Source,
    /// The file with the source's text, `-` for standard input; by default, the host itself.
    pub input: Option<PathBuf>,
    /// The file that names addresses.
    pub hosts: PathBuf,
    /// The name of this host's member.
    pub self_name: Option<MemberName>,
    /// The new file.
    pub target: Target,
}

/// Reads the source, makes the file, and writes it if the request names a place.
///
/// # Errors
/// If the source can't be read or has no peer, or if the file exists or can't be written.
pub async fn run(request: &Request) -> Result<Import, Error> {
    let Request { source, input, hosts, self_name, target } = request;
    import::require_free(target)?;
    let facts = import_sources::facts(hosts).await?;
    let found = import::read(*source, input.as_deref(), &facts)?;
    let facts = if input.is_some() { facts.for_text(&found) } else { facts };
    import::import(*source, &found, &facts, self_name.as_ref(), target)
}
