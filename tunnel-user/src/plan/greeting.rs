//! Which peers are to hear, after they have moved, that this host knows it: until then, they send from
//! the address that they had before.

use std::net::IpAddr;

use tunnel_common::peers::ROLE_PRIVATE;

use crate::plan::peer_tables::{PeerTable, PeerTables, side_by_side};
use crate::plan::range::Address;

/// From whom to whom: two private addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// This host's.
    pub own: IpAddr,
    /// The peer's.
    pub peer: IpAddr,
}

/// The peers that are sent to at another address in `next` than in `current`. Networks get no greeting,
/// and neither do a gateway's peers: this host does not know which of their hosts talk to which; their
/// next packets tell.
#[must_use]
pub fn greetings(current: &PeerTables, next: &PeerTables) -> Vec<Greeting> {
    let mut greetings = of_family(&current.v4, &next.v4);
    greetings.extend(of_family(&current.v6, &next.v6));
    greetings
}

fn of_family<A: Address>(current: &PeerTable<A>, next: &PeerTable<A>) -> Vec<Greeting> {
    side_by_side(current, next)
        .filter_map(|(range, old, peer)| Some((range, old?, peer?)))
        .filter(|(range, old, peer)| {
            let has_own = peer.local_private != A::default();
            let moved = old.public != peer.public;
            range.is_single() && peer.role == ROLE_PRIVATE && has_own && moved
        })
        .map(|(range, _, peer)| Greeting { own: peer.local_private.ip(), peer: range.address.ip() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::membership::Membership;
    use crate::plan::peer_tables;

    fn peers(public: &str, network: &str) -> PeerTables {
        let text = format!(
            "[[member]]\nname = \"own\"\nprivate = \"10.0.0.1\"\npublic = \"198.51.100.2\"\n\
             [[member]]\nname = \"b\"\nprivate = \"10.0.0.2\"\npublic = \"{public}\"\n\
             [[member]]\nname = \"net\"\nprivate = \"10.3.0.0/24\"\npublic = \"{network}\"\n"
        );
        let slots = [("b", 0), ("net", 1)].map(|(name, slot)| (name.parse().unwrap(), slot)).into();
        peer_tables::tables(&Membership::of_text(&text, &["own"]), &slots, 0)
    }

    #[test]
    fn a_host_that_moved_is_greeted_and_a_network_is_not() {
        let current = peers("203.0.113.2", "198.18.0.0/24");
        let next = peers("192.0.2.2", "198.19.0.0/24");
        let [greeting] = greetings(&current, &next)[..] else { panic!("one") };
        assert_eq!(greeting.own.to_string(), "10.0.0.1");
        assert_eq!(greeting.peer.to_string(), "10.0.0.2");
        assert_eq!(greetings(&current, &current), []);
        assert_eq!(greetings(&PeerTables::default(), &next), [], "who is new has not moved");
    }
}
