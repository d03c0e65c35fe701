//! Tests the bypass list: the programs deliberately leave packets of listed ports alone.

use testkit::packet::{
    Dccp, Ipv4, Ipv6, Sctp, Tcp, Udp, UdpChecksum, UdpLite, dccp, sctp, tcp, udp, udplite,
};
use tunnel_common::bypass::CLUSTER;
use tunnel_common::outcome::{Direction, Reason};
use tunnel_common::peers::{BYPASS_CLUSTER, BYPASS_MEMBER};
use tunnel_common::settings::Settings;

use crate::errors::{Shape, from_to, unreachable};
use crate::family::{Packet, packet, payload, ports, raw};
use crate::hosts::{AT_SRVA, ETHERNET, Host, KnownPeer, ROUTER, Rule, SRVA, SRVB, SRVC, STRANGER};
use crate::row::{Row, private, private_in, private_out, public, public_in, public_out};

/// A port on the cluster's list.
const LISTED: u16 = 7_022;
/// A port on srvb's list.
const OF_SRVB: u16 = 7_122;
/// A port on srvc's list.
const OF_SRVC: u16 = 7_222;
/// A port whose rule is for a slot without a peer: the programs never check the rule.
const UNASKED: u16 = 7_322;
/// A port on no list.
const OTHER: u16 = 40_000;

const fn rule(slot: u32, protocol: u8, port: u16) -> Rule {
    Rule { slot, protocol, port }
}

/// srva, with rules for the cluster and for both peers. The programs do not check the cluster's
/// rules for the third member, srvc.
const AT_SRVA_WITH_RULES: Host = Host {
    settings: Settings { bypass: 1, prefixes_v4: 1, prefixes_v6: 1, ..ETHERNET },
    peers: &[
        KnownPeer::new(0, SRVB).bypass(BYPASS_CLUSTER | BYPASS_MEMBER),
        KnownPeer::new(1, SRVC).bypass(BYPASS_MEMBER),
    ],
    rules: &[
        rule(CLUSTER, tcp::PROTOCOL, LISTED),
        rule(CLUSTER, udp::PROTOCOL, LISTED),
        rule(CLUSTER, udplite::PROTOCOL, LISTED),
        rule(CLUSTER, dccp::PROTOCOL, LISTED),
        rule(CLUSTER, sctp::PROTOCOL, LISTED),
        rule(0, udp::PROTOCOL, OF_SRVB),
        rule(1, udp::PROTOCOL, OF_SRVC),
        rule(7, udp::PROTOCOL, UNASKED),
    ],
    ..AT_SRVA
};

/// srva with the same rules, but no peer for which the programs check them.
const AT_SRVA_ASKING_NONE: Host = Host { peers: AT_SRVA.peers, ..AT_SRVA_WITH_RULES };

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    rows.into_iter()
        .map(|row| match row.there.host {
            host if host == AT_SRVA => row.at(AT_SRVA_WITH_RULES),
            _ => row,
        })
        .collect()
}

fn in_family<P: Packet>() -> Vec<Row> {
    let mut rows = by_port::<P>();
    rows.extend(by_peer::<P>());
    rows.extend(without_a_rule::<P>());
    rows.extend(fragments::<P>());
    rows.extend(errors::<P>());
    rows
}

fn out<P: Packet>(what: &str, packet: &P) -> Row {
    Row::new(Direction::Egress, what, &private_out(packet).to_frame())
}

fn inward<P: Packet>(what: &str, packet: &P) -> Row {
    Row::new(Direction::Ingress, what, &public_in(packet).to_frame())
}

fn bypassed<P: Packet>(what: &str, packet: &P) -> [Row; 2] {
    [out(what, packet), inward(what, packet)].map(|row| row.left_alone_as(Reason::Bypass))
}

fn rewritten<P: Packet>(what: &str, packet: &P) -> [Row; 2] {
    [
        out(what, packet).rewritten(&public_out(packet).to_frame(), 0),
        inward(what, packet).rewritten(&private_in(packet).to_frame(), 0),
    ]
}

fn udp<P: Packet>(source: u16, destination: u16) -> P {
    ports(packet(Udp::new(payload(9))), source, destination)
}

fn by_port<P: Packet>() -> Vec<Row> {
    let mut rows = Vec::new();
    for (protocol, packet) in [
        ("tcp", packet::<P>(Tcp::new(payload(9)))),
        ("udp", packet(Udp::new(payload(9)))),
        ("udp with checksum 0", packet(Udp::new(payload(9)).checksum(UdpChecksum::Absent))),
        ("udp-lite", packet(UdpLite::new(payload(9)))),
        ("dccp", packet(Dccp::data(payload(9)))),
        ("sctp", packet(Sctp::new(payload(9)))),
        ("tcp with a longer header", packet::<P>(Tcp::new(payload(9))).longer_header(16)),
    ] {
        let with = |source, destination| ports(packet.clone(), source, destination);
        let what = |end| format!("{protocol}, {end}");
        rows.extend(bypassed(&what("a listed port there"), &with(OTHER, LISTED)));
        rows.extend(bypassed(&what("a listed port here"), &with(LISTED, OTHER)));
        rows.extend(bypassed(&what("listed ports at both ends"), &with(LISTED, LISTED)));
        rows.extend(rewritten(&what("ports on no list"), &with(OTHER, OTHER)));
        rows.extend(rewritten(&what("the port beside it"), &with(LISTED - 1, LISTED + 1)));
        rows.extend(rewritten(&what("its bytes swapped"), &{
            with(LISTED.swap_bytes(), LISTED.swap_bytes())
        }));
    }
    rows
}

fn by_peer<P: Packet>() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(bypassed("udp, a port on the peer's list", &udp::<P>(OTHER, OF_SRVB)));
    rows.extend(rewritten("udp, a port on the other peer's list", &udp::<P>(OTHER, OF_SRVC)));
    rows.extend(rewritten("udp, a port on the list of nobody's slot", &udp::<P>(UNASKED, UNASKED)));
    let tcp: P = ports(packet(Tcp::new(payload(9))), OTHER, OF_SRVB);
    rows.extend(rewritten("tcp, a port on the list for udp", &tcp));
    for (what, port, is_bypassed) in [
        ("udp, a port on the other peer's own list", OF_SRVC, true),
        ("udp, a port on the first peer's list, with the other", OF_SRVB, false),
        ("udp, a port of the cluster, with a peer it is not asked for", LISTED, false),
    ] {
        let packet: P = udp(OTHER, port);
        let out = Row::new(Direction::Egress, what, &private(&packet, SRVA, SRVC).to_frame());
        let inward = Row::new(Direction::Ingress, what, &public(&packet, SRVC, SRVA).to_frame());
        if is_bypassed {
            rows.extend([out, inward].map(|row| row.left_alone_as(Reason::Bypass)));
        } else {
            rows.push(out.rewritten(&public(&packet, SRVA, SRVC).to_frame(), 1));
            rows.push(inward.rewritten(&private(&packet, SRVC, SRVA).to_frame(), 1));
        }
    }
    for row in rewritten("udp, a listed port, and no list is asked", &udp::<P>(OTHER, LISTED)) {
        rows.push(row.at(AT_SRVA_ASKING_NONE));
    }
    let off = Host { settings: ETHERNET, ..AT_SRVA_WITH_RULES };
    for row in rewritten("udp, a listed port, and the lists are off", &udp::<P>(OTHER, LISTED)) {
        rows.push(row.at(off));
    }
    rows
}

fn without_a_rule<P: Packet>() -> Vec<Row> {
    let listed = [LISTED.to_be_bytes(), LISTED.to_be_bytes()].concat();
    let listed_udp: P = udp(OTHER, LISTED);
    let mut rows = Vec::new();
    rows.extend(rewritten("gre like a listed port", &raw::<P>(47, &listed)));
    rows.extend(rewritten("an echo request like a listed port", &{
        packet::<P>(P::echo_request(LISTED, listed.clone()))
    }));
    let four: P = raw(17, &listed);
    rows.extend(bypassed("udp of nothing but ports", &four));
    let three = |packet: P| packet.to_frame().trailer(listed.clone());
    let short: P = raw(17, &listed[..3]);
    rows.push(
        Row::new(Direction::Egress, "udp of 3 bytes", &three(private_out(&short)))
            .left_alone_as(Reason::Truncated),
    );
    rows.push(
        Row::new(Direction::Ingress, "udp of 3 bytes", &three(public_in(&short)))
            .left_alone_as(Reason::Truncated),
    );
    rows.extend([
        Row::new(
            Direction::Egress,
            "a stranger's listed port",
            &listed_udp.clone().addressed(STRANGER, SRVB.private).to_frame(),
        )
        .left_alone_as(Reason::ForeignSource),
        Row::new(
            Direction::Ingress,
            "a peer's listed port to a stranger",
            &listed_udp.clone().addressed(SRVB.public, STRANGER).to_frame(),
        )
        .left_alone_as(Reason::ForeignDestination),
        Row::new(
            Direction::Ingress,
            "a listed port from a private address",
            &private_in(&listed_udp).to_frame(),
        )
        .dropped_as(Reason::Spoofed),
        Row::new(
            Direction::Egress,
            "a listed port to a public address",
            &public_out(&listed_udp).to_frame(),
        ),
        Row::new(
            Direction::Egress,
            "a listed port from the underlay address",
            &listed_udp.clone().addressed(SRVA.public, SRVB.private).to_frame(),
        )
        .left_alone_as(Reason::Bypass),
        inward("a reply in a public flow with a listed port", &udp::<P>(LISTED, OTHER))
            .after(Direction::Egress, &public_out(&listed_udp).to_frame())
            .left_alone_as(Reason::Bypass),
    ]);
    rows
}

fn fragments<P: Packet>() -> Vec<Row> {
    let listed: P = ports(packet(Udp::new(payload(592))), OTHER, LISTED);
    let other: P = ports(packet(Udp::new(payload(592))), OTHER, OTHER);
    let (first, last) = (listed.clone().fragment(0..200), listed.clone().fragment(400..600));
    let other_first = other.clone().fragment(0..200);
    let mut rows = Vec::new();
    rows.extend(bypassed("a first fragment with a listed port", &first));
    rows.extend(rewritten("a last fragment without its first", &last));
    rows.extend(rewritten("a first fragment with other ports", &other_first));
    for (direction, wire) in [
        (Direction::Egress, private_out as fn(&P) -> P),
        (Direction::Ingress, public_in as fn(&P) -> P),
    ] {
        let is_out = direction == Direction::Egress;
        let new = if is_out { public_out } else { private_in } as fn(&P) -> P;
        let row = |what: &str, packet: &P| Row::new(direction, what, &wire(packet).to_frame());
        let after_first = |row: Row| row.after(direction, &wire(&first).to_frame());
        rows.push(
            after_first(row("a last fragment after its first", &last))
                .left_alone_as(Reason::Bypass),
        );
        let another = last.clone().identification(0x7777);
        rows.push(
            after_first(row("a last fragment of another datagram", &another))
                .rewritten(&new(&another).to_frame(), 0),
        );
        rows.push(
            after_first(row("a last fragment after its identification came round", &last))
                .after_rewriting(
                    direction,
                    &wire(&other_first).to_frame(),
                    &new(&other_first).to_frame(),
                )
                .rewritten(&new(&last).to_frame(), 0),
        );
        let tcp: P = raw(6, &payload(600));
        let tcp_last = tcp.fragment(400..600);
        rows.push(
            after_first(row("a last fragment of another protocol", &tcp_last))
                .rewritten(&new(&tcp_last).to_frame(), 0),
        );
    }
    // A datagram in the other direction is separate.
    rows.push(
        out("a last fragment out, after a first one in", &last)
            .after(Direction::Ingress, &public_in(&first).to_frame())
            .rewritten(&public_out(&last).to_frame(), 0),
    );
    rows
}

fn errors<P: Packet>() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, packet) in [("there", udp::<P>(OTHER, LISTED)), ("here", udp(LISTED, OTHER))] {
        let about = unreachable::<P>("", packet, 8);
        // The quoted packet left this host unchanged, so the arriving error stays unchanged, too.
        rows.extend(errors_that_arrive(&format!("about a listed port {what}"), &about));
        let what = format!("an error about a listed port {what}");
        rows.push(
            Row::new(Direction::Egress, what, &about.frame(private_out, private_in))
                .rewritten(&about.frame(public_out, private_in), 0),
        );
    }
    let cut = unreachable::<P>("", udp(OTHER, LISTED), 3);
    rows.push(
        Row::new(
            Direction::Ingress,
            "an error that quotes half of a listed port",
            &cut.frame(public_in, public_out),
        )
        .rewritten(&cut.frame(private_in, private_out), 0),
    );
    let other = unreachable::<P>("", udp(OTHER, OTHER), 8);
    rows.push(
        Row::new(
            Direction::Ingress,
            "an error about a port on no list",
            &other.frame(public_in, public_out),
        )
        .rewritten(&other.frame(private_in, private_out), 0),
    );
    rows
}

fn errors_that_arrive<P: Packet>(what: &str, about: &Shape<P>) -> [Row; 2] {
    [
        Row::new(
            Direction::Ingress,
            format!("an error {what}"),
            &about.frame(public_in, public_out),
        )
        .left_alone_as(Reason::Bypass),
        Row::new(
            Direction::Ingress,
            format!("an error of a router {what}"),
            &about.frame(from_to(ROUTER, SRVA.public), public_out),
        )
        .left_alone_as(Reason::Bypass),
    ]
}
