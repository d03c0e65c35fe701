//! Tests packets that no host outside may send: packets to this host's private address itself, and packets from that
//! address. Also tests flows with public addresses that would take an open private connection's ports.

use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::{Datagram, Route, TCP, UDP};
use super::host::Host;
use super::slice::Slice;
use super::version::{Version, in_both_versions};
use crate::address::Address as _;

const PRIVATE_DESTINATION: Outcome = Outcome::NotRewritten(Reason::PrivateDestination);
const SPOOFED: Outcome = Outcome::NotRewritten(Reason::Spoofed);
const PORT_CONFLICT: Outcome = Outcome::NotRewritten(Reason::PortConflict);
const REWRITTEN: Outcome = Outcome::Rewritten { slot: 0 };

/// srva, whose private address is guarded.
fn guarded<F: Version>() -> Host<F> {
    let mut host = Host::srva();
    host.tables.guarded = F::Address::from_octets(F::SRVA.private);
    host
}

fn strangers_do_not_reach_the_private_address<F: Version>() {
    let packet = Datagram::<F>::tcp(b"data");
    for source in [F::STRANGER, F::ROUTER, F::SRVB.public] {
        let received = packet.bytes(Route::new(source, F::SRVA.private));
        assert_eq!(guarded::<F>().receive(&received), PRIVATE_DESTINATION, "{source:?}");
    }
    let received = packet.bytes(Route::new(F::STRANGER, F::SRVA.private));
    assert_eq!(Host::<F>::srva().receive(&received), Outcome::NotOurs, "where it is not guarded");
    let to_public = packet.bytes(Route::new(F::STRANGER, F::SRVA.public));
    assert_eq!(guarded::<F>().receive(&to_public), Outcome::NotOurs);
}

/// The guard protects this host's private address, and no other address.
fn packets_to_other_addresses_have_their_own_outcome<F: Version>() {
    let packet = Datagram::<F>::tcp(b"data");
    let foreign = Outcome::NotRewritten(Reason::ForeignDestination);
    for (source, outcome) in [(F::SRVB.public, foreign), (F::ROUTER, Outcome::NotOurs)] {
        let received = packet.bytes(Route::new(source, F::STRANGER));
        assert_eq!(guarded::<F>().receive(&received), outcome, "{source:?}");
    }
}

fn a_direct_peer_reaches_the_private_address<F: Version>() {
    let mut host = guarded::<F>();
    host.tables.change(0, |peer| peer.direct = 1);
    let received = Datagram::<F>::tcp(b"data").bytes(F::PRIVATE.back());
    assert_eq!(host.receive(&received), Outcome::NotRewritten(Reason::Direct));
}

fn nobody_outside_has_the_private_address<F: Version>() {
    let packet = Datagram::<F>::udp(b"data");
    let received = packet.bytes(Route::new(F::SRVA.private, F::SRVA.public));
    assert_eq!(guarded::<F>().receive(&received), SPOOFED);
}

/// A forwarded IPv4 packet may have this host's private address as its source. The kernel drops spoofed packets on
/// arrival, so this packet is legitimate: it comes from a container behind a masquerade. The kernel does not drop a
/// spoofed IPv6 packet, so the program drops it.
fn what_is_forwarded_is_not_from_this_host<F: Version>() {
    let host = guarded::<F>();
    let sent = Datagram::<F>::udp(b"data").bytes(F::PRIVATE);
    let outcome = host.pass(Direction::Egress, &mut Slice::new(&sent).forwarded());
    assert_eq!(outcome, if F::DROPS_LOCAL_SOURCES { REWRITTEN } else { SPOOFED });
    assert_eq!(host.pass(Direction::Egress, &mut Slice::new(&sent)), REWRITTEN);
}

fn a_public_flow_takes_no_ports_of_a_private_connection<F: Version>() {
    for (protocol, packet) in [(TCP, Datagram::<F>::tcp(b"")), (UDP, Datagram::<F>::udp(b""))] {
        let packet = packet.with_ports(49_151, 24_007);
        let ends = (protocol, 49_151_u16.to_be_bytes(), 24_007_u16.to_be_bytes());
        let other = (protocol, 49_150_u16.to_be_bytes(), 24_007_u16.to_be_bytes());
        for route in [F::PUBLIC, Route::new(F::SRVA.public, F::SRVB.private)] {
            let host = Host::<F>::srva();
            let send = |ends| {
                let bytes = packet.bytes(route);
                host.pass(Direction::Egress, &mut Slice::new(&bytes).with_socket(ends))
            };
            assert_eq!(send(ends), PORT_CONFLICT, "{protocol}");
            assert_eq!(host.flows(), [], "the packet inserts no flow");
            assert_ne!(send(other), PORT_CONFLICT, "{protocol}");
            // A known flow causes no new lookup of a socket, even if a connection opens later.
            assert_ne!(send(ends), PORT_CONFLICT, "{protocol}");
        }
    }
}

in_both_versions! {
    strangers_do_not_reach_the_private_address,
    packets_to_other_addresses_have_their_own_outcome,
    a_direct_peer_reaches_the_private_address,
    nobody_outside_has_the_private_address,
    what_is_forwarded_is_not_from_this_host,
    a_public_flow_takes_no_ports_of_a_private_connection,
}
