//! Finds the commands that move the traffic of peers back to their former networks, and move nothing else.

use std::collections::BTreeSet;

use crate::model::{MemberName, Private};
use crate::plan::peers::NamedPeer;

/// The carrier of the packets to a private address, before a move.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Former {
    /// The same one: the route has not changed.
    Same,
    /// This network.
    Network(String),
    /// No network: no route of rewrite led to the address, or the interface has no network.
    None,
}

/// One move of traffic to a network: `rewrite peer set NAME --network N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The peer; `None` for all peers of the network (`--all`).
    pub peer: Option<MemberName>,
    /// The network.
    pub network: String,
}

/// The way back from a move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WayBack {
    /// The moves that restore the former routes.
    pub moves: Vec<Move>,
    /// The peers that no move takes back: their addresses had no network, or different ones.
    pub stranded: Vec<MemberName>,
}

impl WayBack {
    /// The way back of `peers`. `former` is the former carrier of an address. `members` reads the names of the peers that
    /// a network knows; a single peer needs none.
    ///
    /// # Errors
    /// The error of `members`.
    pub fn of<E>(
        peers: &[NamedPeer],
        former: impl Fn(Private) -> Former,
        members: impl FnOnce(&str) -> Result<BTreeSet<MemberName>, E>,
    ) -> Result<Self, E> {
        let mut back = Self::default();
        for NamedPeer { name, addresses, .. } in peers {
            let former: BTreeSet<_> = addresses.iter().map(|of| former(of.private)).collect();
            match former.first() {
                None | Some(Former::Same) if former.len() < 2 => {}
                Some(Former::Network(network)) if former.len() == 1 => {
                    back.moves.push(Move { peer: Some(name.clone()), network: network.clone() });
                }
                _ => back.stranded.push(name.clone()),
            }
        }
        back.shortened(members)
    }

    /// One move of all peers, if it takes back the same peers.
    fn shortened<E>(
        self,
        members: impl FnOnce(&str) -> Result<BTreeSet<MemberName>, E>,
    ) -> Result<Self, E> {
        let [first, _, ..] = &self.moves[..] else { return Ok(self) };
        let network = first.network.clone();
        let to_first = self.moves.iter().filter(|one| one.network == network);
        let moved: BTreeSet<_> = to_first.filter_map(|one| one.peer.clone()).collect();
        let is_all = moved.len() == self.moves.len() && members(&network)? == moved;
        Ok(match is_all {
            true => Self { moves: vec![Move { peer: None, network }], ..self },
            false => self,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::model::Public;
    use crate::plan::peers::PeerAddresses;

    /// A peer with the private addresses 10.0.0.`last` and fd00::`last`.
    fn peer(name: &str, last: u8) -> NamedPeer {
        let addresses = |private: String, public: String| PeerAddresses {
            private: Private(private.parse().unwrap()),
            public: Public(public.parse().unwrap()),
        };
        NamedPeer {
            name: name.parse().unwrap(),
            addresses: vec![
                addresses(format!("10.0.0.{last}"), format!("192.0.2.{last}")),
                addresses(format!("fd00::{last}"), format!("2001:db8::{last}")),
            ],
            direct: false,
            bypass: BTreeSet::new(),
        }
    }

    /// The commands of the way back of srvb, srvc and srvd, and the peers without one. The networks "internet" and
    /// "slow" know all three.
    fn way_back(former: impl Fn(&str) -> Former) -> (Vec<String>, Vec<String>) {
        let peers = [peer("srvb", 2), peer("srvc", 3), peer("srvd", 4)];
        let names: BTreeSet<_> = peers.iter().map(|peer| peer.name.clone()).collect();
        let former = |private: Private| former(&private.to_string());
        let Ok(back) = WayBack::of(&peers, former, |_| Ok::<_, Infallible>(names.clone()));
        let text = |one: &Move| match &one.peer {
            Some(peer) => format!("{peer} {}", one.network),
            None => format!("all {}", one.network),
        };
        (
            back.moves.iter().map(text).collect(),
            back.stranded.iter().map(ToString::to_string).collect(),
        )
    }

    fn network(name: &str) -> Former {
        Former::Network(name.into())
    }

    #[test]
    fn all_peers_of_one_network_go_back_by_one_command() {
        assert_eq!(way_back(|_| network("slow")), (vec!["all slow".into()], vec![]));
        assert_eq!(way_back(|_| Former::Same), (vec![], vec![]));
    }

    #[test]
    fn a_peer_whose_traffic_stayed_is_not_taken_back() {
        let former = |private: &str| match private.ends_with('2') {
            true => Former::Same,
            false => network("internet"),
        };
        assert_eq!(
            way_back(former),
            (vec!["srvc internet".into(), "srvd internet".into()], vec![])
        );
    }

    #[test]
    fn the_members_of_a_network_are_not_read_for_a_single_peer() {
        let back = WayBack::of(&[peer("srvb", 2)], |_| network("internet"), |_| Err(()));
        assert_eq!(back.map(|back| back.moves.len()), Ok(1));
        let two = [peer("srvb", 2), peer("srvc", 3)];
        assert_eq!(WayBack::of(&two, |_| network("internet"), |_| Err(())), Err(()));
    }

    #[test]
    fn each_peer_goes_back_to_its_own_network() {
        let former = |private: &str| match private.ends_with('2') {
            true => network("slow"),
            false => network("internet"),
        };
        let moves = ["srvb slow", "srvc internet", "srvd internet"].map(String::from);
        assert_eq!(way_back(former), (moves.to_vec(), vec![]));
    }

    #[test]
    fn a_peer_that_the_former_network_also_knows_keeps_its_own() {
        let peers = [peer("srvb", 2), peer("srvc", 3)];
        let more: BTreeSet<_> = ["srvb", "srvc", "srvd"].map(|name| name.parse().unwrap()).into();
        let known = |_: &str| Ok::<_, Infallible>(more.clone());
        let Ok(back) = WayBack::of(&peers, |_| network("internet"), known);
        assert_eq!(back.moves.len(), 2);
        assert!(back.moves.iter().all(|one| one.peer.is_some()), "{back:?}");
    }

    #[test]
    fn a_peer_with_one_moved_address_or_without_a_former_route_has_no_command() {
        let former = |private: &str| match private {
            "10.0.0.2" => network("internet"),
            "fd00::2" => Former::Same,
            private if private.ends_with('3') => Former::None,
            _ => Former::Same,
        };
        assert_eq!(way_back(former), (vec![], vec!["srvb".into(), "srvc".into()]));
    }
}
