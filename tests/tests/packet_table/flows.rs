//! Tests flows that this host started with public addresses: their replies are left alone.

use testkit::packet::{Dccp, Ipv4, Ipv6, Sctp, Tcp, Udp, UdpChecksum, UdpLite};
use tunnel_common::outcome::{Direction, Reason};

use crate::errors::{Shape, from_to, unreachable};
use crate::family::{Packet, packet, payload, ports, raw};
use crate::hosts::{
    AT_SRVA, AT_SRVA_BEHIND_NAT, ROUTER, SRVA, SRVB, SRVC, STRANGER, UNDERLAY_BEHIND_NAT,
};
use crate::row::{Note, Row, private, private_in, private_out, public, public_in, public_out};

/// This host's port.
const OURS: u16 = 50_001;
/// The peer's port.
const THEIRS: u16 = 22;

/// A row in which `packet` arrives after `sent` left, as a reply in the same flow.
fn reply<P: Packet>(what: impl Into<String>, sent: &P, packet: &P) -> Row {
    Row::new(Direction::Ingress, what, &public_in(packet).to_frame())
        .after(Direction::Egress, &public_out(sent).to_frame())
        .left_alone_as(Reason::PublicFlow)
        .leaving(SRVB.private, Note::PublicFlows, 1)
        .leaving(SRVB.public, Note::PublicFlows, 1)
        .leaving(SRVC.public, Note::PublicFlows, 0)
}

/// A row in which `packet` arrives after `sent` left, but belongs to no flow in the flow map.
fn unrelated<P: Packet>(what: impl Into<String>, sent: &P, packet: &P) -> Row {
    Row::new(Direction::Ingress, what, &public_in(packet).to_frame())
        .after(Direction::Egress, &public_out(sent).to_frame())
        .rewritten(&private_in(packet).to_frame(), AT_SRVA.slot(SRVB))
}

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    rows
}

fn in_family<P: Packet>() -> Vec<Row> {
    let mut rows = by_ports::<P>();
    rows.extend(without_ports::<P>());
    rows.extend(errors_about_flows::<P>());
    rows.extend(other_ends::<P>());
    rows.extend(taken_over::<P>());
    rows.extend(fragments::<P>());
    rows.extend(bytes_behind_the_packet::<P>());
    rows
}

fn by_ports<P: Packet>() -> Vec<Row> {
    let tcp: P = packet(Tcp::new(payload(5)));
    let udp: P = packet(Udp::new(payload(5)));
    let mut rows = Vec::new();
    for (protocol, packet) in [
        ("tcp", tcp.clone()),
        ("udp", udp.clone()),
        ("udp with checksum 0", packet(Udp::new(payload(5)).checksum(UdpChecksum::Absent))),
        ("udp-lite", packet(UdpLite::new(payload(5)))),
        ("dccp", packet(Dccp::data(payload(5)))),
        ("sctp", packet(Sctp::new(payload(8)))),
        ("tcp with a longer header", tcp.clone().longer_header(16)),
    ] {
        let sent = ports(packet.clone(), OURS, THEIRS);
        let from_to = |source, destination| ports(packet.clone(), source, destination);
        rows.extend([
            reply(format!("{protocol}, reply"), &sent, &from_to(THEIRS, OURS)),
            unrelated(format!("{protocol}, another port here"), &sent, &from_to(THEIRS, OURS + 1)),
            unrelated(format!("{protocol}, another port there"), &sent, &from_to(THEIRS + 1, OURS)),
            unrelated(format!("{protocol}, ports not swapped"), &sent, &from_to(OURS, THEIRS)),
        ]);
    }
    let sent = ports(tcp, OURS, THEIRS);
    rows.push(unrelated("udp after tcp", &sent, &ports(udp, THEIRS, OURS)));
    rows
}

fn without_ports<P: Packet>() -> Vec<Row> {
    let sent: P = packet(P::echo_request(77, payload(56)));
    let gre: P = raw(47, &payload(20));
    vec![
        reply("echo reply", &sent, &packet(P::echo_reply(77, payload(56)))),
        unrelated("echo reply, another identifier", &sent, &{
            packet(P::echo_reply(78, payload(56)))
        }),
        unrelated("echo request with that identifier", &sent, &{
            packet(P::echo_request(77, payload(56)))
        }),
        unrelated::<P>(
            "echo reply after an echo reply",
            &packet(P::echo_reply(77, payload(56))),
            &{ packet(P::echo_reply(77, payload(56))) },
        ),
        reply("gre, reply", &gre, &gre),
        reply::<P>("protocol 253 after protocol 253", &raw(253, &[1]), &raw(253, &[])),
        unrelated("esp after gre", &gre, &raw(50, &payload(20))),
        reply::<P>("the other family's icmp", &raw(P::FOREIGN_ICMP, &[8; 9]), &{
            raw(P::FOREIGN_ICMP, &[0; 9])
        }),
    ]
}

fn errors_about_flows<P: Packet>() -> Vec<Row> {
    let udp: P = ports(packet(Udp::new(payload(5))), OURS, THEIRS);
    let other: P = ports(packet(Udp::new(payload(5))), OURS + 1, THEIRS);
    let echo: P = packet(P::echo_request(77, payload(56)));
    let about = |packet: &P| unreachable::<P>("", packet.clone(), 8);
    let after_udp = |what: &str, frame| {
        Row::new(Direction::Ingress, what, &frame)
            .after(Direction::Egress, &public_out(&udp).to_frame())
    };
    let by_router = |shape: &Shape<P>| shape.frame(from_to(ROUTER, SRVA.public), public_out);
    let about_other = about(&other);
    let ports_cut = Shape { kept: 3, ..about(&udp) };
    vec![
        reply("an error about udp", &udp, &about(&udp).packet(public_in, public_out)),
        reply("an error about an echo request", &echo, &{
            about(&echo).packet(public_in, public_out)
        }),
        after_udp("an error of a router about udp", by_router(&about(&udp)))
            .left_alone_as(Reason::PublicFlow),
        after_udp("an error about another port", about_other.frame(public_in, public_out))
            .rewritten(&about_other.frame(private_in, private_out), 0),
        after_udp("an error of a router about another port", by_router(&about_other))
            .rewritten_for_router(
                &about_other.frame(from_to(ROUTER, SRVA.private), private_out),
                0,
            ),
        after_udp("an error of a router that quotes half of the ports", by_router(&ports_cut))
            .rewritten_for_router(&ports_cut.frame(from_to(ROUTER, SRVA.private), private_out), 0),
    ]
}

fn other_ends<P: Packet>() -> Vec<Row> {
    let sent: P = ports(packet(Tcp::syn()), OURS, THEIRS);
    let answer: P = ports(packet(Tcp::new(vec![])), THEIRS, OURS);
    let behind_nat = |from, to| from_to(from, to)(&answer).to_frame();
    vec![
        Row::new(
            Direction::Ingress,
            "tcp, the same ports from the other peer",
            &public(&answer, SRVC, SRVA).to_frame(),
        )
        .after(Direction::Egress, &public_out(&sent).to_frame())
        .rewritten(&private(&answer, SRVC, SRVA).to_frame(), AT_SRVA.slot(SRVC)),
        Row::new(
            Direction::Ingress,
            "tcp, after a stranger's packet was forwarded",
            &public_in(&answer).to_frame(),
        )
        .after(Direction::Egress, &sent.clone().addressed(STRANGER, SRVB.public).to_frame())
        .rewritten(&private_in(&answer).to_frame(), AT_SRVA.slot(SRVB))
        .leaving(SRVB.public, Note::PublicFlows, 0),
        Row::new(
            Direction::Ingress,
            "tcp, reply behind a 1:1 nat",
            &behind_nat(SRVB.public, UNDERLAY_BEHIND_NAT),
        )
        .at(AT_SRVA_BEHIND_NAT)
        .after(
            Direction::Egress,
            &sent.clone().addressed(UNDERLAY_BEHIND_NAT, SRVB.public).to_frame(),
        )
        .left_alone_as(Reason::PublicFlow),
        Row::new(
            Direction::Ingress,
            "tcp, after a packet to the public address that is cut",
            &public_in(&answer).to_frame(),
        )
        .after(Direction::Egress, &public_out(&sent).claiming(900).to_frame())
        .rewritten(&private_in(&answer).to_frame(), AT_SRVA.slot(SRVB)),
    ]
}

/// Flows that use one pair of ports, first with public addresses and then with private addresses.
fn taken_over<P: Packet>() -> Vec<Row> {
    let sent: P = ports(packet(Tcp::syn()), OURS, THEIRS);
    let answer: P = ports(packet(Tcp::new(vec![])), THEIRS, OURS);
    let private_frame = private_out(&sent).to_frame();
    let public_frame = public_out(&sent).to_frame();
    let cut = private_out(&sent).carrying(raw::<P>(6, &[0xc3, 0x51, 0, 22]).transport().clone());
    vec![
        Row::new(
            Direction::Egress,
            "tcp to the private address, after the same ports to the public one",
            &private_frame,
        )
        .after(Direction::Egress, &public_frame)
        .rewritten(&public_frame, AT_SRVA.slot(SRVB)),
        Row::new(
            Direction::Ingress,
            "tcp, reply after the same ports to both addresses",
            &public_in(&answer).to_frame(),
        )
        .after(Direction::Egress, &public_frame)
        .after_rewriting(Direction::Egress, &private_frame, &public_frame)
        .rewritten(&private_in(&answer).to_frame(), AT_SRVA.slot(SRVB)),
        Row::new(
            Direction::Ingress,
            "tcp, reply after a truncated packet of the same ports",
            &public_in(&answer).to_frame(),
        )
        .after(Direction::Egress, &public_frame)
        .after(Direction::Egress, &cut.to_frame())
        .left_alone_as(Reason::PublicFlow),
    ]
}

/// Later fragments have no ports, so they get the first fragment's action.
fn fragments<P: Packet>() -> Vec<Row> {
    let sent: P = ports(packet(Udp::new(payload(592))), OURS, THEIRS);
    let answer: P = ports(packet(Udp::new(payload(592))), THEIRS, OURS);
    let first = answer.clone().fragment(0..400);
    let last = answer.clone().fragment(400..600);
    let unrelated_first = ports(answer.clone(), THEIRS, OURS + 1).fragment(0..400);
    let after_first = |row: Row| row.after(Direction::Ingress, &public_in(&first).to_frame());
    vec![
        reply("udp, first fragment of a reply", &sent, &first),
        after_first(reply("udp, last fragment of a reply", &sent, &last)),
        after_first(unrelated("udp, last fragment of another packet", &sent, &{
            last.clone().identification(0x7777)
        })),
        unrelated("udp, last fragment before the first one", &sent, &last),
        // IP identifications wrap: the same identification returns, in a flow between private addresses.
        after_first(unrelated(
            "udp, last fragment of a packet with that identification",
            &sent,
            &{ last },
        ))
        .after_rewriting(
            Direction::Ingress,
            &public_in(&unrelated_first).to_frame(),
            &private_in(&unrelated_first).to_frame(),
        ),
        reply("udp, reply to a first fragment", &sent.clone().fragment(0..400), &answer),
        unrelated("udp, reply to a last fragment", &sent.fragment(400..600), &answer),
    ]
}

/// The programs read ports from the packet, and never from the bytes after it in the frame.
fn bytes_behind_the_packet<P: Packet>() -> Vec<Row> {
    let sent: P = ports(packet(Udp::new(payload(5))), OURS, THEIRS);
    let reply_ports = [THEIRS.to_be_bytes(), OURS.to_be_bytes()].concat();
    let sent_ports = [OURS.to_be_bytes(), THEIRS.to_be_bytes()].concat();
    let without_ports = public_in(&raw::<P>(17, &[])).to_frame().trailer(reply_ports);
    let about = Shape { trailer: sent_ports, ..unreachable::<P>("", sent.clone(), 0) };
    vec![
        Row::new(
            Direction::Ingress,
            "udp without a header, and behind it the ports of a flow",
            &without_ports,
        )
        .after(Direction::Egress, &public_out(&sent).to_frame())
        .left_alone_as(Reason::Truncated),
        Row::new(
            Direction::Ingress,
            "an error that quotes no ports, and behind it those of a flow",
            &about.frame(public_in, public_out),
        )
        .after(Direction::Egress, &public_out(&sent).to_frame())
        .rewritten(&about.frame(private_in, private_out), AT_SRVA.slot(SRVB)),
    ]
}
