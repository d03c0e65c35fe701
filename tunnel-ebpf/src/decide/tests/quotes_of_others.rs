//! ICMP errors between all addresses, about packets between all addresses: which quotes are those
//! of a rewritten packet.

use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::{Address, Datagram, Route};
use super::host::{Host, Member, ROUTER, SRVA, SRVB, SRVC, STRANGER};

const ADDRESSES: [Address; 8] = [
    SRVA.private,
    SRVA.public,
    SRVB.private,
    SRVB.public,
    SRVC.private,
    SRVC.public,
    ROUTER,
    STRANGER,
];

fn routes() -> impl Iterator<Item = Route> {
    ADDRESSES
        .iter()
        .flat_map(|source| ADDRESSES.iter().map(|destination| Route::new(*source, *destination)))
}

/// The peer of srva whose private or public address this is.
fn slot(address: Address, is_private: bool) -> Option<u32> {
    let address_of = |member: Member| match is_private {
        true => member.private,
        false => member.public,
    };
    (0..).zip([SRVB, SRVC]).find(|(_, peer)| address_of(*peer) == address).map(|(slot, _)| slot)
}

/// The other address of the same host.
fn other(address: Address) -> Address {
    for member in [SRVA, SRVB, SRVC] {
        if address == member.private {
            return member.public;
        }
        if address == member.public {
            return member.private;
        }
    }
    panic!("{address:?} is no member's")
}

fn both(route: Route) -> Route {
    Route::new(other(route.source), other(route.destination))
}

/// A socket of srva's is bound to the one or the other.
fn is_own(address: Address) -> bool {
    address == SRVA.private || address == SRVA.public
}

fn error() -> Datagram {
    Datagram::error(&Datagram::udp(b"data"), 32)
}

#[test]
fn errors_that_leave_quote_packets_of_a_peer_to_this_host() {
    for (outer, quoted) in routes().flat_map(|outer| routes().map(move |quoted| (outer, quoted))) {
        let host = Host::srva();
        let sent = error().bytes_quoting(outer, quoted);
        let (outcome, wire) = host.handle(Direction::Egress, &sent);
        let expected = match slot(outer.destination, true) {
            None => Outcome::NotOurs,
            Some(_) if !is_own(outer.source) => Outcome::NotRewritten(Reason::ForeignSource),
            Some(slot) => Outcome::Rewritten { slot },
        };
        assert_eq!(outcome, expected, "{outer:?} {quoted:?}");
        if let Outcome::Rewritten { .. } = outcome {
            let came = slot(quoted.source, true).is_some() && is_own(quoted.destination);
            let quoted = match came {
                true => Route::new(other(quoted.source), SRVA.public),
                false => quoted,
            };
            let outer = Route::new(SRVA.public, other(outer.destination));
            assert_eq!(wire, error().bytes_quoting(outer, quoted), "{outer:?} {quoted:?}");
        }
    }
}

#[test]
fn errors_that_arrive_quote_packets_of_this_host_to_a_peer() {
    for (outer, quoted) in routes().flat_map(|outer| routes().map(move |quoted| (outer, quoted))) {
        let wire = error().bytes_quoting(outer, quoted);
        let (outcome, received) = Host::srva().handle(Direction::Ingress, &wire);
        let went_to = slot(quoted.destination, false).filter(|_| quoted.source == SRVA.public);
        let is_for_us = outer.destination == SRVA.public;
        let expected = match slot(outer.source, false) {
            _ if slot(outer.source, true).is_some() => Outcome::NotRewritten(Reason::Spoofed),
            Some(_) if !is_for_us => Outcome::NotRewritten(Reason::ForeignDestination),
            Some(slot) => Outcome::Rewritten { slot },
            None => went_to
                .filter(|_| is_for_us)
                .map_or(Outcome::NotOurs, |slot| Outcome::Rewritten { slot }),
        };
        assert_eq!(outcome, expected, "{outer:?} {quoted:?}");
        if let Outcome::Rewritten { .. } = outcome {
            let is_from_peer = slot(outer.source, false).is_some();
            let source = if is_from_peer { other(outer.source) } else { outer.source };
            let quoted = if went_to.is_some() { both(quoted) } else { quoted };
            let expected = error().bytes_quoting(Route::new(source, SRVA.private), quoted);
            assert_eq!(received, expected, "{outer:?} {quoted:?}");
        }
    }
}
