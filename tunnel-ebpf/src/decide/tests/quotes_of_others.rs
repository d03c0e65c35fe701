//! Tests ICMP errors between all addresses, about packets between all addresses: only the quotes of rewritten packets
//! change.

use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::{Datagram, Route};
use super::host::Host;
use super::version::{Member, Version, in_both_versions};
use crate::family::Octets;

fn addresses<F: Version>() -> [Octets<F>; 8] {
    [
        F::SRVA.private,
        F::SRVA.public,
        F::SRVB.private,
        F::SRVB.public,
        F::SRVC.private,
        F::SRVC.public,
        F::ROUTER,
        F::STRANGER,
    ]
}

fn routes<F: Version>() -> impl Iterator<Item = Route<Octets<F>>> {
    let to_all = |source| addresses::<F>().map(move |destination| Route::new(source, destination));
    addresses::<F>().into_iter().flat_map(to_all)
}

/// The slot of srva's peer with this private or public address.
fn slot<F: Version>(address: Octets<F>, is_private: bool) -> Option<u32> {
    let address_of = |member: Member<Octets<F>>| match is_private {
        true => member.private,
        false => member.public,
    };
    let mut peers = (0..).zip([F::SRVB, F::SRVC]);
    peers.find(|(_, peer)| address_of(*peer) == address).map(|(slot, _)| slot)
}

/// The other address of the same host.
fn other<F: Version>(address: Octets<F>) -> Octets<F> {
    for member in [F::SRVA, F::SRVB, F::SRVC] {
        if address == member.private {
            return member.public;
        }
        if address == member.public {
            return member.private;
        }
    }
    panic!("{address:?} is no member's")
}

fn both<F: Version>(route: Route<Octets<F>>) -> Route<Octets<F>> {
    Route::new(other::<F>(route.source), other::<F>(route.destination))
}

/// True if a socket of srva can be bound to the address.
fn is_own<F: Version>(address: Octets<F>) -> bool {
    address == F::SRVA.private || address == F::SRVA.public
}

fn error<F: Version>() -> Datagram<F> {
    Datagram::error(&Datagram::udp(b"data"), 12)
}

fn errors_that_leave_quote_packets_of_a_peer_to_this_host<F: Version>() {
    for (outer, quoted) in
        routes::<F>().flat_map(|outer| routes::<F>().map(move |quoted| (outer, quoted)))
    {
        let host = Host::<F>::srva();
        let sent = error::<F>().bytes_quoting(outer, quoted);
        let (outcome, wire) = host.handle(Direction::Egress, &sent);
        let expected = match slot::<F>(outer.destination, true) {
            None => Outcome::NotOurs,
            Some(_) if !is_own::<F>(outer.source) => Outcome::NotRewritten(Reason::ForeignSource),
            Some(slot) => Outcome::Rewritten { slot },
        };
        assert_eq!(outcome, expected, "{outer:?} {quoted:?}");
        if let Outcome::Rewritten { .. } = outcome {
            let came = slot::<F>(quoted.source, true).is_some() && is_own::<F>(quoted.destination);
            let quoted = match came {
                true => Route::new(other::<F>(quoted.source), F::SRVA.public),
                false => quoted,
            };
            let outer = Route::new(F::SRVA.public, other::<F>(outer.destination));
            assert_eq!(wire, error::<F>().bytes_quoting(outer, quoted), "{outer:?} {quoted:?}");
        }
    }
}

fn errors_that_arrive_quote_packets_of_this_host_to_a_peer<F: Version>() {
    for (outer, quoted) in
        routes::<F>().flat_map(|outer| routes::<F>().map(move |quoted| (outer, quoted)))
    {
        let wire = error::<F>().bytes_quoting(outer, quoted);
        let host = Host::<F>::srva();
        let (outcome, received) = host.handle(Direction::Ingress, &wire);
        let went_to =
            slot::<F>(quoted.destination, false).filter(|_| quoted.source == F::SRVA.public);
        let is_for_us = outer.destination == F::SRVA.public;
        let expected = match slot::<F>(outer.source, false) {
            _ if slot::<F>(outer.source, true).is_some() => Outcome::NotRewritten(Reason::Spoofed),
            Some(_) if !is_for_us => Outcome::NotRewritten(Reason::ForeignDestination),
            Some(slot) => Outcome::Rewritten { slot },
            None => went_to
                .filter(|_| is_for_us)
                .map_or(Outcome::NotOurs, |slot| Outcome::Rewritten { slot }),
        };
        assert_eq!(outcome, expected, "{outer:?} {quoted:?}");
        if let Outcome::Rewritten { .. } = outcome {
            let is_from_peer = slot::<F>(outer.source, false).is_some();
            let router_errors = host.tables.router_errors.borrow();
            assert_eq!(router_errors.is_empty(), is_from_peer, "{outer:?} {quoted:?}");
            let source = if is_from_peer { other::<F>(outer.source) } else { outer.source };
            let quoted = if went_to.is_some() { both::<F>(quoted) } else { quoted };
            let expected = error::<F>().bytes_quoting(Route::new(source, F::SRVA.private), quoted);
            assert_eq!(received, expected, "{outer:?} {quoted:?}");
        }
    }
}

in_both_versions! {
    errors_that_leave_quote_packets_of_a_peer_to_this_host,
    errors_that_arrive_quote_packets_of_this_host_to_a_peer,
}
