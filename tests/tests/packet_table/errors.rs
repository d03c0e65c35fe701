//! Tests ICMP errors about rewritten packets: the programs also rewrite the addresses in the quote, so that the
//! receiver recognises its own packet.

use testkit::packet::{
    Dccp, Frame, IcmpError, Icmpv6, Ipv4, Ipv6, Sctp, Tcp, Transport, Udp, UdpChecksum, UdpLite,
    icmp, icmpv6,
};
use tunnel_common::outcome::Direction;

use crate::family::{Dual, Packet, packet, payload, quote, quoting, raw};
use crate::hosts::{AT_SRVA_BEHIND_NAT, AT_SRVB, ROUTER, SRVA, SRVB, UNDERLAY_BEHIND_NAT};
use crate::row::{Row, private_in, private_out, public_in, public_out};

/// An ICMP error whose addresses are not yet set.
#[derive(Clone)]
pub struct Shape<P> {
    /// A readable name.
    pub what: String,
    /// The packet with the error, whose quote is still empty.
    pub outer: P,
    /// The quoted packet.
    pub quoted: P,
    /// The number of quoted bytes of the transport header and payload.
    pub kept: usize,
    /// The length of the quote, if it is cut within its headers.
    pub cut: Option<usize>,
    /// The bytes after the quote within the message.
    pub extension: Vec<u8>,
    /// The bytes after the message in the frame.
    pub trailer: Vec<u8>,
}

/// An error that quotes the headers of `quoted` and `kept` bytes after them. It has no extension and no trailer.
pub fn shape<P: Packet>(
    what: impl Into<String>,
    error: impl Into<Transport>,
    quoted: P,
    kept: usize,
) -> Shape<P> {
    Shape {
        what: what.into(),
        outer: packet::<P>(error).traffic_class(0xc0),
        quoted,
        kept,
        cut: None,
        extension: Vec::new(),
        trailer: Vec::new(),
    }
}

/// The error "port unreachable" about `quoted`: see [`shape`].
pub fn unreachable<P: Packet>(what: impl Into<String>, quoted: P, kept: usize) -> Shape<P> {
    shape(what, P::port_unreachable(vec![]), quoted, kept)
}

impl<P: Packet> Shape<P> {
    /// The packet with the error. `outer` and `quoted` set the addresses of their packets.
    pub fn packet(&self, outer: impl Fn(&P) -> P, quoted: impl Fn(&P) -> P) -> P {
        let mut bytes = quote(&quoted(&self.quoted), self.kept);
        if let Some(len) = self.cut {
            bytes.truncate(len);
        }
        bytes.extend(&self.extension);
        let error = quoting(self.outer.transport(), bytes);
        outer(&self.outer.clone().carrying(error))
    }

    /// The packet with the error, in a frame.
    pub fn frame(&self, outer: impl Fn(&P) -> P, quoted: impl Fn(&P) -> P) -> Frame {
        self.packet(outer, quoted).to_frame().trailer(self.trailer.clone())
    }

    /// The row for the error from srva to srvb.
    pub fn out(&self) -> Row {
        let here = self.frame(private_out, private_in);
        Row::new(Direction::Egress, &self.what, &here)
            .rewritten(&self.frame(public_out, public_in), 0)
            .and_back_at(AT_SRVB)
    }

    /// The row for the error from srvb to srva.
    pub fn inward(&self) -> Row {
        let wire = self.frame(public_in, public_out);
        Row::new(Direction::Ingress, &self.what, &wire)
            .rewritten(&self.frame(private_in, private_out), 0)
            .and_back_at(AT_SRVB)
    }

    /// The row for the error from a router to srva.
    pub fn by_router(&self) -> Row {
        let wire = self.frame(from_to(ROUTER, SRVA.public), public_out);
        let here = self.frame(from_to(ROUTER, SRVA.private), private_out);
        let what = format!("{}, from a router", self.what);
        Row::new(Direction::Ingress, what, &wire).rewritten_for_router(&here, 0)
    }

    /// Three rows: from srva to srvb about a packet of srvb, from srvb to srva about a packet of srva, and from a
    /// router to srva about a packet of srva.
    pub fn three_ways(&self) -> [Row; 3] {
        [self.out(), self.inward(), self.by_router()]
    }
}

/// Sets the source and destination of a packet.
pub fn from_to<P: Packet>(source: Dual, destination: Dual) -> impl Fn(&P) -> P {
    move |packet| packet.clone().addressed(source, destination)
}

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    rows.extend(kinds_of_ipv4().iter().flat_map(Shape::three_ways));
    rows.extend(quoted_by_ipv4().iter().flat_map(Shape::three_ways));
    rows.extend(kinds_of_ipv6().iter().flat_map(Shape::three_ways));
    rows
}

fn in_family<P: Packet>() -> Vec<Row> {
    let mut rows: Vec<Row> = quoted_udp_and_tcp::<P>()
        .into_iter()
        .chain(half_checksums())
        .chain(quoted_protocols())
        .chain(around_the_quote())
        .flat_map(|shape| shape.three_ways())
        .collect();
    rows.extend(behind_nat::<P>());
    rows
}

fn kinds_of_ipv4() -> Vec<Shape<Ipv4>> {
    let tcp = packet::<Ipv4>(Tcp::new(payload(1460))).dont_fragment();
    let udp: Ipv4 = packet(Udp::new(payload(20)));
    let error = |kind, code| IcmpError::new(kind, code, Vec::new());
    let problem = error(icmp::PARAMETER_PROBLEM, 0).rest_of_header([8, 0, 0, 0]);
    let redirect = error(icmp::REDIRECT, 1).rest_of_header([198, 51, 100, 7]);
    vec![
        shape("fragmentation needed", Ipv4::too_big(1400, vec![]), tcp.clone(), 8),
        shape("host unreachable", error(icmp::UNREACHABLE, 1), udp.clone(), 8),
        shape("time exceeded", error(icmp::TIME_EXCEEDED, 0), udp.clone().ttl(1), 8),
        shape("reassembly time exceeded", error(icmp::TIME_EXCEEDED, 1), udp.clone(), 8),
        shape("source quench", error(icmp::SOURCE_QUENCH, 0), udp.clone(), 8),
        shape("redirect", redirect, tcp, 8),
        shape("parameter problem", problem, udp, 8),
    ]
}

fn kinds_of_ipv6() -> Vec<Shape<Ipv6>> {
    let tcp: Ipv6 = packet(Tcp::new(payload(1440)));
    let udp: Ipv6 = packet(Udp::new(payload(20)));
    let error = |kind, code| Icmpv6::new(kind, code, Vec::new());
    let problem = |code| Icmpv6::parameter_problem(code, 6, Vec::new());
    let mut shapes = vec![
        shape("packet too big, 8 bytes", Icmpv6::packet_too_big(1400, vec![]), tcp.clone(), 8),
        shape("packet too big, 1192 bytes", Icmpv6::packet_too_big(1280, vec![]), tcp, 1192),
        shape("hop limit exceeded", error(icmpv6::TIME_EXCEEDED, 0), udp.clone(), 8),
        shape("reassembly time exceeded", error(icmpv6::TIME_EXCEEDED, 1), udp.clone(), 8),
    ];
    for code in 0..=6 {
        let what = format!("unreachable, code {code}");
        shapes.push(shape(what, error(icmpv6::UNREACHABLE, code), udp.clone(), 8));
    }
    for code in 0..=3 {
        shapes.push(shape(format!("parameter problem {code}"), problem(code), udp.clone(), 8));
    }
    shapes
}

fn quoted_udp_and_tcp<P: Packet>() -> Vec<Shape<P>> {
    let tcp: P = packet(Tcp::new(payload(900)));
    let udp: P = packet(Udp::new(payload(41)));
    let absent = udp.clone().carrying(Udp::new(payload(41)).checksum(UdpChecksum::Absent));
    let wrong = udp.clone().carrying(Udp::new(payload(41)).checksum(UdpChecksum::Damaged(0x0202)));
    vec![
        unreachable("the whole udp datagram", udp.clone(), 49),
        unreachable("udp without checksum, 8 bytes", absent.clone(), 8),
        unreachable("udp without checksum, whole", absent, 49),
        unreachable("udp with a wrong checksum", wrong, 8),
        unreachable("the header alone", udp.clone(), 0),
        unreachable("udp, 1 byte", udp.clone(), 1),
        unreachable("udp, 4 bytes: the ports", udp.clone(), 4),
        unreachable("udp, 6 bytes: all but the checksum", udp.clone(), 6),
        unreachable("udp, 8 bytes", udp.clone(), 8),
        unreachable("udp, 9 bytes", udp, 9),
        unreachable("tcp, 8 bytes", tcp.clone(), 8),
        unreachable("tcp, 16 bytes: all but the checksum", tcp.clone(), 16),
        unreachable("tcp, 18 bytes: the checksum at the end", tcp.clone(), 18),
        unreachable("tcp, its header", tcp.clone(), 20),
        unreachable("tcp, 528 bytes", tcp.clone(), 528),
        unreachable("tcp, 529 bytes", tcp, 529),
        unreachable("a whole tcp syn", packet(Tcp::syn()), 36),
    ]
}

/// The programs can't update a checksum whose lower half is cut off. `extension` is the upper half: it stays unchanged.
fn half_checksums<P: Packet>() -> [Shape<P>; 2] {
    let mut half_of_udp =
        unreachable("udp, 7 bytes: half of the checksum", packet(Udp::new(payload(41))), 6);
    half_of_udp.extension = vec![0xab];
    let mut half_of_tcp =
        unreachable("tcp, 17 bytes: half of the checksum", packet(Tcp::new(payload(900))), 16);
    half_of_tcp.extension = vec![0xcd];
    [half_of_udp, half_of_tcp]
}

fn quoted_protocols<P: Packet>() -> Vec<Shape<P>> {
    let udp: P = packet(Udp::new(payload(592)));
    let echo: P = packet(P::echo_request(77, payload(56)));
    let later = udp.clone().fragment(200..400);
    vec![
        unreachable("quoted longer header, 8 bytes of udp", udp.clone().longer_header(16), 8),
        unreachable(
            "quoted header 40 longer, 20 bytes of tcp",
            packet::<P>(Tcp::new(payload(50))).longer_header(40),
            20,
        ),
        unreachable("quoted first fragment", udp.fragment(0..200), 8),
        unreachable("quoted later fragment", later.clone(), 8),
        unreachable("quoted later fragment, whole", later, 200),
        unreachable("quoted udp-lite", packet(UdpLite::new(payload(9))), 8),
        unreachable("quoted dccp, 8 bytes", packet(Dccp::request(payload(9))), 8),
        unreachable("quoted dccp, whole", packet(Dccp::data(payload(9))), 21),
        unreachable("quoted sctp", packet(Sctp::new(payload(30))), 42),
        unreachable("quoted echo request", echo.clone(), 64),
        unreachable("quoted echo request, 8 bytes", echo.clone(), 8),
        unreachable("quoted echo request, 2 bytes", echo, 2),
        unreachable("quoted gre", raw(47, &payload(20)), 8),
        unreachable("quoted protocol 253", raw(253, &payload(20)), 20),
        unreachable(
            "quoted error",
            packet(P::port_unreachable(packet::<P>(Udp::new(payload(9))).to_bytes())),
            64,
        ),
    ]
}

fn quoted_by_ipv4() -> Vec<Shape<Ipv4>> {
    let udp: Ipv4 = packet(Udp::new(payload(592)));
    vec![
        unreachable("quoted wrong header checksum", udp.clone().checksum_error(0x0303), 8),
        unreachable(
            "quoted header checksum 17 off, 528 bytes",
            udp.clone().checksum_error(0x1100),
            528,
        ),
        {
            let mut with_df = unreachable("an error with df and ttl 3", udp, 12);
            with_df.outer = with_df.outer.dont_fragment().ttl(3);
            with_df
        },
    ]
}

fn around_the_quote<P: Packet>() -> Vec<Shape<P>> {
    let udp: P = packet(Udp::new(payload(4)));
    let plain = |what| unreachable(what, udp.clone(), 12);
    let mut longer = plain("an error with a longer header");
    longer.outer = longer.outer.longer_header(8);
    let mut wrong = plain("an error with a wrong checksum: it stays as wrong");
    wrong.outer = wrong.outer.clone().carrying(match wrong.outer.transport().clone() {
        Transport::IcmpError(error) => Transport::from(error.checksum_error(0x0707)),
        Transport::Icmpv6(error) => error.checksum_error(0x0707).into(),
        other => other,
    });
    let mut trailed = plain("the header alone, and bytes after the packet");
    trailed.kept = 0;
    trailed.trailer = payload(30);
    let mut fragment = plain("the first fragment of an error");
    fragment.quoted = packet(Tcp::new(payload(700)));
    fragment.kept = 528;
    fragment.outer = fragment.outer.fragment(0..240);
    let mut extended = plain("an error with an extension (rfc 4884)");
    extended.outer = packet(P::extended_error(vec![]));
    // The quote is padded to 128 bytes. The extension holds an MPLS label and has its own checksum.
    extended.extension = vec![0; 128 - 12 - P::HEADER_LEN];
    extended.extension.extend([0x20, 0, 0x6e, 0xd9, 0, 8, 1, 1, 0x12, 0x34, 0x51, 1]);
    vec![longer, wrong, trailed, fragment, extended]
}

fn behind_nat<P: Packet>() -> [Row; 3] {
    let what = "8 bytes of udp, behind a 1:1 nat";
    let udp = unreachable::<P>(what, packet(Udp::new(payload(30))), 8);
    let out = from_to(UNDERLAY_BEHIND_NAT, SRVB.public);
    let inward = from_to(SRVB.public, UNDERLAY_BEHIND_NAT);
    let by_router = |to| from_to(ROUTER, to);
    [
        Row::new(Direction::Egress, what, &udp.frame(private_out, private_in))
            .at(AT_SRVA_BEHIND_NAT)
            .rewritten(&udp.frame(&out, &inward), 0)
            .and_back_from(AT_SRVB, udp.frame(public_out, public_in).to_bytes()),
        Row::new(Direction::Ingress, what, &udp.frame(&inward, &out))
            .at(AT_SRVA_BEHIND_NAT)
            .rewritten(&udp.frame(private_in, private_out), 0),
        Row::new(
            Direction::Ingress,
            format!("{what}, from a router"),
            &udp.frame(by_router(UNDERLAY_BEHIND_NAT), &out),
        )
        .at(AT_SRVA_BEHIND_NAT)
        .rewritten_for_router(&udp.frame(by_router(SRVA.private), private_out), 0),
    ]
}
