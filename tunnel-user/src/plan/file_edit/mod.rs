//! Writes the state of one peer into the text of a cluster file. All other text stays byte for byte.

mod member;
mod piece;

use std::path::Path;

use crate::config::{self, Cluster, Clusters, Member, Sources};
use crate::error::Error;
use crate::model::MemberName;
use crate::plan::peers::NamedPeer;

/// The files in one of which a peer is saved.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// The files of the text.
    pub sources: &'a Sources,
    /// The cluster's text.
    pub text: &'a str,
    /// The parsed text.
    pub clusters: &'a Clusters,
    /// The cluster on the network of the interface whose peer changes.
    pub cluster: &'a Cluster,
}

/// The file's new text, and the lines that differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEdit {
    /// The new text.
    pub text: String,
    /// The lines of the former text that are gone.
    pub removed: Vec<String>,
    /// The lines of the new text that the former text lacks.
    pub added: Vec<String>,
}

impl FileEdit {
    /// True if the file already has the peer's state.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }
}

/// Writes the peer `name` into `file` as it is in `after`, or removes its member if `after` is `None`. Keys and
/// families that `after` lacks stay: `underlay`, other networks, addresses of a family that this host lacks.
///
/// # Errors
/// [`Error::Refused`] if the new text is no valid cluster file, if the file has the peer with other private addresses
/// or on other networks only, or if the file's layout is beyond this function.
pub fn save(
    file: &File<'_>,
    name: &MemberName,
    after: Option<&NamedPeer>,
) -> Result<FileEdit, Error> {
    let network = file.cluster.network().map(|network| network.name.as_str());
    let known = find(file.cluster, name);
    let elsewhere = file.clusters.all().iter().find_map(|cluster| find(cluster, name));
    let text = match (known.or(elsewhere), after) {
        (None, None) => file.text.to_owned(),
        (Some(member), None) => remove(file, member)?,
        (None, Some(peer)) => append(file, peer, network)?,
        (Some(member), Some(peer)) => {
            require_same_private(file, known, member, peer)?;
            set(file, member, peer, network)?
        }
    };
    require_saved(file, &text, name, after)?;
    let (removed, added) = piece::different_lines(file.text, &text);
    Ok(FileEdit { text, removed, added })
}

fn find<'a>(cluster: &'a Cluster, name: &MemberName) -> Option<&'a Member> {
    cluster.members().iter().find(|member| member.name == *name)
}

/// The peer of a member, with only the families of `after`.
fn as_peer(member: &Member, after: &NamedPeer) -> NamedPeer {
    let mut peer = NamedPeer::from(member);
    peer.addresses.retain(|own| after.addresses.iter().any(|a| a.family() == own.family()));
    peer
}

fn require_same_private(
    file: &File<'_>,
    known: Option<&Member>,
    member: &Member,
    peer: &NamedPeer,
) -> Result<(), Error> {
    let has_private =
        known.is_some_and(|member| as_peer(member, peer).private().eq(peer.private()));
    if has_private {
        return Ok(());
    }
    let what = match known {
        Some(_) => "other private addresses",
        None => "no public address on this network",
    };
    let (path, line) = file.sources.locate(member.line);
    Err(Error::refused(
        format!("{}:{line}: the file has a member {}, with {what}", path.display(), peer.name),
        "change this member in the file by hand, then run rewrite attach",
    ))
}

fn set(
    file: &File<'_>,
    member: &Member,
    peer: &NamedPeer,
    network: Option<&str>,
) -> Result<String, Error> {
    if as_peer(member, peer) == *peer {
        return Ok(file.text.to_owned());
    }
    let range = piece::of_member(file.text, member.line);
    let edited = member::edited(&file.text[range.clone()], member.name.as_str(), |table| {
        member::set(table, peer, network);
    });
    let edited = edited.ok_or_else(|| uneditable(file.sources.first()))?;
    Ok(piece::replaced(file.text, range, &edited))
}

fn remove(file: &File<'_>, member: &Member) -> Result<String, Error> {
    let range = piece::of_member(file.text, member.line);
    let rest = member::removed(&file.text[range.clone()], member.name.as_str(), range.start == 0);
    let rest = rest.ok_or_else(|| uneditable(file.sources.first()))?;
    Ok(piece::closed_up(file.text, range, &rest))
}

fn append(file: &File<'_>, peer: &NamedPeer, network: Option<&str>) -> Result<String, Error> {
    if !file.sources.is_one_file() {
        return Err(several_files(file, peer));
    }
    let first = file.cluster.members().first();
    if first.is_some_and(|first| piece::has_header(file.text, first.line)) {
        return Ok(piece::appended(file.text, &member::text(peer, network)));
    }
    let edited =
        member::pushed(file.text, peer, network).ok_or_else(|| uneditable(file.sources.first()))?;
    Ok(piece::replaced(file.text, 0..file.text.len(), &edited))
}

/// Reads the new text, and requires the wanted peer and the other members of the former text.
fn require_saved(
    file: &File<'_>,
    text: &str,
    name: &MemberName,
    after: Option<&NamedPeer>,
) -> Result<(), Error> {
    let clusters = config::parse(file.sources.first(), text).map_err(|error| {
        let (what, help) = match error.problems() {
            [problem, ..] => (problem.message.clone(), problem.help.clone()),
            [] => (error.to_string(), String::new()),
        };
        Error::refused(
            format!("{} would be wrong with this change: {what}", file.sources.first().display()),
            format!("{help}; without --save, only the running peers change"),
        )
    })?;
    let on_network = clusters.all().iter().find(|read| read.network() == file.cluster.network());
    let is_saved = on_network.is_some_and(|read| match (find(read, name), after) {
        (Some(member), Some(peer)) => as_peer(member, peer) == *peer,
        (None, None) => true,
        _ => false,
    });
    let others = |clusters: &Clusters| -> Vec<Member> {
        let members = clusters.all().iter().flat_map(Cluster::members);
        let others = members.filter(|member| member.name != *name);
        others.map(|member| Member { line: 0, ..member.clone() }).collect()
    };
    if is_saved && others(&clusters) == others(file.clusters) {
        Ok(())
    } else {
        Err(uneditable(file.sources.first()))
    }
}

/// The refusal to choose a file for a new member: its name is a rule of the operator or of configuration management.
fn several_files(file: &File<'_>, peer: &NamedPeer) -> Error {
    let path = file.sources.first();
    let folder = path.with_extension("d");
    Error::refused(
        format!("the members of {} are in several files", path.display()),
        format!(
            "write the member into {}/{}.toml, then run rewrite attach; without --save, only the running peers change",
            folder.display(),
            peer.name
        ),
    )
}

/// The refusal to change a file whose layout is beyond this module.
pub(crate) fn uneditable(path: &Path) -> Error {
    Error::refused(
        format!(
            "rewrite can't change this member in {}: the file's layout is unusual",
            path.display()
        ),
        "change the file by hand, and begin each member with a line [[member]]",
    )
}

#[cfg(test)]
mod tests;
