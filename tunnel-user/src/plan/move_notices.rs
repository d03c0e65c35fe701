//! Selects the recipients and the source addresses of this host's move notices, and builds the messages.

use std::collections::BTreeSet;
use std::net::IpAddr;

use tunnel_common::move_notice::{IDENTIFIER, Mark, payload};
use tunnel_common::peers::{Peer, ROLE_PUBLIC};

use crate::plan::awaited::is_single;
use crate::plan::echo;
use crate::plan::identity::Identity;
use crate::plan::peer_tables::{PeerTable, PeerTables};
use crate::plan::range::Address;

/// A notice to a peer about a pair of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MoveNotice {
    /// This host's underlay address.
    pub from: IpAddr,
    /// The peer's public address.
    pub to: IpAddr,
}

/// The peers that get a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The peers that have yet to show that they send between a pair of addresses. The notice asks these peers to
    /// confirm the pair.
    Awaited,
    /// All other peers. They may await this host.
    Shown,
}

/// The notices to the peers that are hosts, not networks: from this host or, on a gateway, from each host behind the
/// gateway.
#[must_use]
pub fn notices(to: To, tables: &PeerTables, identity: &Identity) -> BTreeSet<MoveNotice> {
    let mut notices = of_family(to, &tables.v4, identity);
    notices.extend(of_family(to, &tables.v6, identity));
    notices
}

fn of_family<A: Address>(
    to: To,
    table: &PeerTable<A>,
    identity: &Identity,
) -> BTreeSet<MoveNotice> {
    let own = identity.mappings().filter(|own| own.family() == A::FAMILY && own.is_single());
    let own: Vec<IpAddr> = own.map(|own| own.underlay().0.address()).collect();
    let gets_it = |peer: &&Peer<A>| {
        let is_public = is_single(*peer) && peer.role == ROLE_PUBLIC;
        is_public && (to == To::Awaited) == (peer.awaited == 1)
    };
    let peers = table.values().filter(gets_it).map(|peer| peer.public.ip());
    peers.flat_map(|to| own.iter().map(move |from| MoveNotice { from: *from, to })).collect()
}

/// The echo request of a notice.
#[must_use]
pub fn echo_request(message_type: u8, sequence: u16, mark: Mark) -> Vec<u8> {
    echo::request(message_type, IDENTIFIER, sequence, &payload(mark))
}

#[cfg(test)]
mod tests {
    use tunnel_common::move_notice;

    use super::*;
    use crate::plan::membership::Membership;
    use crate::plan::peer_tables;

    const HOST: &str =
        "[[member]]\nname = \"own\"\nprivate = \"10.0.0.1\"\npublic = \"198.51.100.2\"\n";
    const PEERS: &str = "[[member]]\nname = \"b\"\nprivate = \"10.0.0.2\"\npublic = \"203.0.113.2\"\n\
        [[member]]\nname = \"c\"\nprivate = \"10.0.0.3\"\npublic = \"203.0.113.3\"\n\
        [[member]]\nname = \"net\"\nprivate = \"10.3.0.0/24\"\npublic = \"198.18.0.0/24\"\n";

    fn described(who: To, text: &str, local: &[&str], awaited: [u8; 4]) -> Vec<String> {
        let membership = Membership::of_text(text, local);
        let slots = [("b", 0), ("c", 1), ("net", 2)];
        let slots = slots.map(|(name, slot)| (name.parse().unwrap(), slot)).into();
        let mut tables = peer_tables::tables(&membership, &slots, 0);
        for peer in tables.v4.values_mut().filter(|peer| peer.public == awaited) {
            peer.awaited = u8::from(peer.role == ROLE_PUBLIC);
        }
        let notices = notices(who, &tables, &membership.identity);
        notices.iter().map(|notice| format!("{} > {}", notice.from, notice.to)).collect()
    }

    #[test]
    fn those_are_asked_that_are_awaited_and_no_networks() {
        let text = format!("{HOST}{PEERS}");
        let [b, c] = ["198.51.100.2 > 203.0.113.2", "198.51.100.2 > 203.0.113.3"];
        assert_eq!(described(To::Awaited, &text, &["own"], [203, 0, 113, 2]), [b]);
        assert_eq!(described(To::Shown, &text, &["own"], [203, 0, 113, 2]), [c]);
    }

    #[test]
    fn a_gateway_asks_for_each_of_its_hosts() {
        let other =
            HOST.replace("own", "other").replace("0.0.1", "0.0.4").replace("100.2", "100.4");
        let text = format!("{HOST}{other}{PEERS}");
        let asked = described(To::Awaited, &text, &["own", "other"], [203, 0, 113, 3]);
        assert_eq!(asked, ["198.51.100.2 > 203.0.113.3", "198.51.100.4 > 203.0.113.3"]);
    }

    #[test]
    fn a_notice_goes_between_addresses_of_one_family_and_from_no_network() {
        let host = HOST
            .replace("\"10.0.0.1\"", "[\"10.0.0.1\", \"fd00::1\"]")
            .replace("\"198.51.100.2\"", "[\"198.51.100.2\", \"2001:db8::2\"]");
        let text = format!("{host}{PEERS}");
        let asked = ["198.51.100.2 > 203.0.113.2"];
        assert_eq!(described(To::Awaited, &text, &["own"], [203, 0, 113, 2]), asked);
        assert_eq!(described(To::Awaited, &text, &["own", "net"], [203, 0, 113, 2]), asked);
    }

    #[test]
    fn the_programs_find_the_mark_in_the_request_of_a_notice() {
        let request = echo_request(8, 7, Mark::Asked);
        let (header, payload) = request.split_at(echo::HEADER_LEN);
        assert_eq!((header[0], &header[4..]), (8, &[0, 0, 0, 7][..]));
        assert_eq!(move_notice::mark(payload.try_into().unwrap()), Some(Mark::Asked));
    }
}
