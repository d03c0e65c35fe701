//! Applies the edits of `rewrite peer` to the running peers.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{AddressClaims, check_members, check_pairing};
use crate::error::Error;
use crate::model::{BypassRule, Drain, Family, MemberName, Prefix, Private, Public};
use crate::plan::identity::OwnMember;
use crate::plan::membership::{Membership, no_common_family};
use crate::plan::peers::{NamedPeer, PeerAddresses, no_such_peer};

/// One edit of the running peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Adds a peer.
    Add {
        /// The peer's name.
        name: MemberName,
        /// The peer's private addresses, one per family.
        private: Vec<Private>,
        /// The peer's public addresses, of the same families.
        public: Vec<Public>,
        /// True if native packets, from the peer's private addresses, pass.
        direct: bool,
        /// The bypass rules between the peer and this host.
        bypass: BTreeSet<BypassRule>,
    },
    /// Changes the properties of a peer. Omitted properties stay.
    Set {
        /// The peer's name, or one of its private addresses.
        peer: String,
        /// The new public addresses, to which this host sends. An omitted family keeps its address.
        public: Vec<Public>,
        /// True if native packets, from the peer's private addresses, pass.
        direct: Option<bool>,
        /// The bypass rules between the peer and this host.
        bypass: Option<BTreeSet<BypassRule>>,
        /// The time for which this host accepts packets from the peer's former address, in place of the file's
        /// time. Without a new address, a time of 0 ends the drain of the peer's last move at once.
        drain: Option<Drain>,
    },
    /// Removes a peer.
    Remove {
        /// The peer's name, or one of its private addresses.
        peer: String,
    },
}

impl Edit {
    /// The time for which this host accepts packets from the peer's former address, if the edit sets the time.
    #[must_use]
    pub const fn drain(&self) -> Option<Drain> {
        match self {
            Self::Set { drain, .. } => *drain,
            Self::Add { .. } | Self::Remove { .. } => None,
        }
    }
}

/// The members after an edit, and the edited peer before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The members after the edit.
    pub membership: Membership,
    /// The peer before the edit. `None` if the edit adds the peer.
    pub before: Option<NamedPeer>,
    /// The peer after the edit. `None` if the edit removes the peer.
    pub after: Option<NamedPeer>,
    /// The peer whose former addresses are no longer valid, if the edit ends its drain.
    pub ends_draining: Option<MemberName>,
}

/// Applies `edit` to the members in `current`.
///
/// # Errors
/// [`Error::Refused`] if there is no such peer, if the peer's addresses do not fit together or do not fit this
/// host, or if another member has the addresses.
pub fn edited(edit: &Edit, current: &Membership) -> Result<Edited, Error> {
    let mut membership = current.clone();
    let peers = &mut membership.peers;
    let mut ends_draining = None;
    let (before, after) = match edit {
        Edit::Add { name, private, public, direct, bypass } => {
            let addresses = paired(private, public)?;
            let (name, direct, bypass) = (name.clone(), *direct, bypass.clone());
            let peer = NamedPeer { name, addresses, direct, bypass };
            peers.push(peer.clone());
            (None, Some(peer))
        }
        Edit::Set { peer, public, direct, bypass, drain } => {
            let index = find(peers, peer)?;
            let before = peers[index].clone();
            if public.is_empty() && *drain == Some(Drain::NONE) {
                ends_draining = Some(before.name.clone());
            }
            let after = &mut peers[index];
            after.addresses = moved(&before, public)?;
            after.direct = direct.unwrap_or(before.direct);
            after.bypass = bypass.clone().unwrap_or_else(|| before.bypass.clone());
            let after = after.clone();
            (Some(before), Some(after))
        }
        Edit::Remove { peer } => (Some(peers.remove(find(peers, peer)?)), None),
    };
    if let Some(peer) = &after {
        require_common_family(&membership, peer)?;
    }
    require_no_conflict(&membership)?;
    Ok(Edited { membership, before, after, ends_draining })
}

/// Pairs private and public addresses by family.
fn paired(private: &[Private], public: &[Public]) -> Result<Vec<PeerAddresses>, Error> {
    let private: Vec<Prefix> = private.iter().map(|private| private.0).collect();
    let public: Vec<Prefix> = public.iter().map(|public| public.0).collect();
    let (by_private, by_public) = (by_family("private", &private)?, by_family("public", &public)?);
    if let Some(mismatch) = check_pairing(&private, &public, &[]).first() {
        return Err(Error::refused(mismatch.to_string(), mismatch.help()));
    }
    let pairs = by_private.into_iter().filter_map(|(family, private)| {
        let public = Public(*by_public.get(&family)?);
        Some(PeerAddresses { private: Private(private), public })
    });
    Ok(pairs.collect())
}

fn by_family(role: &str, ranges: &[Prefix]) -> Result<BTreeMap<Family, Prefix>, Error> {
    let mut found = BTreeMap::new();
    for range in ranges {
        let family = range.family();
        if let Some(other) = found.insert(family, *range) {
            return Err(Error::refused(
                format!("--{role} names two {family} addresses, {other} and {range}"),
                "give at most one address of each family",
            ));
        }
    }
    Ok(found)
}

/// The peer's addresses, with `public` in place of the old public addresses of the same families.
fn moved(peer: &NamedPeer, public: &[Public]) -> Result<Vec<PeerAddresses>, Error> {
    let ranges: Vec<Prefix> = public.iter().map(|public| public.0).collect();
    let mut moved = peer.addresses.clone();
    for (family, range) in by_family("public", &ranges)? {
        let name = &peer.name;
        let Some(addresses) = moved.iter_mut().find(|a| a.family() == family) else {
            return Err(Error::refused(
                format!("{name} has no {family} address"),
                format!("remove it and add it again with a private and a public {family} address"),
            ));
        };
        let private = addresses.private.0;
        if let Some(mismatch) = check_pairing(&[private], &[range], &[]).first() {
            return Err(Error::refused(mismatch.to_string(), mismatch.help()));
        }
        addresses.public = Public(range);
    }
    Ok(moved)
}

fn find(peers: &[NamedPeer], wanted: &str) -> Result<usize, Error> {
    let position = peers.iter().position(|peer| peer.is_called(wanted));
    position.ok_or_else(|| no_such_peer(wanted))
}

fn require_common_family(membership: &Membership, peer: &NamedPeer) -> Result<(), Error> {
    let identity = &membership.identity;
    match peer.addresses.iter().find(|addresses| !identity.has(addresses.family())) {
        None => Ok(()),
        Some(_) if !peer.addresses.iter().any(|a| identity.has(a.family())) => {
            Err(no_common_family(identity, &peer.name))
        }
        Some(addresses) => Err(Error::refused(
            format!("this host has no {} address to reach {addresses} from", addresses.family()),
            format!("leave out the {} addresses of {}", addresses.family(), peer.name),
        )),
    }
}

fn require_no_conflict(membership: &Membership) -> Result<(), Error> {
    let own = membership.identity.members().iter().map(own_claim);
    let peers = membership.peers.iter().map(|peer| AddressClaims {
        name: Some(peer.name.clone()),
        private: peer.private().collect(),
        public: peer.public().collect(),
        underlay: Vec::new(),
    });
    let claims: Vec<_> = own.chain(peers).collect();
    match check_members(&claims).first() {
        Some(conflict) => Err(Error::refused(conflict.to_string(), conflict.help())),
        None => Ok(()),
    }
}

fn own_claim(own: &OwnMember) -> AddressClaims {
    let differs = own.mappings().filter(|m| m.underlay().0 != m.public().0);
    AddressClaims {
        name: Some(own.name.clone()),
        private: own.mappings().map(|mapping| mapping.private().0).collect(),
        public: own.mappings().map(|mapping| mapping.public().0).collect(),
        underlay: differs.map(|mapping| mapping.underlay().0).collect(),
    }
}

#[cfg(test)]
mod tests;
