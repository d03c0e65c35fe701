//! Tests the link headers: Ethernet with and without VLAN tags, IP over InfiniBand, or no header.

use testkit::packet::ethernet::{ETHERTYPE_ARP, ETHERTYPE_VLAN};
use testkit::packet::{Frame, Icmpv6, Ipv4, Ipv6, Link, Tag, Tcp, Udp};
use tunnel_common::outcome::{Direction, Reason};
use tunnel_common::settings::{INFINIBAND_HEADER_LEN, Settings, VLAN_ANY, VLAN_ONE};

use crate::errors::unreachable;
use crate::family::{Dual, Packet, packet, payload};
use crate::hosts::{
    AT_SRVA, AT_SRVB, ETHERNET, Host, KnownPeer, Member, Own, SRVA, SRVB, STRANGER,
};
use crate::row::{Row, private, private_in, private_out, public, public_in, public_out};

const AT_SRVA_ON_INFINIBAND: Host =
    Host { settings: Settings { link_header_len: INFINIBAND_HEADER_LEN, ..ETHERNET }, ..AT_SRVA };
const AT_SRVB_ON_INFINIBAND: Host = Host { settings: AT_SRVA_ON_INFINIBAND.settings, ..AT_SRVB };

/// Addresses that contain an EtherType. BPF_PROG_TEST_RUN reads the protocol at offset 12, as in an Ethernet frame.
/// Without a link header, offset 12 holds the first half of the IPv4 source address, or the third group of the IPv6
/// source address.
const BARE_A: Member = Member::new(
    "bare-a",
    Dual::new([8, 0, 0, 1], [0xfd00, 0xa, 0x86dd, 0, 0, 0, 0, 1]),
    Dual::new([8, 0, 100, 1], [0x2001, 0xdb8, 0x86dd, 1, 0, 0, 0, 1]),
);
const BARE_B: Member = Member::new(
    "bare-b",
    Dual::new([8, 0, 0, 2], [0xfd00, 0xa, 0x86dd, 0, 0, 0, 0, 2]),
    Dual::new([8, 0, 200, 9], [0x2001, 0xdb8, 0x86dd, 2, 0, 0, 0, 9]),
);
const AT_BARE_A: Host = Host {
    member: BARE_A,
    settings: Settings { link_header_len: 0, ..ETHERNET },
    local: &[Own::of(BARE_A)],
    peers: &[KnownPeer::new(0, BARE_B)],
    ..AT_SRVA
};
const AT_BARE_B: Host = Host {
    member: BARE_B,
    local: &[Own::of(BARE_B)],
    peers: &[KnownPeer::new(0, BARE_A)],
    ..AT_BARE_A
};

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    rows.extend(tags_before_other_things());
    let solicitation: Ipv6 = packet(Icmpv6::neighbour_solicitation(SRVB.private.v6, [2; 6]));
    let in_vlan = |packet: Ipv6| packet.to_frame().tagged(Tag::customer(7));
    rows.push(
        Row::new(
            Direction::Egress,
            "neighbour solicitation in a vlan",
            &in_vlan(private_out(&solicitation)),
        )
        .at(tagged(AT_SRVA))
        .left_alone_as(Reason::NeighborDiscovery),
    );
    rows
}

fn in_family<P: Packet>() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, tags) in tags() {
        let framed = |frame: Frame| tags.iter().fold(frame, |frame, tag| frame.tagged(*tag));
        rows.extend(over::<P>(what, tagged(AT_SRVA), tagged(AT_SRVB), framed));
        rows.extend(of_another_network::<P>(what, framed));
    }
    rows.extend(of_one_vlan::<P>());
    let infiniband = |frame: Frame| frame.over(Link::InfiniBand);
    let (here, there) = (AT_SRVA_ON_INFINIBAND, AT_SRVB_ON_INFINIBAND);
    rows.extend(over::<P>("over infiniband", here, there, infiniband));
    rows.extend(three_tags::<P>());
    rows.extend(without_link_header::<P>());
    rows
}

/// A host that handles frames with any tags.
const fn tagged(host: Host) -> Host {
    Host { settings: Settings { vlan: VLAN_ANY, ..host.settings }, ..host }
}

/// Tagged frames at a host that handles no tags. Their packets belong to a different network, so the programs leave
/// them alone.
fn of_another_network<P: Packet>(what: &str, framed: impl Fn(Frame) -> Frame) -> Vec<Row> {
    let tcp: P = packet(Tcp::new(payload(33)));
    [
        (Direction::Egress, "tcp to a peer", private_out(&tcp)),
        (Direction::Ingress, "tcp from a peer", public_in(&tcp)),
        (Direction::Ingress, "a private address", private_in(&tcp)),
    ]
    .map(|(direction, kind, packet)| {
        Row::new(direction, format!("{kind} {what} of another network"), &framed(packet.to_frame()))
    })
    .into()
}

/// A host that handles one VLAN rewrites only frames that have that VLAN's tag and no other tag.
fn of_one_vlan<P: Packet>() -> Vec<Row> {
    let of_100 = |host: Host| Host {
        settings: Settings { vlan: VLAN_ONE, vlan_id: 100, ..ETHERNET },
        ..host
    };
    let tcp: P = packet(Tcp::new(payload(33)));
    let row = |what: &str, tags: &[Tag]| {
        let framed =
            |packet: P| tags.iter().fold(packet.to_frame(), |frame, tag| frame.tagged(*tag));
        let row = Row::new(Direction::Egress, format!("tcp {what}"), &framed(private_out(&tcp)));
        (row.at(of_100(AT_SRVA)), framed(public_out(&tcp)))
    };
    let (rewritten, after) = row("in the one vlan", &[Tag::customer(100)]);
    let mut rows = vec![rewritten.rewritten(&after, 0).and_back_at(of_100(AT_SRVB))];
    for (what, tags) in [
        ("in another vlan than the one", vec![Tag::customer(101)]),
        ("in no vlan, of a host with one", vec![]),
        ("in the one vlan of a provider's", vec![Tag::provider(200), Tag::customer(100)]),
        ("in a vlan of the one", vec![Tag::provider(100), Tag::customer(7)]),
    ] {
        rows.push(row(what, &tags).0);
    }
    rows
}

fn tags() -> [(&'static str, Vec<Tag>); 8] {
    let priority = Tag { control: 0xe000, ..Tag::customer(0) };
    [
        ("in a vlan", vec![Tag::customer(100)]),
        ("with a priority tag", vec![priority]),
        ("in vlan 4094 of priority 7", vec![Tag { control: 0xfffe, ..Tag::customer(0) }]),
        ("in a provider's vlan", vec![Tag::provider(200)]),
        ("in a vlan of a provider's", vec![Tag::provider(200), Tag::customer(100)]),
        ("in a vlan within a vlan", vec![Tag::customer(200), Tag::customer(100)]),
        ("in a provider's vlan within a provider's", vec![Tag::provider(1), Tag::provider(2)]),
        ("in a provider's vlan within a vlan", vec![Tag::customer(1), Tag::provider(2)]),
    ]
}

/// Each kind of outcome, over one link.
fn over<P: Packet>(
    link: &str,
    here: Host,
    there: Host,
    framed: impl Fn(Frame) -> Frame,
) -> Vec<Row> {
    let framed = |packet: P| framed(packet.to_frame());
    let row = |direction, what: &str, packet: P| {
        Row::new(direction, format!("{what} {link}"), &framed(packet)).at(here)
    };
    let mut rows = Vec::new();
    for (what, packet) in [
        ("tcp", packet::<P>(Tcp::new(payload(33)))),
        ("udp", packet(Udp::new(payload(12)))),
        ("tcp with a longer header", packet::<P>(Tcp::new(payload(33))).longer_header(8)),
        ("echo request", packet(P::echo_request(5, payload(9)))),
        ("a first fragment", packet::<P>(Udp::new(payload(600))).fragment(0..200)),
        ("a last fragment", packet::<P>(Udp::new(payload(600))).fragment(400..600)),
    ] {
        rows.push(
            row(Direction::Egress, what, private_out(&packet))
                .rewritten(&framed(public_out(&packet)), 0)
                .and_back_at(there),
        );
        rows.push(
            row(Direction::Ingress, what, public_in(&packet))
                .rewritten(&framed(private_in(&packet)), 0)
                .and_back_at(there),
        );
    }
    let error = unreachable::<P>("", packet(Udp::new(payload(9))), 8);
    rows.push(
        row(Direction::Egress, "an error", error.packet(private_out, private_in))
            .rewritten(&framed(error.packet(public_out, public_in)), 0)
            .and_back_at(there),
    );
    rows.push(
        row(Direction::Ingress, "an error", error.packet(public_in, public_out))
            .rewritten(&framed(error.packet(private_in, private_out)), 0)
            .and_back_at(there),
    );
    let tcp: P = packet(Tcp::new(payload(33)));
    rows.extend([
        row(Direction::Ingress, "a private address", private_in(&tcp)).dropped_as(Reason::Spoofed),
        row(Direction::Egress, "a stranger", tcp.clone().addressed(STRANGER, SRVB.private))
            .left_alone_as(Reason::ForeignSource),
        row(Direction::Ingress, "a packet that is cut", public_in(&tcp).claiming(900))
            .left_alone_as(Reason::Truncated),
        row(Direction::Egress, "a packet by one byte too short", {
            private_out(&tcp).claiming(P::HEADER_LEN + 20 + 34)
        })
        .left_alone_as(Reason::Truncated),
        row(Direction::Egress, "to a stranger", tcp.clone().addressed(SRVA.private, STRANGER)),
        row(Direction::Ingress, "from a stranger", tcp.addressed(STRANGER, SRVA.public)),
    ]);
    rows
}

/// Frames with three tags, one more than any network uses: the programs leave them alone.
fn three_tags<P: Packet>() -> [Row; 2] {
    let tcp: P = packet(Tcp::new(payload(33)));
    let framed = |packet: P| {
        let tags = [Tag::provider(1), Tag::customer(2), Tag::customer(3)];
        tags.into_iter().fold(packet.to_frame(), Frame::tagged)
    };
    [
        Row::new(Direction::Egress, "tcp with three tags", &framed(private_out(&tcp)))
            .at(tagged(AT_SRVA)),
        Row::new(Direction::Ingress, "tcp with three tags", &framed(public_in(&tcp)))
            .at(tagged(AT_SRVA)),
    ]
}

fn without_link_header<P: Packet>() -> Vec<Row> {
    let framed = |packet: P| packet.to_frame().over(Link::None);
    let row = |direction, what: &str, packet: P| {
        Row::new(direction, format!("{what} without a link header"), &framed(packet)).at(AT_BARE_A)
    };
    let (us, them) = (BARE_A, BARE_B);
    let mut rows = Vec::new();
    for (what, packet) in [
        ("tcp", packet::<P>(Tcp::new(payload(33)))),
        ("udp", packet(Udp::new(payload(12)))),
        ("echo request", packet(P::echo_request(5, payload(9)))),
        ("a last fragment", packet::<P>(Udp::new(payload(600))).fragment(400..600)),
    ] {
        rows.push(
            row(Direction::Egress, what, private(&packet, us, them))
                .rewritten(&framed(public(&packet, us, them)), 0)
                .and_back_at(AT_BARE_B),
        );
        rows.push(
            row(Direction::Ingress, what, public(&packet, them, us))
                .rewritten(&framed(private(&packet, them, us)), 0)
                .and_back_at(AT_BARE_B),
        );
    }
    let tcp: P = packet(Tcp::new(payload(33)));
    rows.push(
        row(Direction::Ingress, "a private address", private(&tcp, them, us))
            .dropped_as(Reason::Spoofed),
    );
    rows
}

fn tags_before_other_things() -> Vec<Row> {
    let mut rows = Vec::new();
    let ipv4: Ipv4 = packet(Tcp::new(payload(33)));
    for (direction, bytes) in [
        (Direction::Egress, private_out(&ipv4).to_bytes()),
        (Direction::Ingress, public_in(&ipv4).to_bytes()),
    ] {
        for (what, frame) in [
            ("arp in a vlan", Frame::new(ETHERTYPE_ARP, bytes.clone()).tagged(Tag::customer(1))),
            ("ipv4 in a vlan, of an unknown ethertype", {
                Frame::new(0x88b5, bytes.clone()).tagged(Tag::customer(1))
            }),
            ("a tag and nothing behind it", {
                Frame::new(ETHERTYPE_VLAN, vec![]).tagged(Tag::customer(1))
            }),
            ("half a tag", Frame::new(ETHERTYPE_VLAN, vec![0, 1])),
            ("ipv4 behind a tag of an old number", {
                let tag = Tag { ethertype: 0x9100, control: 1 };
                Frame::new(0x0800, bytes).tagged(tag)
            }),
        ] {
            rows.push(Row::new(direction, what, &frame).at(tagged(AT_SRVA)));
        }
    }
    rows
}
