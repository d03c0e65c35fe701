//! Tests resets from a peer that might not be attached yet. The programs drop a reset without ACK, which says only that
//! the peer does not know the connection.

use testkit::packet::tcp::{PROTOCOL, SYN};
use testkit::packet::{Ipv4, Ipv6, Tcp, Udp};
use tunnel_common::outcome::{Direction, Reason};

use crate::family::{Packet, packet, payload, ports, raw};
use crate::hosts::{
    AT_SRVA, AT_SRVA_BEHIND_NAT, AT_SRVA_IN_GRACE_PERIOD, AT_SRVA_LATER, Host, ROUTER, SRVA, SRVB,
    SRVC, STRANGER, UNDERLAY_BEHIND_NAT,
};
use crate::row::{
    Note, Row, private, private_out, public, public_in, public_out, rewritten_both_ways,
    rewritten_in, rewritten_out,
};

const FIN: u8 = 0x01;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;
const ECE: u8 = 0x40;
const CWR: u8 = 0x80;
/// The offset of the flags in a TCP header.
const FLAGS: usize = 13;

fn segment<P: Packet>(flags: u8, payload: Vec<u8>) -> P {
    let mut tcp = Tcp::new(payload);
    tcp.flags = flags;
    packet(tcp)
}

fn reset<P: Packet>() -> P {
    segment(RST, vec![])
}

/// A packet from srvb in its grace period, which the programs drop.
fn dropped<P: Packet>(what: impl Into<String>, packet: &P) -> Row {
    Row::new(Direction::Ingress, what, &public_in(packet).to_frame())
        .at(AT_SRVA_IN_GRACE_PERIOD)
        .dropped_as(Reason::StrayReset)
        .leaving(SRVB.public, Note::GraceUntil, AT_SRVA_IN_GRACE_PERIOD.grace_until)
}

/// A packet from srvb in its grace period, which the programs accept.
fn accepted<P: Packet>(what: impl Into<String>, packet: &P) -> Row {
    rewritten_in(what, packet).at(AT_SRVA_IN_GRACE_PERIOD)
}

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    // RST fills the IP options and the payload. A program that assumes an IP header without options, or with 40 bytes
    // of options, reads RST as the flags.
    let elsewhere = segment::<Ipv4>(ACK, vec![RST; 100]).options(vec![RST; 20]);
    rows.push(accepted("tcp, ack, with the flag of a reset all around", &elsewhere));
    rows
}

fn in_family<P: Packet>() -> Vec<Row> {
    let mut rows = by_flags::<P>();
    rows.extend(in_other_shapes::<P>());
    rows.extend(no_resets_of_this_peer::<P>());
    rows.extend(past_it::<P>());
    rows.extend(rewritten_both_ways("tcp, a reset past the grace period", &reset::<P>()));
    rows.push({
        rewritten_out("tcp, a reset to a peer in its grace period", &reset::<P>())
            .at(AT_SRVA_IN_GRACE_PERIOD)
    });
    rows
}

fn by_flags<P: Packet>() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, flags) in [
        ("a reset", RST),
        ("a reset with psh", RST | PSH),
        ("a reset with fin", RST | FIN),
        ("a reset with syn", RST | SYN),
        ("a reset with all but ack", !ACK),
    ] {
        let what = format!("tcp, {what} of a connection unknown");
        rows.push(dropped(what, &segment::<P>(flags, vec![])));
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
        let what = format!("tcp, {what} from a peer in its grace period");
        let row = accepted(what, &segment::<P>(flags, vec![]));
        rows.push(row.leaving(SRVB.public, Note::GraceUntil, AT_SRVA_IN_GRACE_PERIOD.grace_until));
    }
    for (what, packet) in [
        ("tcp, syn from a peer in its grace period", packet::<P>(Tcp::syn())),
        (
            "tcp, syn with ece and cwr from a peer in its grace period",
            segment(SYN | ECE | CWR, vec![]),
        ),
    ] {
        rows.push(accepted(what, &packet).leaving(SRVB.public, Note::GraceUntil, 0).leaving(
            SRVC.public,
            Note::GraceUntil,
            AT_SRVA_IN_GRACE_PERIOD.grace_until,
        ));
    }
    rows
}

fn in_other_shapes<P: Packet>() -> Vec<Row> {
    let long: P = segment(RST, payload(580));
    let mut with_options = Tcp::syn();
    with_options.flags = RST;
    let mut wrong = Tcp::new(vec![]).checksum_error(1);
    wrong.flags = RST;
    // The later fragments of this segment look like resets.
    let like_resets: P = segment(PSH | ACK, {
        let mut payload = payload(580);
        for start in [200, 400] {
            payload[start + FLAGS - 20] = RST;
        }
        payload
    });

    let mut rows = vec![
        dropped("tcp, a reset with a longer header", &reset::<P>().longer_header(16)),
        dropped("tcp, a reset with a header 40 longer", &reset::<P>().longer_header(40)),
        dropped("tcp, a reset with tcp options", &packet::<P>(with_options)),
        dropped("tcp, a reset with a payload", &long),
        dropped("tcp, a reset's first fragment", &long.clone().fragment(0..400)),
        dropped("tcp, a reset's first fragment of nothing but the header", &{
            long.clone().fragment(0..24)
        }),
        dropped("tcp, a reset with a wrong checksum", &packet::<P>(wrong)),
        accepted("tcp, a reset's last fragment", &long.fragment(400..600)),
        accepted("tcp, a middle fragment like a reset", &like_resets.clone().fragment(200..400)),
        accepted("tcp, a last fragment like a reset", &like_resets.fragment(400..600)),
    ];
    for len in [14, 16, 19] {
        let mut header = payload(len);
        header[FLAGS] = RST;
        let frame = public_in(&raw::<P>(PROTOCOL, &header)).to_frame();
        for (padding, frame) in [("", frame.clone()), (", padded", frame.trailer(payload(20)))] {
            let what = format!("tcp, a reset with {len} bytes of its header{padding}");
            let row = Row::new(Direction::Ingress, what, &frame).at(AT_SRVA_IN_GRACE_PERIOD);
            rows.push(row.left_alone_as(Reason::Truncated));
        }
    }
    rows
}

/// Packets that only look like resets, and resets in other flows, from other sources or to other destinations.
fn no_resets_of_this_peer<P: Packet>() -> Vec<Row> {
    let mut bytes = payload(40);
    bytes[FLAGS] = RST;
    let sent: P = ports(packet(Tcp::new(vec![])), 50_001, 22);
    let answer: P = ports(reset(), 22, 50_001);
    let coming = |what: &str, packet: P| {
        Row::new(Direction::Ingress, what, &packet.to_frame()).at(AT_SRVA_IN_GRACE_PERIOD)
    };
    let reset = reset::<P>;
    let behind_nat = Host { local: AT_SRVA_BEHIND_NAT.local, ..AT_SRVA_IN_GRACE_PERIOD };
    vec![
        accepted("udp like a reset", &packet::<P>(Udp::new(bytes[8..].to_vec()))),
        accepted("gre like a reset", &raw::<P>(47, &bytes)),
        coming("tcp, a reset in a flow with public addresses", public_in(&answer))
            .after(Direction::Egress, &public_out(&sent).to_frame())
            .left_alone_as(Reason::PublicFlow),
        coming("tcp, a reset in a flow from the underlay address", public_in(&answer))
            .after_rewriting(
                Direction::Egress,
                &sent.clone().addressed(SRVA.public, SRVB.private).to_frame(),
                &public_out(&sent).to_frame(),
            )
            .dropped_as(Reason::StrayReset),
        coming("tcp, a reset of a stranger", reset().addressed(STRANGER, SRVA.public)),
        coming("tcp, a reset to another host, at one in its grace period", {
            reset().addressed(SRVB.public, ROUTER)
        })
        .left_alone_as(Reason::ForeignDestination),
        coming("tcp, a reset from a private address", private(&reset(), SRVB, SRVA))
            .dropped_as(Reason::Spoofed),
        coming("tcp, a reset from a private address, direct", private(&reset(), SRVC, SRVA))
            .left_alone_as(Reason::Direct),
        coming("tcp, a reset from the other peer", public(&reset(), SRVC, SRVA))
            .dropped_as(Reason::StrayReset),
        coming("tcp, a reset behind a 1:1 nat", {
            reset().addressed(SRVB.public, UNDERLAY_BEHIND_NAT)
        })
        .at(behind_nat)
        .dropped_as(Reason::StrayReset),
    ]
}

/// After the grace period, the first packet from the peer clears the period's end in the entry.
fn past_it<P: Packet>() -> Vec<Row> {
    let clears = |what: &str, packet: &P| {
        rewritten_in(what, packet).at(AT_SRVA_LATER).leaving(SRVB.public, Note::GraceUntil, 0)
    };
    let data: P = packet(Tcp::new(payload(5)));
    vec![
        clears("tcp, a reset from a peer past its grace period", &reset()),
        clears("tcp, data from a peer past its grace period", &data),
        clears("udp from a peer past its grace period", &packet(Udp::new(payload(5)))),
        rewritten_in(
            "tcp, a reset from a peer that was past its grace period before",
            &reset::<P>(),
        )
        .at(AT_SRVA)
        .leaving(SRVB.public, Note::GraceUntil, 0),
        Row::new(
            Direction::Egress,
            "tcp, data to a peer past its grace period",
            &private_out(&data).to_frame(),
        )
        .at(AT_SRVA_LATER)
        .rewritten(&public_out(&data).to_frame(), 0)
        .leaving(SRVB.public, Note::GraceUntil, AT_SRVA_LATER.grace_until),
    ]
}
