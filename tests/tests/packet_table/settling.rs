//! Resets from a peer that may not be attached itself yet: those that say no more than that it does
//! not know the connection are dropped.

use tests::packet::tcp::{PROTOCOL, SYN};
use tests::packet::{Ipv4, Tcp, Udp};
use tunnel_common::outcome::{Direction, Reason};

use crate::hosts::{
    AT_SRVA, AT_SRVA_LATER, AT_SRVA_SETTLING, Host, ROUTER, SRVA, SRVB, SRVC, STRANGER,
    UNDERLAY_BEHIND_NAT,
};
use crate::protocols::{packet, payload, raw};
use crate::row::{
    Row, private_out, public_in, public_out, rewritten_both_ways, rewritten_in, rewritten_out,
};

const FIN: u8 = 0x01;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;
const ECE: u8 = 0x40;
const CWR: u8 = 0x80;
/// Where the flags are in a TCP header.
const FLAGS: usize = 13;

fn segment(flags: u8, payload: Vec<u8>) -> Ipv4 {
    let mut tcp = Tcp::new(payload);
    tcp.flags = flags;
    packet(tcp)
}

fn reset() -> Ipv4 {
    segment(RST, vec![])
}

/// Comes in from srvb, which may not be attached yet.
fn dropped(what: impl Into<String>, packet: &Ipv4) -> Row {
    Row::new(Direction::Ingress, what, &public_in(packet).to_frame())
        .at(AT_SRVA_SETTLING)
        .dropped_as(Reason::UnsettledReset)
        .leaving_settled_at(AT_SRVA_SETTLING.settled_at)
}

/// Comes in from srvb, which may not be attached yet.
fn accepted(what: impl Into<String>, packet: &Ipv4) -> Row {
    rewritten_in(what, packet).at(AT_SRVA_SETTLING)
}

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = by_flags();
    rows.extend(in_other_shapes());
    rows.extend(no_resets_of_this_peer());
    rows.extend(settled());
    rows.extend(rewritten_both_ways("tcp, a reset between hosts that are settled", &reset()));
    rows.push(rewritten_out("tcp, a reset to a peer that settles", &reset()).at(AT_SRVA_SETTLING));
    rows
}

fn by_flags() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, flags) in [
        ("a reset", RST),
        ("a reset with psh", RST | PSH),
        ("a reset with fin", RST | FIN),
        ("a reset with syn", RST | SYN),
        ("a reset with all but ack", !ACK),
    ] {
        rows.push(dropped(format!("tcp, {what} of a connection unknown"), &segment(flags, vec![])));
    }
    for (what, flags) in [
        ("a reset with ack", RST | ACK),
        ("a reset with all flags", u8::MAX),
        ("ack", ACK),
        ("fin and ack", FIN | ACK),
        ("syn and ack", SYN | ACK),
        ("psh, urg and ack", PSH | URG | ACK),
        ("ece, cwr and ack", ECE | CWR | ACK),
        ("no flag", 0),
    ] {
        let row =
            accepted(format!("tcp, {what} from a peer that settles"), &segment(flags, vec![]));
        rows.push(row.leaving_settled_at(AT_SRVA_SETTLING.settled_at));
    }
    for (what, packet) in [
        ("tcp, syn from a peer that settles", packet(Tcp::syn())),
        ("tcp, syn with ece and cwr from a peer that settles", segment(SYN | ECE | CWR, vec![])),
    ] {
        rows.push(accepted(what, &packet).leaving_settled_at(0));
    }
    rows
}

fn in_other_shapes() -> Vec<Row> {
    let long = segment(RST, payload(580));
    let mut with_options = Tcp::syn();
    with_options.flags = RST;
    // Its later fragments would be resets, were they packets of their own.
    let like_resets = segment(PSH | ACK, {
        let mut payload = payload(580);
        for start in [200, 400] {
            payload[start + FLAGS - 20] = RST;
        }
        payload
    });
    // The flags are where a header without options, or one with 40 bytes of them, would have them.
    let elsewhere = segment(ACK, vec![RST; 100]).options(vec![RST; 20]);

    let mut rows = vec![
        dropped("tcp, a reset with ip options", &reset().options(payload(12))),
        dropped("tcp, a reset with 40 bytes of ip options", &reset().options(payload(40))),
        dropped("tcp, a reset with tcp options", &packet(with_options)),
        dropped("tcp, a reset with a payload", &long),
        dropped("tcp, a reset's first fragment", &long.clone().fragment(0..400)),
        dropped("tcp, a reset's first fragment of nothing but the header", &{
            long.clone().fragment(0..24)
        }),
        dropped("tcp, a reset with a wrong checksum", &{
            let mut tcp = Tcp::new(vec![]).checksum_error(1);
            tcp.flags = RST;
            packet(tcp)
        }),
        accepted("tcp, a reset's last fragment", &long.fragment(400..600)),
        accepted("tcp, a middle fragment like a reset", &like_resets.clone().fragment(200..400)),
        accepted("tcp, a last fragment like a reset", &like_resets.fragment(400..600)),
        accepted("tcp, ack, with the flag of a reset all around", &elsewhere),
    ];
    for len in [14, 16, 19] {
        let mut header = payload(len);
        header[FLAGS] = RST;
        let frame = public_in(&raw(PROTOCOL, &header)).to_frame();
        for (padding, frame) in [("", frame.clone()), (", padded", frame.padded())] {
            let what = format!("tcp, a reset with {len} bytes of its header{padding}");
            let row = Row::new(Direction::Ingress, what, &frame).at(AT_SRVA_SETTLING);
            rows.push(row.left_alone_as(Reason::Truncated));
        }
    }
    rows
}

/// What else could be taken for one, or comes from elsewhere.
fn no_resets_of_this_peer() -> Vec<Row> {
    let mut bytes = payload(40);
    bytes[FLAGS] = RST;
    let sent = packet(Tcp::new(vec![]).ports(50_001, 22));
    let answer = {
        let mut tcp = Tcp::new(vec![]).ports(22, 50_001);
        tcp.flags = RST;
        packet(tcp)
    };
    let between = |source, destination| reset().between(source, destination).to_frame();
    let coming = |what: &str, source, destination| {
        Row::new(Direction::Ingress, what, &between(source, destination)).at(AT_SRVA_SETTLING)
    };
    let behind_nat = Host { underlay: UNDERLAY_BEHIND_NAT, ..AT_SRVA_SETTLING };
    vec![
        accepted("udp like a reset", &packet(Udp::new(bytes[8..].to_vec()))),
        accepted("gre like a reset", &raw(47, &bytes)),
        Row::new(
            Direction::Ingress,
            "tcp, a reset in a flow with public addresses",
            &public_in(&answer).to_frame(),
        )
        .at(AT_SRVA_SETTLING)
        .after(Direction::Egress, &public_out(&sent).to_frame())
        .left_alone_as(Reason::PublicFlow),
        coming("tcp, a reset of a stranger", STRANGER, SRVA.public),
        coming("tcp, a reset to another host, at one that settles", SRVB.public, ROUTER)
            .left_alone_as(Reason::ForeignDestination),
        coming("tcp, a reset from a private address", SRVB.private, SRVA.private)
            .dropped_as(Reason::Spoofed),
        coming("tcp, a reset from a private address, direct", SRVC.private, SRVA.private)
            .left_alone_as(Reason::Direct),
        coming("tcp, a reset from the other peer", SRVC.public, SRVA.public)
            .dropped_as(Reason::UnsettledReset),
        Row::new(
            Direction::Ingress,
            "tcp, a reset behind a 1:1 nat",
            &between(SRVB.public, UNDERLAY_BEHIND_NAT),
        )
        .at(behind_nat)
        .dropped_as(Reason::UnsettledReset),
    ]
}

/// The time is over: the first packet from the peer clears it.
fn settled() -> Vec<Row> {
    let clears = |what: &str, packet: &Ipv4| {
        rewritten_in(what, packet).at(AT_SRVA_LATER).leaving_settled_at(0)
    };
    vec![
        clears("tcp, a reset from a peer that has settled since", &reset()),
        clears("tcp, data from a peer that has settled since", &packet(Tcp::new(payload(5)))),
        clears("udp from a peer that has settled since", &packet(Udp::new(payload(5)))),
        rewritten_in("tcp, a reset from a peer that had settled before", &reset())
            .at(AT_SRVA)
            .leaving_settled_at(0),
        Row::new(
            Direction::Egress,
            "tcp, data to a peer that has settled since",
            &private_out(&packet(Tcp::new(payload(5)))).to_frame(),
        )
        .at(AT_SRVA_LATER)
        .rewritten(&public_out(&packet(Tcp::new(payload(5)))).to_frame(), 0)
        .leaving_settled_at(AT_SRVA_LATER.settled_at),
    ]
}
