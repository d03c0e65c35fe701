//! Tests flows of a socket that is bound to this host's underlay address and dials a peer's private address: the
//! programs replace the peer's address, and the replies arrive at the socket.

use testkit::packet::{Dccp, Ipv4, Ipv6, Sctp, Tcp, Udp, UdpChecksum, UdpLite};
use tunnel_common::outcome::{Direction, Reason};

use crate::errors::{Shape, from_to, unreachable};
use crate::family::{Packet, packet, payload, ports, raw};
use crate::hosts::{AT_SRVA, AT_SRVA_BEHIND_NAT, ROUTER, SRVA, SRVB, SRVC, UNDERLAY_BEHIND_NAT};
use crate::row::{Note, Row, private_in, private_out, public_in, public_out};

/// This host's port.
const OURS: u16 = 50_001;
/// The peer's port.
const THEIRS: u16 = 24_007;

/// `packet` as the socket sends it.
fn sent_here<P: Packet>(packet: &P) -> P {
    packet.clone().addressed(SRVA.public, SRVB.private)
}

/// `packet` as the socket receives it.
fn received_here<P: Packet>(packet: &P) -> P {
    packet.clone().addressed(SRVB.private, SRVA.public)
}

fn after_sending<P: Packet>(row: Row, sent: &P) -> Row {
    let wire = public_out(sent).to_frame();
    row.after_rewriting(Direction::Egress, &sent_here(sent).to_frame(), &wire)
}

/// A row in which `packet` leaves, and is rewritten.
fn leaves<P: Packet>(what: impl Into<String>, packet: &P) -> Row {
    Row::new(Direction::Egress, what, &sent_here(packet).to_frame())
        .rewritten(&public_out(packet).to_frame(), AT_SRVA.slot(SRVB))
}

/// A row in which `packet` arrives after `sent` left, as a reply in the same flow.
fn reply<P: Packet>(what: impl Into<String>, sent: &P, packet: &P) -> Row {
    let row = Row::new(Direction::Ingress, what, &public_in(packet).to_frame());
    after_sending(row, sent)
        .rewritten(&received_here(packet).to_frame(), AT_SRVA.slot(SRVB))
        .leaving(SRVB.private, Note::PublicFlows, 1)
        .leaving(SRVB.public, Note::PublicFlows, 1)
}

/// A row in which `packet` arrives after `sent` left, but belongs to no known flow.
fn unrelated<P: Packet>(what: impl Into<String>, sent: &P, packet: &P) -> Row {
    let row = Row::new(Direction::Ingress, what, &public_in(packet).to_frame());
    after_sending(row, sent).rewritten(&private_in(packet).to_frame(), AT_SRVA.slot(SRVB))
}

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    rows
}

fn in_family<P: Packet>() -> Vec<Row> {
    let mut rows = by_protocol::<P>();
    rows.extend(errors_that_arrive::<P>());
    rows.extend(errors_that_leave::<P>());
    rows.extend(fragments::<P>());
    rows.extend(handovers::<P>());
    rows.extend(elsewhere::<P>());
    rows
}

fn by_protocol<P: Packet>() -> Vec<Row> {
    let mut rows = Vec::new();
    for (protocol, packet) in [
        ("tcp", packet::<P>(Tcp::new(payload(5)))),
        ("udp", packet(Udp::new(payload(5)))),
        ("udp with checksum 0", packet(Udp::new(payload(5)).checksum(UdpChecksum::Absent))),
        ("udp-lite", packet(UdpLite::new(payload(5)))),
        ("dccp", packet(Dccp::data(payload(5)))),
        ("sctp", packet(Sctp::new(payload(8)))),
        ("udp with a longer header", packet::<P>(Udp::new(payload(5))).longer_header(8)),
    ] {
        let sent = ports(packet.clone(), OURS, THEIRS);
        let from_to = |source, destination| ports(packet.clone(), source, destination);
        rows.extend([
            leaves(format!("{protocol} from the underlay address"), &sent),
            reply(format!("{protocol}, reply"), &sent, &from_to(THEIRS, OURS)),
            unrelated(format!("{protocol}, another port here"), &sent, &from_to(THEIRS, OURS + 1)),
            unrelated(format!("{protocol}, another port there"), &sent, &from_to(THEIRS + 1, OURS)),
        ]);
    }
    let ping: P = packet(P::echo_request(77, payload(56)));
    let gre: P = raw(47, &payload(20));
    rows.extend([
        leaves("echo request from the underlay address", &ping),
        reply("echo reply", &ping, &packet(P::echo_reply(77, payload(56)))),
        unrelated("echo reply, another identifier", &ping, &{
            packet(P::echo_reply(78, payload(56)))
        }),
        unrelated("echo request with that identifier", &ping, &ping),
        leaves::<P>("echo reply from the underlay address", &packet(P::echo_reply(77, payload(9)))),
        leaves("gre from the underlay address", &gre),
        reply("gre, reply", &gre, &gre),
    ]);
    rows
}

fn about<P: Packet>(packet: &P) -> Shape<P> {
    unreachable("", packet.clone(), 8)
}

/// Errors about a packet that the socket sent.
fn errors_that_arrive<P: Packet>() -> Vec<Row> {
    let udp: P = ports(packet(Udp::new(payload(5))), OURS, THEIRS);
    let other: P = ports(packet(Udp::new(payload(5))), OURS + 1, THEIRS);
    let ping: P = packet(P::echo_request(77, payload(56)));
    let mut rows = Vec::new();
    for (what, packet) in [("udp", &udp), ("an echo request", &ping)] {
        let error = about(packet);
        let by_peer = Row::new(
            Direction::Ingress,
            format!("an error about {what}"),
            &error.frame(public_in, public_out),
        )
        .rewritten(&error.frame(received_here, sent_here), 0);
        let what = format!("an error of a router about {what}");
        let by_router = Row::new(
            Direction::Ingress,
            what,
            &error.frame(from_to(ROUTER, SRVA.public), public_out),
        )
        .rewritten_for_router(&error.frame(from_to(ROUTER, SRVA.public), sent_here), 0);
        rows.extend([after_sending(by_peer, packet), after_sending(by_router, packet)]);
    }
    let error = about(&other);
    let row = Row::new(
        Direction::Ingress,
        "an error about another port",
        &error.frame(public_in, public_out),
    )
    .rewritten(&error.frame(private_in, private_out), 0);
    rows.push(after_sending(row, &udp));
    rows
}

/// Errors about a packet that the socket received.
fn errors_that_leave<P: Packet>() -> Vec<Row> {
    let udp: P = ports(packet(Udp::new(payload(5))), THEIRS, OURS);
    let error = about(&udp);
    let wire = error.frame(public_out, public_in);
    vec![
        Row::new(
            Direction::Egress,
            "an error from the underlay address about what arrived there",
            &error.frame(sent_here, received_here),
        )
        .rewritten(&wire, 0)
        .leaving(SRVB.public, Note::PublicFlows, 0),
        Row::new(
            Direction::Egress,
            "an error from the underlay address about what arrived at the private one",
            &error.frame(sent_here, private_in),
        )
        .rewritten(&wire, 0),
        Row::new(
            Direction::Egress,
            "an error from the private address about what arrived at the underlay one",
            &error.frame(private_out, received_here),
        )
        .rewritten(&wire, 0),
    ]
}

fn fragments<P: Packet>() -> Vec<Row> {
    let sent: P = ports(packet(Udp::new(payload(592))), OURS, THEIRS);
    let answer: P = ports(packet(Udp::new(payload(592))), THEIRS, OURS);
    let (first, last) = (answer.clone().fragment(0..400), answer.clone().fragment(400..600));
    let after_first = |row: Row| {
        row.after_rewriting(
            Direction::Ingress,
            &public_in(&first).to_frame(),
            &received_here(&first).to_frame(),
        )
    };
    vec![
        leaves("udp, first fragment", &sent.clone().fragment(0..400)),
        leaves("udp, last fragment", &sent.clone().fragment(400..600)),
        reply("udp, reply to a first fragment", &sent.clone().fragment(0..400), &answer),
        reply("udp, first fragment of a reply", &sent, &first),
        after_first(reply("udp, last fragment of a reply", &sent, &last)),
        after_first(unrelated("udp, last fragment of another packet", &sent, &{
            last.clone().identification(0x7777)
        })),
        unrelated("udp, last fragment before the first one", &sent, &last),
        {
            let row = Row::new(
                Direction::Ingress,
                "udp, answer to a last fragment alone",
                &public_in(&answer).to_frame(),
            )
            .rewritten(&private_in(&answer).to_frame(), 0);
            after_sending(row, &sent.fragment(400..600))
        },
    ]
}

/// Flows that use one pair of ports, first with one address and then with a different address.
fn handovers<P: Packet>() -> Vec<Row> {
    let sent: P = ports(packet(Tcp::syn()), OURS, THEIRS);
    let answer: P = ports(packet(Tcp::new(vec![])), THEIRS, OURS);
    let wire = public_out(&sent).to_frame();
    let (from_underlay, from_private) =
        (sent_here(&sent).to_frame(), private_out(&sent).to_frame());
    let answered = |what: &str| Row::new(Direction::Ingress, what, &public_in(&answer).to_frame());
    vec![
        answered("tcp, from the underlay address and then from the private one")
            .after_rewriting(Direction::Egress, &from_underlay, &wire)
            .after_rewriting(Direction::Egress, &from_private, &wire)
            .rewritten(&private_in(&answer).to_frame(), 0),
        answered("tcp, from the private address and then from the underlay one")
            .after_rewriting(Direction::Egress, &from_private, &wire)
            .after_rewriting(Direction::Egress, &from_underlay, &wire)
            .rewritten(&received_here(&answer).to_frame(), 0),
        answered("tcp, to the public address and then to the private one")
            .after(Direction::Egress, &wire)
            .after_rewriting(Direction::Egress, &from_underlay, &wire)
            .rewritten(&received_here(&answer).to_frame(), 0),
        answered("tcp, to the private address and then to the public one")
            .after_rewriting(Direction::Egress, &from_underlay, &wire)
            .after(Direction::Egress, &wire)
            .left_alone_as(Reason::PublicFlow),
    ]
}

fn elsewhere<P: Packet>() -> Vec<Row> {
    let tcp: P = ports(packet(Tcp::new(payload(5))), OURS, THEIRS);
    let answer: P = ports(packet(Tcp::new(payload(5))), THEIRS, OURS);
    let at_nat = tcp.clone().addressed(UNDERLAY_BEHIND_NAT, SRVB.private).to_frame();
    let nat_wire = tcp.clone().addressed(UNDERLAY_BEHIND_NAT, SRVB.public).to_frame();
    vec![
        Row::new(Direction::Egress, "tcp from the underlay address behind a 1:1 nat", &at_nat)
            .at(AT_SRVA_BEHIND_NAT)
            .rewritten(&nat_wire, 0),
        Row::new(
            Direction::Ingress,
            "tcp, reply behind a 1:1 nat",
            &answer.clone().addressed(SRVB.public, UNDERLAY_BEHIND_NAT).to_frame(),
        )
        .at(AT_SRVA_BEHIND_NAT)
        .after_rewriting(Direction::Egress, &at_nat, &nat_wire)
        .rewritten(&answer.clone().addressed(SRVB.private, UNDERLAY_BEHIND_NAT).to_frame(), 0),
        after_sending(
            Row::new(
                Direction::Ingress,
                "tcp, the same ports from the other peer",
                &answer.clone().addressed(SRVC.public, SRVA.public).to_frame(),
            )
            .rewritten(&answer.addressed(SRVC.private, SRVA.private).to_frame(), 1),
            &tcp,
        ),
        Row::new(
            Direction::Egress,
            "tcp from the underlay address, cut",
            &sent_here(&tcp).claiming(900).to_frame(),
        )
        .left_alone_as(Reason::Truncated)
        .leaving(SRVB.public, Note::PublicFlows, 0),
    ]
}
