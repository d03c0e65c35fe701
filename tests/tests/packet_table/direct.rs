//! Tests a direct peer. The peer's packets may arrive unrewritten, with its private address; the rows call such packets
//! plain. Plain packets pass, and this host sends plain answers until a rewritten packet arrives from the peer.

use testkit::packet::{Icmpv6, Ipv4, Ipv6, Tcp, Udp};
use tunnel_common::outcome::{Direction, Reason};

use crate::addresses::last_fragment;
use crate::errors::{from_to, unreachable};
use crate::family::{Packet, packet, payload};
use crate::hosts::{AT_SRVA, AT_SRVA_IN_GRACE_PERIOD, AT_SRVC, SRVA, SRVB, SRVC, STRANGER};
use crate::row::{Note, Row, private, public};

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    // A unicast neighbour solicitation probes the reachability of the neighbour. The probe must pass unchanged.
    let solicitation: Ipv6 =
        packet(Icmpv6::neighbour_solicitation(SRVA.private.v6, [2, 0, 0, 0, 0, 0xc]));
    let what = "a direct peer's neighbour solicitation";
    rows.push(
        Row::new(Direction::Ingress, what, &private(&solicitation, SRVC, SRVA).to_frame())
            .left_alone_as(Reason::Direct),
    );
    rows
}

fn in_family<P: Packet>() -> Vec<Row> {
    let mut rows = lets_through::<P>();
    rows.extend(switches::<P>());
    rows
}

fn lets_through<P: Packet>() -> Vec<Row> {
    let tcp: P = packet(Tcp::new(payload(11)));
    let error = unreachable::<P>("", packet(Udp::new(payload(6))), 14);
    let about_ours = from_to(SRVA.private, SRVC.private);
    let from_srvc = |destination| tcp.clone().addressed(SRVC.private, destination);
    let mut rows = Vec::new();
    for (what, packet, plain) in [
        ("to the underlay address", from_srvc(SRVA.public), 0),
        ("to the private address", from_srvc(SRVA.private), 1),
        ("to a stranger", from_srvc(STRANGER), 0),
        ("to another peer", from_srvc(SRVB.private), 0),
        ("with an error", error.packet(from_to(SRVC.private, SRVA.private), about_ours), 1),
        ("with a last fragment", private(&last_fragment::<P>(), SRVC, SRVA), 1),
        ("with a wrong version", from_srvc(SRVA.private).version(9), 1),
    ] {
        let what = format!("a direct peer's private address {what}");
        rows.push(
            Row::new(Direction::Ingress, what, &packet.to_frame())
                .left_alone_as(Reason::Direct)
                .leaving(SRVC.private, Note::Plain, plain)
                .leaving(SRVC.public, Note::Plain, plain),
        );
    }
    rows
}

fn switches<P: Packet>() -> Vec<Row> {
    let (tcp, udp): (P, P) = (packet(Tcp::new(payload(11))), packet(Udp::new(payload(7))));
    let error = unreachable::<P>("", udp.clone(), 8);
    let plain_in = private(&tcp, SRVC, SRVA).to_frame();
    let rewritten_in = public(&tcp, SRVC, SRVA).to_frame();
    let out = private(&tcp, SRVA, SRVC).to_frame();
    let out_on_the_wire = public(&tcp, SRVA, SRVC).to_frame();
    let after_plain = |what: &str, frame| {
        Row::new(Direction::Egress, what, frame).after(Direction::Ingress, &plain_in)
    };
    let to_underlay = tcp.clone().addressed(SRVC.private, SRVA.public).to_frame();
    let from_underlay = tcp.clone().addressed(SRVA.public, SRVC.private).to_frame();
    let about_plain =
        error.frame(from_to(SRVA.private, SRVC.private), from_to(SRVC.private, SRVA.private));
    vec![
        Row::new(Direction::Egress, "to a direct peer that has sent nothing", &out)
            .rewritten(&out_on_the_wire, 1)
            .and_back_at(AT_SRVC),
        after_plain("to a direct peer that sends plainly", &out).left_alone_as(Reason::Direct),
        after_plain("an error to a direct peer that sends plainly", &about_plain)
            .left_alone_as(Reason::Direct),
        after_plain(
            "a last fragment to a direct peer that sends plainly",
            &private(&last_fragment::<P>(), SRVA, SRVC).to_frame(),
        )
        .left_alone_as(Reason::Direct),
        after_plain(
            "from the underlay address to a direct peer that sends plainly",
            &from_underlay,
        )
        .left_alone_as(Reason::Direct),
        after_plain(
            "from elsewhere to a direct peer that sends plainly",
            &tcp.clone().addressed(STRANGER, SRVC.private).to_frame(),
        )
        .left_alone_as(Reason::ForeignSource),
        after_plain(
            "a broken packet to a direct peer that sends plainly",
            &private(&tcp, SRVA, SRVC).claiming(900).to_frame(),
        )
        .left_alone_as(Reason::Truncated),
        after_plain("to another peer than the direct one", &private(&tcp, SRVA, SRVB).to_frame())
            .rewritten(&public(&tcp, SRVA, SRVB).to_frame(), 0),
        Row::new(Direction::Egress, "to a direct peer that sent to the underlay address", &out)
            .after(Direction::Ingress, &to_underlay)
            .rewritten(&out_on_the_wire, 1),
        Row::new(
            Direction::Ingress,
            "rewritten from a direct peer that sent plainly",
            &rewritten_in,
        )
        .after(Direction::Ingress, &plain_in)
        .rewritten(&plain_in, 1)
        .leaving(SRVC.private, Note::Plain, 0)
        .leaving(SRVC.public, Note::Plain, 0),
        after_plain("to a direct peer that is attached since", &out)
            .after_rewriting(Direction::Ingress, &rewritten_in, &plain_in)
            .rewritten(&out_on_the_wire, 1),
        after_plain("to a direct peer that was attached for a while", &out)
            .after_rewriting(Direction::Ingress, &rewritten_in, &plain_in)
            .after(Direction::Ingress, &plain_in)
            .left_alone_as(Reason::Direct),
        Row::new(Direction::Ingress, "plain from a direct peer in its grace period", &plain_in)
            .at(AT_SRVA_IN_GRACE_PERIOD)
            .left_alone_as(Reason::Direct)
            .leaving(SRVC.public, Note::GraceUntil, AT_SRVA_IN_GRACE_PERIOD.grace_until),
        Row::new(
            Direction::Ingress,
            "broken from a direct peer that sent plainly",
            &public(&tcp, SRVC, SRVA).claiming(900).to_frame(),
        )
        .at(AT_SRVA)
        .after(Direction::Ingress, &plain_in)
        .left_alone_as(Reason::Truncated)
        .leaving(SRVC.public, Note::Plain, 1),
    ]
}
