//! Tests a gateway: a host that acts for several members, or for a network of members. The hosts behind the gateway
//! hold the private addresses.

use testkit::packet::{Ipv4, Ipv6, Tcp, Udp};
use tunnel_common::outcome::{Direction, Reason};
use tunnel_common::settings::Settings;

use crate::errors::{from_to, unreachable};
use crate::family::{Dual, Packet, packet, payload, ports};
use crate::hosts::{
    AT_SRVB, ETHERNET, Host, KnownPeer, Member, Own, ROUTER, SRVA, SRVB, SRVC, STRANGER,
};
use crate::row::{Note, Row, private, public};

/// The network behind the gateway.
const NETWORK: Member = Member::new(
    "network",
    Dual::new([10, 9, 0, 0], [0xfd00, 9, 0, 0, 0, 0, 0, 0]),
    Dual::new([198, 51, 101, 0], [0x2001, 0xdb8, 0x51, 0x101, 0, 0, 0, 0]),
)
.bits(24, 64);
/// One host of `NETWORK`, whose public address is outside the network's public range.
const WITHIN: Member = Member::new(
    "within",
    Dual::new([10, 9, 0, 80], [0xfd00, 9, 0, 0, 0, 0, 0, 80]),
    Dual::new([198, 51, 100, 80], [0x2001, 0xdb8, 0x51, 0x100, 0, 0, 0, 80]),
);
/// A network that is the gateway's peer.
const REMOTE: Member = Member::new(
    "remote",
    Dual::new([10, 8, 0, 0], [0xfd00, 8, 0, 0, 0, 0, 0, 0]),
    Dual::new([203, 0, 114, 0], [0x2001, 0xdb8, 0x114, 0, 0, 0, 0, 0]),
)
.bits(24, 64);

const GATEWAY: Settings =
    Settings { prefixes_v4: 1, prefixes_v6: 1, bypass: 1, gateway: 1, ..ETHERNET };

/// A gateway in front of srva, srvc, a network and one host of that network.
const AT_GATEWAY: Host = Host {
    member: SRVA,
    settings: GATEWAY,
    local: &[Own::of(SRVA), Own::of(SRVC), Own::of(NETWORK), Own::of(WITHIN)],
    peers: &[KnownPeer::new(0, SRVB).direct(), KnownPeer::new(1, REMOTE)],
    rules: &[],
    grace_until: 0,
};

/// srvb, which knows all members behind the gateway.
const AT_SRVB_OF_GATEWAY: Host = Host {
    settings: Settings { prefixes_v4: 1, prefixes_v6: 1, bypass: 1, ..ETHERNET },
    peers: &[
        KnownPeer::new(0, SRVA),
        KnownPeer::new(1, SRVC),
        KnownPeer::new(2, NETWORK),
        KnownPeer::new(3, WITHIN),
    ],
    ..AT_SRVB
};

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    rows
}

fn in_family<P: Packet>() -> Vec<Row> {
    let mut rows = both_ways::<P>();
    rows.extend(foreign::<P>());
    rows.extend(errors::<P>());
    rows.extend(flows::<P>());
    rows
}

/// The members for which the gateway acts, and addresses within its network, each with a description.
fn own() -> [(&'static str, Member); 6] {
    [
        ("the first self", SRVA),
        ("the second self", SRVC),
        ("the first address of a network", NETWORK),
        ("an address of a network", NETWORK.host(0x21)),
        ("the last address of a network", NETWORK.host(0xff)),
        ("a single self within a network", WITHIN),
    ]
}

fn at_gateway(
    direction: Direction,
    what: impl Into<String>,
    frame: &testkit::packet::Frame,
) -> Row {
    Row::new(direction, what, frame).at(AT_GATEWAY)
}

fn both_ways<P: Packet>() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, own) in own() {
        for (protocol, packet) in [
            ("tcp", packet::<P>(Tcp::new(payload(31)))),
            ("udp", packet(Udp::new(payload(32)))),
            ("echo request", packet(P::echo_request(6, payload(9)))),
            ("a last fragment", packet::<P>(Udp::new(payload(600))).fragment(400..600)),
        ] {
            for (peer, slot) in [(SRVB, 0), (REMOTE.host(0x42), 1)] {
                let (here, wire) = (private(&packet, own, peer), public(&packet, own, peer));
                let name = peer.name;
                let mut row = at_gateway(
                    Direction::Egress,
                    format!("{protocol} from {what} to {name}"),
                    &here.to_frame(),
                )
                .rewritten(&wire.to_frame(), slot);
                if slot == 0 {
                    row = row.and_back_at(AT_SRVB_OF_GATEWAY);
                    row.back.as_mut().expect("a way back").counted = at_srvb(own);
                }
                rows.push(row);
                let (here, wire) = (private(&packet, peer, own), public(&packet, peer, own));
                rows.push(
                    at_gateway(
                        Direction::Ingress,
                        format!("{protocol} from {name} to {what}"),
                        &wire.to_frame(),
                    )
                    .rewritten(&here.to_frame(), slot),
                );
            }
        }
    }
    rows
}

fn at_srvb(own: Member) -> crate::row::Counted {
    crate::row::Counted::ForPeer(AT_SRVB_OF_GATEWAY.slot(own))
}

fn foreign<P: Packet>() -> Vec<Row> {
    let tcp: P = packet(Tcp::new(payload(31)));
    let between = |from, to| tcp.clone().addressed(from, to).to_frame();
    // The addresses just before and just after the network.
    let (before, behind) = (Dual::new([10, 8, 255, 255], [0xfd00, 8, 9, 9, 9, 9, 9, 9]), {
        Dual::new([10, 9, 1, 0], [0xfd00, 9, 0, 1, 0, 0, 0, 0])
    });
    let mut rows = Vec::new();
    for (what, from) in [
        ("a stranger", STRANGER),
        ("the address before the network", before),
        ("the address behind the network", behind),
        ("another peer", REMOTE.private.plus(1)),
        ("its own private address", SRVB.private),
    ] {
        rows.push(
            at_gateway(
                Direction::Egress,
                format!("to a peer from {what}"),
                &between(from, SRVB.private),
            )
            .left_alone_as(Reason::ForeignSource),
        );
    }
    for (what, to) in [
        ("a stranger", STRANGER),
        ("a self's private address", SRVA.private),
        ("a private address of the network", NETWORK.private.plus(7)),
        ("the public address of the network that the single self lacks", {
            NETWORK.public.plus(0x100)
        }),
        ("another peer", REMOTE.public.plus(7)),
    ] {
        let row = at_gateway(
            Direction::Ingress,
            format!("from a peer to {what}"),
            &between(SRVB.public, to),
        );
        let is_in_ipv6 = P::HEADER_LEN == 40 && to == NETWORK.public.plus(0x100);
        let is_private = to == SRVA.private || to == NETWORK.private.plus(7);
        rows.push(if is_in_ipv6 {
            row.rewritten(&between(SRVB.private, NETWORK.private.plus(0x100)), 0)
        } else if is_private {
            row.dropped_as(Reason::PrivateDestination)
        } else {
            row.left_alone_as(Reason::ForeignDestination)
        });
    }
    rows.extend([
        at_gateway(
            Direction::Ingress,
            "from a peer's private address to a self",
            &between(SRVB.private, NETWORK.private.plus(7)),
        )
        .left_alone_as(Reason::Direct)
        .leaving(SRVB.public, Note::Plain, 1),
        at_gateway(
            Direction::Ingress,
            "from a peer's private address to a stranger",
            &between(SRVB.private, STRANGER),
        )
        .left_alone_as(Reason::Direct)
        .leaving(SRVB.public, Note::Plain, 0),
        at_gateway(
            Direction::Ingress,
            "from the other peer's private address to a self",
            &between(REMOTE.private.plus(7), SRVA.private),
        )
        .dropped_as(Reason::Spoofed),
        at_gateway(
            Direction::Egress,
            "from one self to another",
            &between(SRVA.private, SRVC.private),
        ),
        at_gateway(
            Direction::Ingress,
            "from a stranger to a self",
            &between(STRANGER, NETWORK.public.plus(7)),
        ),
    ]);
    rows
}

fn errors<P: Packet>() -> Vec<Row> {
    let error = unreachable::<P>("", packet(Udp::new(payload(9))), 17);
    let mut rows = Vec::new();
    for (what, own) in own() {
        let sent_private = from_to(own.private, SRVB.private);
        let sent_public = from_to(own.public, SRVB.public);
        let received_private = from_to(SRVB.private, own.private);
        let received_public = from_to(SRVB.public, own.public);
        rows.extend([
            at_gateway(
                Direction::Egress,
                format!("an error from {what}"),
                &error.frame(&sent_private, &received_private),
            )
            .rewritten(&error.frame(&sent_public, &received_public), 0),
            at_gateway(
                Direction::Ingress,
                format!("an error to {what}"),
                &error.frame(&received_public, &sent_public),
            )
            .rewritten(&error.frame(&received_private, &sent_private), 0),
            at_gateway(
                Direction::Ingress,
                format!("an error of a router to {what}"),
                &error.frame(from_to(ROUTER, own.public), &sent_public),
            )
            .rewritten_for_router(&error.frame(from_to(ROUTER, own.private), &sent_private), 0),
            at_gateway(
                Direction::Egress,
                format!("an error of a router behind the gateway about a packet to {what}"),
                &error.frame(from_to(STRANGER, SRVB.private), &received_private),
            )
            .rewritten(&error.frame(from_to(own.public, SRVB.public), &received_public), 0),
            at_gateway(
                Direction::Egress,
                format!("an error of a router about another peer's packet to {what}"),
                &error.frame(
                    from_to(STRANGER, SRVB.private),
                    from_to(REMOTE.private.plus(3), own.private),
                ),
            )
            .left_alone_as(Reason::ForeignSource),
            at_gateway(
                Direction::Egress,
                format!("an error of a router about a packet from {what}"),
                &error.frame(from_to(STRANGER, SRVB.private), &sent_private),
            )
            .left_alone_as(Reason::ForeignSource),
        ]);
    }
    let about_another = from_to(SRVC.public, SRVB.public);
    rows.push(at_gateway(
        Direction::Ingress,
        "an error of a router to one self about another's packet",
        &error.frame(from_to(ROUTER, SRVA.public), &about_another),
    ));
    rows.push(
        at_gateway(
            Direction::Egress,
            "an error of a router behind the gateway about a packet to a stranger",
            &error.frame(from_to(STRANGER, SRVB.private), from_to(SRVB.private, STRANGER)),
        )
        .left_alone_as(Reason::ForeignSource),
    );
    rows
}

fn flows<P: Packet>() -> Vec<Row> {
    let sent: P = ports(packet(Tcp::syn()), 50_001, 22);
    let answer: P = ports(packet(Tcp::new(payload(5))), 22, 50_001);
    let own = NETWORK.host(0x21);
    let other = NETWORK.host(0x22);
    let wire = public(&sent, own, SRVB).to_frame();
    let from_underlay = sent.clone().addressed(own.public, SRVB.private).to_frame();
    vec![
        at_gateway(
            Direction::Ingress,
            "a reply in a public flow of a network's host",
            &public(&answer, SRVB, own).to_frame(),
        )
        .after(Direction::Egress, &wire)
        .left_alone_as(Reason::PublicFlow),
        at_gateway(
            Direction::Ingress,
            "the same ports to another host of the network",
            &public(&answer, SRVB, other).to_frame(),
        )
        .after(Direction::Egress, &wire)
        .rewritten(&private(&answer, SRVB, other).to_frame(), 0),
        at_gateway(
            Direction::Ingress,
            "a reply to an underlay address of the network",
            &public(&answer, SRVB, own).to_frame(),
        )
        .after_rewriting(Direction::Egress, &from_underlay, &wire)
        .rewritten(&answer.clone().addressed(SRVB.private, own.public).to_frame(), 0),
        at_gateway(
            Direction::Ingress,
            "a reply after a stranger's packet was forwarded",
            &public(&answer, SRVB, own).to_frame(),
        )
        .after(Direction::Egress, &sent.clone().addressed(STRANGER, SRVB.public).to_frame())
        .rewritten(&private(&answer, SRVB, own).to_frame(), 0),
    ]
}
