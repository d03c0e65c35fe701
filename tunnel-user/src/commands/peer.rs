//! `rewrite peer`: looks at and changes the running peers, at once, and not the file.

use super::running::{self, Running};
use super::undo::{Undo, undo};
use super::{membership, routing};
use crate::address::{Private, Public};
use crate::config::{Claim, MemberName, check_members};
use crate::dataplane::pins;
use crate::failure::Failure;
use crate::host::netlink::Netlink;
use crate::host::snapshot::Snapshot;
use crate::interrupt::Interrupt;
use crate::plan::identity::Identity;
use crate::plan::peers::{self, NamedPeer, RunningPeer};
use crate::plan::routes::RouteChanges;

/// One change of the running peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// One more peer.
    Add(NamedPeer),
    /// Other properties of a peer; what is not given stays.
    Set {
        /// Its name, or its private address.
        peer: String,
        /// Where packets to it are sent.
        public: Option<Public>,
        /// Whether plain packets from its private address are let through.
        direct: Option<bool>,
    },
    /// One peer less.
    Remove {
        /// Its name, or its private address.
        peer: String,
    },
}

/// What is now true.
#[derive(Clone, Debug)]
pub struct Report {
    /// The interface whose peers changed.
    pub interface: String,
    /// The peer as it was, if it was there.
    pub before: Option<NamedPeer>,
    /// The peer as it is, if it is there.
    pub after: Option<NamedPeer>,
    /// The routes that were set and removed.
    pub routes: RouteChanges,
}

/// The peers of every attached interface.
///
/// # Errors
/// If the pins can't be used.
pub fn list() -> Result<Vec<(String, Vec<RunningPeer>)>, Failure> {
    running::all()?
        .iter()
        .map(|running| {
            let peers = peers::running(&running.maps.peers()?, &running.maps.names()?);
            Ok((running.folder.interface().to_owned(), peers))
        })
        .collect()
}

/// Makes one change, on the attached interface or on that of the given name.
///
/// # Errors
/// Nothing has changed then.
pub async fn run(edit: &Edit, interface: Option<&str>) -> Result<Report, Failure> {
    pins::require_bpffs()?;
    let netlink = Netlink::connect()?;
    let interrupt = Interrupt::listen()?;
    let _lock = pins::lock(&interrupt).await?;
    let mut running = running::one(interface)?;

    let running_peers = peers::running(&running.maps.peers()?, &running.maps.names()?);
    let current: Vec<_> = running_peers.into_iter().map(|running| running.peer).collect();
    let (wanted, before, after) = edited(edit, &current)?;
    require_no_conflict(&running.identity, &wanted)?;

    let routes = routes(&running, &wanted, &netlink).await?;
    let mut steps = Vec::new();
    let result = apply(&mut running, &wanted, &routes, &netlink, &interrupt, &mut steps).await;
    if let Err(failure) = result {
        undo(&netlink, Some(&mut running.maps), steps).await;
        return Err(failure);
    }
    Ok(Report { interface: running.folder.interface().into(), before, after, routes })
}

async fn routes(
    running: &Running,
    wanted: &[NamedPeer],
    netlink: &Netlink,
) -> Result<RouteChanges, Failure> {
    if running.attachment.routes_managed == 0 {
        return Ok(RouteChanges::default());
    }
    let snapshot = Snapshot::take(netlink).await?;
    let link = snapshot.attachable(running.folder.interface())?;
    let ways = wanted.iter().map(|peer| (peer.private, peer.public));
    routing::plan(netlink, link, &snapshot.names(), running.identity.private, ways).await
}

async fn apply(
    running: &mut Running,
    wanted: &[NamedPeer],
    routes: &RouteChanges,
    netlink: &Netlink,
    interrupt: &Interrupt,
    steps: &mut Vec<Undo>,
) -> Result<(), Failure> {
    let previous = routing::ours(netlink, running.attachment.ifindex).await?;
    membership::change(&mut running.maps, &running.identity, wanted, interrupt, steps).await?;
    routing::change(netlink, routes, &previous, interrupt, steps).await
}

type Edited = (Vec<NamedPeer>, Option<NamedPeer>, Option<NamedPeer>);

/// The peers after `edit`, and the one that it concerns before and after.
fn edited(edit: &Edit, current: &[NamedPeer]) -> Result<Edited, Failure> {
    let mut wanted = current.to_vec();
    match edit {
        Edit::Add(peer) => {
            wanted.push(peer.clone());
            Ok((wanted, None, Some(peer.clone())))
        }
        Edit::Set { peer, public, direct } => {
            let index = find(current, peer)?;
            let before = wanted[index].clone();
            wanted[index].public = public.unwrap_or(before.public);
            wanted[index].direct = direct.unwrap_or(before.direct);
            let after = wanted[index].clone();
            Ok((wanted, Some(before), Some(after)))
        }
        Edit::Remove { peer } => {
            let before = wanted.remove(find(current, peer)?);
            Ok((wanted, Some(before), None))
        }
    }
}

fn find(peers: &[NamedPeer], wanted: &str) -> Result<usize, Failure> {
    let private = wanted.parse().ok().map(Private);
    let is_it = |peer: &NamedPeer| peer.name.as_str() == wanted || Some(peer.private) == private;
    peers.iter().position(is_it).ok_or_else(|| {
        let names: Vec<_> = peers.iter().map(|peer| peer.name.as_str()).collect();
        let known = if names.is_empty() { "there is none".into() } else { names.join(", ") };
        Failure::refused(
            format!("there is no peer {wanted:?}"),
            format!("the peers are: {known}; `rewrite peer add` makes one"),
        )
    })
}

fn require_no_conflict(identity: &Identity, peers: &[NamedPeer]) -> Result<(), Failure> {
    let claim = |name: &MemberName, private: Private, public: Public| Claim {
        name: Some(name.clone()),
        private: vec![private.0.into()],
        public: vec![public.0.into()],
        underlay: Vec::new(),
    };
    let mut claims = vec![claim(&identity.name, identity.private, identity.public)];
    claims.extend(peers.iter().map(|peer| claim(&peer.name, peer.private, peer.public)));
    match check_members(&claims).first() {
        Some(conflict) => Err(Failure::refused(conflict.to_string(), conflict.help())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str, private: [u8; 4], public: [u8; 4]) -> NamedPeer {
        let name = name.parse().unwrap();
        NamedPeer { name, private: private.into(), public: public.into(), direct: false }
    }

    fn two() -> Vec<NamedPeer> {
        vec![
            peer("srvb", [10, 0, 0, 2], [203, 0, 113, 2]),
            peer("srvc", [10, 0, 0, 3], [192, 0, 2, 3]),
        ]
    }

    #[test]
    fn a_peer_is_found_by_its_name_and_by_its_private_address() {
        assert_eq!(find(&two(), "srvc").unwrap(), 1);
        assert_eq!(find(&two(), "10.0.0.2").unwrap(), 0);
        let error = find(&two(), "203.0.113.2").unwrap_err().to_string();
        assert!(error.contains("srvb, srvc"), "{error}");
    }

    #[test]
    fn what_is_not_given_stays() {
        let edit =
            Edit::Set { peer: "srvb".into(), public: Some([192, 0, 2, 9].into()), direct: None };
        let (wanted, before, after) = edited(&edit, &two()).unwrap();
        assert_eq!(before.as_ref(), two().first());
        assert_eq!(after.as_ref(), wanted.first());
        assert_eq!(wanted, [peer("srvb", [10, 0, 0, 2], [192, 0, 2, 9]), two()[1].clone()]);
    }

    #[test]
    fn an_address_that_another_member_has_is_refused() {
        let identity = Identity {
            name: "srva".parse().unwrap(),
            private: [10, 0, 0, 1].into(),
            public: [198, 51, 100, 2].into(),
            underlay: [198, 51, 100, 2].into(),
        };
        let added = Edit::Add(peer("srvd", [10, 0, 0, 1], [192, 0, 2, 4]));
        let (wanted, ..) = edited(&added, &two()).unwrap();
        let error = require_no_conflict(&identity, &wanted).unwrap_err().to_string();
        assert!(error.contains("10.0.0.1") && error.contains("srva"), "{error}");
        assert!(require_no_conflict(&identity, &two()).is_ok());
    }
}
