//! Flows that this host started with public addresses: their replies are left alone.

use std::net::Ipv4Addr;

use tests::packet::icmp::{PORT, UNREACHABLE};
use tests::packet::{
    Dccp, IcmpEcho, IcmpError, Ipv4, Sctp, Tcp, Transport, Udp, UdpChecksum, UdpLite,
};
use tunnel_common::outcome::{Direction, Reason};

use crate::errors::quote;
use crate::hosts::{
    AT_SRVA, AT_SRVA_BEHIND_NAT, ROUTER, SRVA, SRVB, SRVC, STRANGER, UNDERLAY_BEHIND_NAT,
};
use crate::protocols::{packet, payload, raw};
use crate::row::{Row, private_in, private_out, public_in, public_out};

const OURS: u16 = 50_001;
const THEIRS: u16 = 22;

fn ports(packet: Ipv4, source: u16, destination: u16) -> Ipv4 {
    let transport: Transport = match packet.transport.clone() {
        Transport::Tcp(tcp) => tcp.ports(source, destination).into(),
        Transport::Udp(udp) => udp.ports(source, destination).into(),
        Transport::UdpLite(udplite) => udplite.ports(source, destination).into(),
        Transport::Sctp(sctp) => sctp.ports(source, destination).into(),
        Transport::Dccp(mut dccp) => {
            (dccp.source, dccp.destination) = (source, destination);
            dccp.into()
        }
        other => other,
    };
    packet.carrying(transport)
}

/// `packet` comes in after `sent` left, and belongs to the flow.
fn reply(what: impl Into<String>, sent: &Ipv4, packet: &Ipv4) -> Row {
    Row::new(Direction::Ingress, what, &public_in(packet).to_frame())
        .after(Direction::Egress, &public_out(sent).to_frame())
        .left_alone_as(Reason::PublicFlow)
}

/// `packet` comes in after `sent` left, and belongs to no flow.
fn unrelated(what: impl Into<String>, sent: &Ipv4, packet: &Ipv4) -> Row {
    Row::new(Direction::Ingress, what, &public_in(packet).to_frame())
        .after(Direction::Egress, &public_out(sent).to_frame())
        .rewritten(&private_in(packet).to_frame(), AT_SRVA.slot(SRVB))
}

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = by_ports();
    rows.extend(without_ports());
    rows.extend(errors_about_flows());
    rows.extend(other_ends());
    rows.extend(fragments());
    rows.extend(bytes_behind_the_packet());
    rows
}

fn by_ports() -> Vec<Row> {
    let tcp = packet(Tcp::new(payload(5)));
    let udp = packet(Udp::new(payload(5)));
    let mut rows = Vec::new();
    for (protocol, packet) in [
        ("tcp", tcp.clone()),
        ("udp", udp.clone()),
        ("udp with checksum 0", { packet(Udp::new(payload(5)).checksum(UdpChecksum::Absent)) }),
        ("udp-lite", packet(UdpLite::new(payload(5)))),
        ("dccp", packet(Dccp::data(payload(5)))),
        ("sctp", packet(Sctp::new(payload(8)))),
        ("tcp with options", tcp.clone().options(payload(12))),
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

fn without_ports() -> Vec<Row> {
    let sent = packet(IcmpEcho::request(77, payload(56)));
    let gre = raw(47, &payload(20));
    vec![
        reply("echo reply", &sent, &packet(IcmpEcho::reply(77, payload(56)))),
        unrelated("echo reply, another identifier", &sent, &{
            packet(IcmpEcho::reply(78, payload(56)))
        }),
        unrelated("echo request with that identifier", &sent, &{
            packet(IcmpEcho::request(77, payload(56)))
        }),
        reply("gre, reply", &gre, &gre),
        reply("protocol 253 after protocol 253", &raw(253, &[1]), &raw(253, &[])),
        unrelated("esp after gre", &gre, &raw(50, &payload(20))),
    ]
}

fn errors_about_flows() -> Vec<Row> {
    let udp = ports(packet(Udp::new(payload(5))), OURS, THEIRS);
    let other = ports(packet(Udp::new(payload(5))), OURS + 1, THEIRS);
    let echo = packet(IcmpEcho::request(77, payload(56)));
    let about = |packet: Ipv4| IcmpError::new(UNREACHABLE, PORT, quote(&packet, 8));
    let from_router = |error, to| Ipv4::new(ROUTER, to, error).to_frame();
    vec![
        reply("an error about udp", &udp, &packet(about(public_out(&udp)))),
        reply("an error about an echo request", &echo, &packet(about(public_out(&echo)))),
        Row::new(
            Direction::Ingress,
            "an error of a router about udp",
            &from_router(about(public_out(&udp)), SRVA.public),
        )
        .after(Direction::Egress, &public_out(&udp).to_frame())
        .left_alone_as(Reason::PublicFlow),
        Row::new(
            Direction::Ingress,
            "an error about another port",
            &public_in(&packet(about(public_out(&other)))).to_frame(),
        )
        .after(Direction::Egress, &public_out(&udp).to_frame())
        .rewritten(&private_in(&packet(about(private_out(&other)))).to_frame(), 0),
        Row::new(
            Direction::Ingress,
            "an error of a router about another port",
            &from_router(about(public_out(&other)), SRVA.public),
        )
        .after(Direction::Egress, &public_out(&udp).to_frame())
        .rewritten(&from_router(about(private_out(&other)), SRVA.private), 0),
    ]
}

fn other_ends() -> Vec<Row> {
    let sent = ports(packet(Tcp::syn()), OURS, THEIRS);
    let answer = ports(packet(Tcp::new(vec![])), THEIRS, OURS);
    let between = |source: Ipv4Addr, destination: Ipv4Addr| {
        answer.clone().between(source, destination).to_frame()
    };
    vec![
        Row::new(
            Direction::Ingress,
            "tcp, the same ports from the other peer",
            &between(SRVC.public, SRVA.public),
        )
        .after(Direction::Egress, &public_out(&sent).to_frame())
        .rewritten(&between(SRVC.private, SRVA.private), AT_SRVA.slot(SRVC)),
        Row::new(
            Direction::Ingress,
            "tcp, after a stranger's packet was forwarded",
            &between(SRVB.public, SRVA.public),
        )
        .after(Direction::Egress, &sent.clone().between(STRANGER, SRVB.public).to_frame())
        .rewritten(&between(SRVB.private, SRVA.private), AT_SRVA.slot(SRVB)),
        Row::new(
            Direction::Ingress,
            "tcp, reply behind a 1:1 nat",
            &between(SRVB.public, UNDERLAY_BEHIND_NAT),
        )
        .at(AT_SRVA_BEHIND_NAT)
        .after(
            Direction::Egress,
            &sent.clone().between(UNDERLAY_BEHIND_NAT, SRVB.public).to_frame(),
        )
        .left_alone_as(Reason::PublicFlow),
        Row::new(
            Direction::Egress,
            "tcp to the private address, after the same ports to the public one",
            &private_out(&sent).to_frame(),
        )
        .after(Direction::Egress, &public_out(&sent).to_frame())
        .rewritten(&public_out(&sent).to_frame(), AT_SRVA.slot(SRVB)),
    ]
}

/// Later fragments have no ports: they go where the first one went.
fn fragments() -> Vec<Row> {
    let sent = ports(packet(Udp::new(payload(592))), OURS, THEIRS);
    let answer = ports(packet(Udp::new(payload(592))), THEIRS, OURS);
    let first = answer.clone().fragment(0..400);
    let last = answer.fragment(400..600);
    let after_first = |row: Row| row.after(Direction::Ingress, &public_in(&first).to_frame());
    vec![
        reply("udp, first fragment of a reply", &sent, &first),
        after_first(reply("udp, last fragment of a reply", &sent, &last)),
        after_first(unrelated("udp, last fragment of another packet", &sent, &{
            last.clone().identification(0x7777)
        })),
    ]
}

/// Ports are read from the packet, not from what follows it in the frame.
fn bytes_behind_the_packet() -> Vec<Row> {
    let sent = ports(packet(Udp::new(payload(5))), OURS, THEIRS);
    let reply_ports = [THEIRS.to_be_bytes(), OURS.to_be_bytes()].concat();
    let sent_ports = [OURS.to_be_bytes(), THEIRS.to_be_bytes()].concat();
    let without_ports = public_in(&raw(17, &[])).to_frame().trailer(reply_ports);
    let about = |packet: Ipv4| IcmpError::new(UNREACHABLE, PORT, quote(&packet, 0));
    let wire = public_in(&packet(about(public_out(&sent))));
    let here = private_in(&packet(about(private_out(&sent))));
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
            &wire.to_frame().trailer(sent_ports.clone()),
        )
        .after(Direction::Egress, &public_out(&sent).to_frame())
        .rewritten(&here.to_frame().trailer(sent_ports), AT_SRVA.slot(SRVB)),
    ]
}
