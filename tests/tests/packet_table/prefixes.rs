//! Tests peers that are networks: the host part is kept, the longest prefix wins, and a single address beats all
//! prefixes.

use testkit::packet::{Ipv4, Ipv6, Tcp, Udp};
use tunnel_common::outcome::{Direction, Reason};
use tunnel_common::settings::Settings;

use crate::errors::{from_to, unreachable};
use crate::family::{Dual, Packet, packet, payload, ports};
use crate::hosts::{AT_SRVA, ETHERNET, Host, KnownPeer, Member, ROUTER, SRVA, SRVB};
use crate::row::{Note, Row, private, public};

/// 10.20.0.0/16 and fd00:20::/32.
const WIDE: Member = Member::new(
    "wide",
    Dual::new([10, 20, 0, 0], [0xfd00, 0x20, 0, 0, 0, 0, 0, 0]),
    Dual::new([100, 64, 0, 0], [0x2001, 0xdb9, 0, 0, 0, 0, 0, 0]),
)
.bits(16, 32);
/// A prefix within the wide prefix, in private and in public addresses: 10.20.5.0/24 and fd00:20:5::/48.
const INNER: Member = Member::new(
    "inner",
    Dual::new([10, 20, 5, 0], [0xfd00, 0x20, 5, 0, 0, 0, 0, 0]),
    Dual::new([100, 64, 5, 0], [0x2001, 0xdb9, 5, 0, 0, 0, 0, 0]),
)
.bits(24, 48);
/// A host whose private address is within the inner prefix, and whose public address is outside it.
const SINGLE: Member = Member::new(
    "single",
    Dual::new([10, 20, 5, 7], [0xfd00, 0x20, 5, 0, 0, 0, 0, 7]),
    Dual::new([203, 0, 113, 77], [0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 0x77]),
);
/// A prefix with an odd length.
const ODD: Member = Member::new(
    "odd",
    Dual::new([10, 30, 0x48, 0], [0xfd00, 0x30, 0, 0x1234, 0xa800, 0, 0, 0]),
    Dual::new([192, 0, 0x40, 0], [0x2001, 0xdb8, 0x30, 0xffff, 0x5000, 0, 0, 0]),
)
.bits(21, 69);
/// A prefix of two addresses.
const PAIR: Member = Member::new(
    "pair",
    Dual::new([10, 40, 0, 4], [0xfd00, 0x40, 0, 0, 0, 0, 0, 4]),
    Dual::new([192, 0, 2, 254], [0x2001, 0xdb8, 0x40, 0, 0xffff, 0xffff, 0xffff, 0xfffe]),
)
.bits(31, 127);
/// A quarter of all addresses, mapped to another quarter.
const HALF: Member = Member::new(
    "half",
    Dual::new([64, 0, 0, 0], [0x4000, 0, 0, 0, 0, 0, 0, 0]),
    Dual::new([128, 0, 0, 0], [0x8000, 0, 0, 0, 0, 0, 0, 0]),
)
.bits(2, 2);

const WITH_PREFIXES: Settings = Settings { prefixes_v4: 1, prefixes_v6: 1, bypass: 1, ..ETHERNET };

/// srva, most of whose peers are networks.
const AT_SRVA_WITH_PREFIXES: Host = Host {
    settings: WITH_PREFIXES,
    peers: &[
        KnownPeer::new(0, WIDE),
        KnownPeer::new(1, INNER),
        KnownPeer::new(2, SINGLE),
        KnownPeer::new(3, ODD).direct(),
        KnownPeer::new(4, PAIR),
        KnownPeer::new(5, SRVB),
        KnownPeer::new(6, HALF),
    ],
    ..AT_SRVA
};

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    rows.into_iter()
        .map(|row| if row.there.host == AT_SRVA { row.at(AT_SRVA_WITH_PREFIXES) } else { row })
        .collect()
}

fn in_family<P: Packet>() -> Vec<Row> {
    let mut rows = translated::<P>();
    rows.extend(shadowed::<P>());
    rows.extend(misses::<P>());
    rows.extend(errors::<P>());
    rows.extend(notes::<P>());
    rows
}

fn tcp<P: Packet>() -> P {
    packet(Tcp::new(payload(31)))
}

fn out<P: Packet>(what: impl Into<String>, packet: &P, to: Member) -> Row {
    Row::new(Direction::Egress, what, &private(packet, SRVA, to).to_frame())
}

fn inward<P: Packet>(what: impl Into<String>, packet: &P, from: Member) -> Row {
    Row::new(Direction::Ingress, what, &public(packet, from, SRVA).to_frame())
}

fn translated<P: Packet>() -> Vec<Row> {
    let tcp = tcp::<P>();
    let mut rows = Vec::new();
    for (what, member, host, slot) in [
        ("the first address of a prefix", WIDE, 0, 0),
        ("an address of a prefix", WIDE, 0x1234, 0),
        ("the address before a longer prefix", WIDE, 0x04ff, 0),
        ("the address behind a longer prefix", WIDE, 0x0600, 0),
        ("the last address of a prefix", WIDE, 0xffff, 0),
        ("the first address of a longer prefix", INNER, 0, 1),
        ("an address of a longer prefix", INNER, 0x9c, 1),
        ("the last address of a longer prefix", INNER, 0xff, 1),
        ("a single address within two prefixes", SINGLE, 0, 2),
        ("the first address of an odd prefix", ODD, 0, 3),
        ("an address of an odd prefix", ODD, 0x5a5, 3),
        ("the last address of an odd prefix", ODD, 0x7ff, 3),
        ("the first of two addresses", PAIR, 0, 4),
        ("the second of two addresses", PAIR, 1, 4),
        ("a single address beside prefixes", SRVB, 0, 5),
        ("an address of a prefix of two bits", HALF, 0x0123_4567, 6),
    ] {
        let peer = member.host(host);
        rows.push(
            out(format!("to {what}"), &tcp, peer)
                .rewritten(&public(&tcp, SRVA, peer).to_frame(), slot),
        );
        rows.push(
            inward(format!("from {what}"), &tcp, peer)
                .rewritten(&private(&tcp, peer, SRVA).to_frame(), slot),
        );
        let udp: P = packet(Udp::new(payload(600)));
        let fragment = udp.fragment(400..600);
        rows.push(
            out(format!("a last fragment to {what}"), &fragment, peer)
                .rewritten(&public(&fragment, SRVA, peer).to_frame(), slot),
        );
    }
    rows
}

/// An address whose counterpart belongs to another member: a reply would reach that member.
fn shadowed<P: Packet>() -> Vec<Row> {
    let tcp = tcp::<P>();
    let host = |bytes: (u128, u128)| match P::HEADER_LEN {
        20 => bytes.0,
        _ => bytes.1,
    };
    // `seventh` has a public address in `inner`'s range. The private address of `seventh` belongs to `single`.
    let seventh = INNER.host(7);
    // `private_of_inner` is a host of `wide`, but its private and its public address are both in `inner`'s ranges.
    let crossed = Member { public: WIDE.public, ..WIDE };
    let in_inner = host((0x0509, 5 << 80 | 9));
    let private_of_inner = crossed.host(in_inner);
    let mut rows = vec![
        inward("from a public address whose private one is a single peer's", &tcp, seventh)
            .left_alone_as(Reason::Shadowed),
        // `inner` has the same place in the private and in the public range of `wide`, so the longer prefix wins for
        // both.
        out("to a prefix within a prefix, alike on both sides", &tcp, private_of_inner)
            .rewritten(&public(&tcp, SRVA, private_of_inner).to_frame(), 1),
    ];
    let fragment = packet::<P>(Udp::new(payload(600))).fragment(400..600);
    rows.push(
        inward("a last fragment from such an address", &fragment, seventh)
            .left_alone_as(Reason::Shadowed),
    );
    rows.extend(crossing::<P>());
    rows
}

/// Two prefixes: the public range of one contains the other's public range, but their private ranges do not overlap.
fn crossing<P: Packet>() -> Vec<Row> {
    const OUTER: Member = Member::new(
        "outer",
        Dual::new([10, 50, 0, 0], [0xfd00, 0x50, 0, 0, 0, 0, 0, 0]),
        Dual::new([100, 80, 0, 0], [0x2001, 0xdba, 0, 0, 0, 0, 0, 0]),
    )
    .bits(16, 112);
    const INNER_PUBLIC: Member = Member::new(
        "inner-public",
        Dual::new([10, 51, 7, 0], [0xfd00, 0x51, 0, 0, 0, 0, 0, 0x0700]),
        Dual::new([100, 80, 7, 0], [0x2001, 0xdba, 0, 0, 0, 0, 0, 0x0700]),
    )
    .bits(24, 120);
    const AT_CROSSING: Host = Host {
        settings: WITH_PREFIXES,
        peers: &[KnownPeer::new(0, OUTER), KnownPeer::new(1, INNER_PUBLIC).direct()],
        ..AT_SRVA
    };
    let tcp = tcp::<P>();
    let (outer, taken) = (OUTER.host(0x0801), OUTER.host(0x0703));
    let inner = INNER_PUBLIC.host(3);
    let error = unreachable::<P>("", packet(Udp::new(payload(9))), 8);
    let rows = vec![
        out("to a private address whose public one is another prefix's", &tcp, taken)
            .left_alone_as(Reason::Shadowed),
        inward("from the longer of two crossing prefixes", &tcp, inner)
            .rewritten(&private(&tcp, inner, SRVA).to_frame(), 1),
        out("to the longer of two crossing prefixes", &tcp, inner)
            .rewritten(&public(&tcp, SRVA, inner).to_frame(), 1),
        out("to the shorter of two crossing prefixes", &tcp, outer)
            .rewritten(&public(&tcp, SRVA, outer).to_frame(), 0),
        Row::new(
            Direction::Egress,
            "an error about a packet from such a private address",
            &error
                .frame(from_to(SRVA.private, outer.private), from_to(taken.private, SRVA.private)),
        )
        .left_alone_as(Reason::Shadowed),
    ];
    rows.into_iter().map(|row| row.at(AT_CROSSING)).collect()
}

fn misses<P: Packet>() -> Vec<Row> {
    let tcp = tcp::<P>();
    let before = |address: Dual| Dual {
        v4: std::net::Ipv4Addr::from_bits(address.v4.to_bits() - 1),
        v6: std::net::Ipv6Addr::from_bits(address.v6.to_bits() - 1),
    };
    let beyond = |member: Member, address: Dual| Dual {
        v4: std::net::Ipv4Addr::from_bits(address.v4.to_bits() + (1 << (32 - member.bits_v4))),
        v6: std::net::Ipv6Addr::from_bits(address.v6.to_bits() + (1 << (128 - member.bits_v6))),
    };
    let mut rows = Vec::new();
    for member in [WIDE, ODD, PAIR] {
        let name = member.name;
        let out = |what: String, to| {
            let packet = tcp.clone().addressed(SRVA.private, to);
            Row::new(Direction::Egress, what, &packet.to_frame())
        };
        rows.push(out(format!("to the address before {name}"), before(member.private)));
        rows.push(out(format!("to the address behind {name}"), beyond(member, member.private)));
        let spoofed = tcp.clone().addressed(member.private.plus(1), SRVA.public).to_frame();
        let row =
            Row::new(Direction::Ingress, format!("from a private address of {name}"), &spoofed);
        rows.push(if name == "odd" {
            row.left_alone_as(Reason::Direct)
        } else {
            row.dropped_as(Reason::Spoofed)
        });
        let foreign = tcp.clone().addressed(ROUTER, member.private.plus(1)).to_frame();
        rows.push(
            Row::new(Direction::Egress, format!("from elsewhere to {name}"), &foreign)
                .left_alone_as(Reason::ForeignSource),
        );
        let other = tcp.clone().addressed(member.public.plus(1), ROUTER).to_frame();
        rows.push(
            Row::new(Direction::Ingress, format!("from {name} to elsewhere"), &other)
                .left_alone_as(Reason::ForeignDestination),
        );
    }
    // With prefixes off, the programs look up no prefix.
    let off = Host { settings: ETHERNET, ..AT_SRVA_WITH_PREFIXES };
    let peer = WIDE.host(5);
    rows.push(out("to a prefix, and prefixes are off", &tcp, peer).at(off));
    rows.push(inward("from a prefix, and prefixes are off", &tcp, peer).at(off));
    rows.push(
        out("to a single address, and prefixes are off", &tcp, SINGLE)
            .at(off)
            .rewritten(&public(&tcp, SRVA, SINGLE).to_frame(), 2),
    );
    rows
}

fn errors<P: Packet>() -> Vec<Row> {
    let error = unreachable::<P>("", packet(Udp::new(payload(9))), 17);
    let mut rows = Vec::new();
    for (name, peer, slot) in
        [("wide", WIDE.host(0x123), 0), ("odd", ODD.host(0x321), 3), ("pair", PAIR.host(1), 4)]
    {
        let sent_private = from_to(SRVA.private, peer.private);
        let sent_public = from_to(SRVA.public, peer.public);
        let received_private = from_to(peer.private, SRVA.private);
        let received_public = from_to(peer.public, SRVA.public);
        rows.extend([
            Row::new(
                Direction::Egress,
                format!("an error to {name}"),
                &error.frame(&sent_private, &received_private),
            )
            .rewritten(&error.frame(&sent_public, &received_public), slot),
            Row::new(
                Direction::Ingress,
                format!("an error from {name}"),
                &error.frame(&received_public, &sent_public),
            )
            .rewritten(&error.frame(&received_private, &sent_private), slot),
            Row::new(
                Direction::Ingress,
                format!("an error of a router about {name}"),
                &error.frame(from_to(ROUTER, SRVA.public), &sent_public),
            )
            .rewritten_for_router(&error.frame(from_to(ROUTER, SRVA.private), &sent_private), slot),
        ]);
    }
    rows
}

/// The programs' notes apply to the whole prefix.
fn notes<P: Packet>() -> Vec<Row> {
    let sent: P = ports(tcp(), 50_001, 22);
    let answer: P = ports(tcp(), 22, 50_001);
    let (peer, other) = (WIDE.host(0x77), WIDE.host(0x78));
    let direct = ODD.host(0x3f);
    let plain_in = private(&answer, direct, SRVA).to_frame();
    vec![
        inward("a reply in a public flow with a prefix", &answer, peer)
            .after(Direction::Egress, &public(&sent, SRVA, peer).to_frame())
            .left_alone_as(Reason::PublicFlow)
            .leaving(other.private, Note::PublicFlows, 1)
            .leaving(other.public, Note::PublicFlows, 1)
            .leaving(INNER.public, Note::PublicFlows, 0),
        inward("the same ports from another host of the prefix", &answer, other)
            .after(Direction::Egress, &public(&sent, SRVA, peer).to_frame())
            .rewritten(&private(&answer, other, SRVA).to_frame(), 0),
        inward("a reply to the underlay address from a prefix", &answer, peer)
            .after_rewriting(
                Direction::Egress,
                &sent.clone().addressed(SRVA.public, peer.private).to_frame(),
                &public(&sent, SRVA, peer).to_frame(),
            )
            .rewritten(&answer.clone().addressed(peer.private, SRVA.public).to_frame(), 0),
        Row::new(Direction::Ingress, "plain from a direct prefix", &plain_in)
            .left_alone_as(Reason::Direct)
            .leaving(ODD.private, Note::Plain, 1)
            .leaving(ODD.public, Note::Plain, 1),
        out("to a direct prefix that sends plainly", &sent, direct)
            .after(Direction::Ingress, &plain_in)
            .left_alone_as(Reason::Direct),
    ]
}
