//! ICMP errors about rewritten packets: the quote becomes what the other side knows.
//!
//! Each shape goes three ways: from srva to srvb about a packet of srvb, from srvb to srva about a
//! packet of srva, and from a router to srva about a packet of srva.

use tests::packet::icmp::{
    PARAMETER_PROBLEM, PORT, REDIRECT, SOURCE_QUENCH, TIME_EXCEEDED, UNREACHABLE,
};
use tests::packet::{Dccp, Frame, IcmpEcho, IcmpError, Ipv4, Sctp, Tcp, Udp, UdpChecksum, UdpLite};
use tunnel_common::outcome::Direction;

use crate::hosts::{AT_SRVA_BEHIND_NAT, AT_SRVB, ROUTER, SRVA, SRVB, UNDERLAY_BEHIND_NAT};
use crate::protocols::{packet, payload, raw};
use crate::row::{Row, private_in, private_out, public_in, public_out};

/// An error as a shape: no addresses yet.
pub struct Shape {
    /// What it is.
    pub what: &'static str,
    /// The packet with the error.
    pub outer: Ipv4,
    /// The error, its quote still to be filled in.
    pub error: IcmpError,
    /// The quoted packet.
    pub quoted: Ipv4,
    /// How many bytes of the quoted packet's transport header and payload are there.
    pub kept: usize,
    /// What follows the quote within the message.
    pub extension: Vec<u8>,
    /// What follows the message in the frame.
    pub trailer: Vec<u8>,
}

/// The first `kept` bytes behind the header of `packet`, and the header.
pub fn quote(packet: &Ipv4, kept: usize) -> Vec<u8> {
    let mut bytes = packet.to_bytes();
    bytes.truncate(20 + packet.options.len() + kept);
    bytes
}

/// A shape of an unremarkable packet with an error.
pub fn shape(what: &'static str, error: IcmpError, quoted: Ipv4, kept: usize) -> Shape {
    Shape {
        what,
        outer: packet(error.clone()).traffic_class(0xc0),
        error,
        quoted,
        kept,
        extension: Vec::new(),
        trailer: Vec::new(),
    }
}

/// Port unreachable, still without a quote.
pub fn port_unreachable() -> IcmpError {
    IcmpError::new(UNREACHABLE, PORT, Vec::new())
}

impl Shape {
    /// The frame with the error, `outer` and `quoted` giving their packet its addresses.
    pub fn frame(&self, outer: impl Fn(&Ipv4) -> Ipv4, quoted: impl Fn(&Ipv4) -> Ipv4) -> Frame {
        let mut bytes = quote(&quoted(&self.quoted), self.kept);
        bytes.extend(&self.extension);
        let error = self.error.clone().quoting(bytes);
        outer(&self.outer.clone().carrying(error)).to_frame().trailer(self.trailer.clone())
    }

    /// From srva to srvb.
    pub fn out(&self) -> Row {
        let here = self.frame(private_out, private_in);
        Row::new(Direction::Egress, self.what, &here)
            .rewritten(&self.frame(public_out, public_in), 0)
            .and_back_at(AT_SRVB)
    }

    /// From srvb to srva.
    pub fn inward(&self) -> Row {
        let wire = self.frame(public_in, public_out);
        Row::new(Direction::Ingress, self.what, &wire)
            .rewritten(&self.frame(private_in, private_out), 0)
            .and_back_at(AT_SRVB)
    }

    /// From a router to srva.
    pub fn by_router(&self) -> Row {
        let wire = self.frame(|outer| outer.clone().between(ROUTER, SRVA.public), public_out);
        let here = self.frame(|outer| outer.clone().between(ROUTER, SRVA.private), private_out);
        let what = format!("{}, from a router", self.what);
        Row::new(Direction::Ingress, what, &wire).rewritten(&here, 0)
    }
}

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for shape in kinds()
        .into_iter()
        .chain(quoted_udp_and_tcp())
        .chain(half_checksums())
        .chain(quoted_protocols())
        .chain(around_the_quote())
    {
        rows.extend([shape.out(), shape.inward(), shape.by_router()]);
    }
    rows.extend(checksums_of_zero());
    rows.extend(behind_nat());
    rows
}

fn kinds() -> Vec<Shape> {
    let tcp = packet(Tcp::new(payload(1460))).dont_fragment();
    let udp = packet(Udp::new(payload(20)));
    let error = |kind, code| IcmpError::new(kind, code, Vec::new());
    let gateway = [198, 51, 100, 7];
    vec![
        shape(
            "fragmentation needed, 8 bytes of tcp",
            IcmpError::fragmentation_needed(1400, vec![]),
            tcp.clone(),
            8,
        ),
        shape("port unreachable, 8 bytes of udp", port_unreachable(), udp.clone(), 8),
        shape("host unreachable", error(UNREACHABLE, 1), udp.clone(), 8),
        shape("time exceeded", error(TIME_EXCEEDED, 0), udp.clone().ttl(1), 8),
        shape("reassembly time exceeded", error(TIME_EXCEEDED, 1), udp.clone(), 8),
        shape("source quench", error(SOURCE_QUENCH, 0), udp.clone(), 8),
        shape("redirect", error(REDIRECT, 1).rest_of_header(gateway), tcp, 8),
        shape(
            "parameter problem",
            error(PARAMETER_PROBLEM, 0).rest_of_header([8, 0, 0, 0]),
            udp,
            8,
        ),
    ]
}

fn quoted_udp_and_tcp() -> Vec<Shape> {
    let error = port_unreachable;
    let tcp = packet(Tcp::new(payload(900)));
    let udp = packet(Udp::new(payload(41)));
    let absent = udp.clone().carrying(Udp::new(payload(41)).checksum(UdpChecksum::Absent));
    let wrong = udp.clone().carrying(Udp::new(payload(41)).checksum(UdpChecksum::Damaged(0x0202)));
    vec![
        shape("the whole udp datagram", error(), udp.clone(), 49),
        shape("udp without checksum, 8 bytes", error(), absent.clone(), 8),
        shape("udp without checksum, whole", error(), absent, 49),
        shape("udp with a wrong checksum", error(), wrong, 8),
        shape("the header alone", error(), udp.clone(), 0),
        shape("udp, 4 bytes: the ports", error(), udp.clone(), 4),
        shape("udp, 6 bytes: all but the checksum", error(), udp.clone(), 6),
        shape("udp, 9 bytes", error(), udp, 9),
        shape("tcp, 16 bytes: all but the checksum", error(), tcp.clone(), 16),
        shape("tcp, 18 bytes: the checksum at the end", error(), tcp.clone(), 18),
        shape("tcp, its header", error(), tcp.clone(), 20),
        shape("tcp, 528 bytes", error(), tcp, 528),
        shape("a whole tcp syn", error(), packet(Tcp::syn()), 36),
    ]
}

fn quoted_protocols() -> Vec<Shape> {
    let error = port_unreachable;
    let udp = packet(Udp::new(payload(592)));
    let options = udp.clone().options(payload(12));
    let longest = packet(Tcp::new(payload(50))).options(payload(40));
    let later = udp.clone().fragment(200..400);
    vec![
        shape("quoted options, 8 bytes of udp", error(), options, 8),
        shape("quoted header of 15 words, 20 bytes of tcp", error(), longest, 20),
        shape("quoted first fragment", error(), udp.clone().fragment(0..200), 8),
        shape("quoted later fragment", error(), later.clone(), 8),
        shape("quoted later fragment, whole", error(), later, 200),
        shape("quoted wrong header checksum", error(), udp.clone().checksum_error(0x0303), 8),
        shape("quoted header checksum 17 off, 528 bytes", error(), udp.checksum_error(0x1100), 528),
        shape("quoted udp-lite", error(), packet(UdpLite::new(payload(9))), 8),
        shape("quoted dccp, 8 bytes", error(), packet(Dccp::request(payload(9))), 8),
        shape("quoted dccp, whole", error(), packet(Dccp::data(payload(9))), 21),
        shape("quoted sctp", error(), packet(Sctp::new(payload(30))), 42),
        shape("quoted echo request", error(), packet(IcmpEcho::request(77, payload(56))), 64),
        shape("quoted gre", error(), raw(47, &payload(20)), 8),
        shape("quoted protocol 253", error(), raw(253, &payload(20)), 20),
    ]
}

/// A checksum whose lower half is cut off can't be mended: it stays what it was.
fn half_checksums() -> [Shape; 2] {
    let udp = packet(Udp::new(payload(41)));
    let tcp = packet(Tcp::new(payload(900)));
    let mut half_of_udp = shape("udp, 7 bytes: half of the checksum", port_unreachable(), udp, 6);
    half_of_udp.extension = vec![0xab];
    let mut half_of_tcp = shape("tcp, 17 bytes: half of the checksum", port_unreachable(), tcp, 16);
    half_of_tcp.extension = vec![0xcd];
    [half_of_udp, half_of_tcp]
}

fn around_the_quote() -> Vec<Shape> {
    let udp = packet(Udp::new(payload(4)));
    let plain = |what| shape(what, port_unreachable(), udp.clone(), 12);
    let mut with_options = plain("an error with ip options");
    with_options.outer = with_options.outer.options(payload(8));
    let mut with_df = plain("an error with df and ttl 3");
    with_df.outer = with_df.outer.dont_fragment().ttl(3);
    let mut wrong = plain("an error with a wrong checksum: it stays as wrong");
    wrong.error = wrong.error.checksum_error(0x0707);
    let mut trailed = plain("the header alone, and bytes after the packet");
    trailed.kept = 0;
    trailed.trailer = payload(30);
    let mut fragment = plain("the first fragment of an error");
    fragment.quoted = packet(Tcp::new(payload(700)));
    fragment.kept = 528;
    fragment.outer = fragment.outer.fragment(0..240);
    let mut extended = plain("an error with an extension (rfc 4884)");
    extended.error = IcmpError::new(TIME_EXCEEDED, 0, vec![]).rest_of_header([0, 32, 0, 0]);
    // The quote of 32 bytes padded to 128, and an MPLS label in an extension with its own checksum.
    extended.extension = vec![0; 96];
    extended.extension.extend([0x20, 0, 0x6e, 0xd9, 0, 8, 1, 1, 0x12, 0x34, 0x51, 1]);
    vec![with_options, with_df, wrong, trailed, fragment, extended]
}

/// Quoted UDP checksums that read 0xffff on one side, and TCP's that read 0.
fn checksums_of_zero() -> Vec<Row> {
    let udp = Udp::new(payload(30));
    let tcp = Tcp::new(payload(30));
    let (us, them) = (SRVA, SRVB);
    let about_udp = |what, udp| shape(what, port_unreachable(), packet(udp), 38);
    let about_tcp = |what, tcp| shape(what, port_unreachable(), packet(tcp), 50);
    let before = "quoted udp, ffff before";
    let after = "quoted udp, computes to 0 after, so is ffff";
    let tcp_after = "quoted tcp, computes to 0 after and stays 0";
    let ours_public = about_udp(before, udp.clone().summing_to_zero(us.public, them.public));
    let ours_private = about_udp(after, udp.clone().summing_to_zero(us.private, them.private));
    let tcp_private = about_tcp(tcp_after, tcp.clone().summing_to_zero(us.private, them.private));
    vec![
        about_udp(before, udp.clone().summing_to_zero(them.private, us.private)).out(),
        about_udp(after, udp.summing_to_zero(them.public, us.public)).out(),
        about_tcp(tcp_after, tcp.summing_to_zero(them.public, us.public)).out(),
        ours_public.inward(),
        ours_public.by_router(),
        ours_private.inward(),
        ours_private.by_router(),
        tcp_private.inward(),
        tcp_private.by_router(),
    ]
}

fn behind_nat() -> Vec<Row> {
    let udp = shape(
        "8 bytes of udp, behind a 1:1 nat",
        port_unreachable(),
        packet(Udp::new(payload(30))),
        8,
    );
    let underlay = UNDERLAY_BEHIND_NAT;
    let out = |packet: &Ipv4| packet.clone().between(underlay, SRVB.public);
    let inward = |packet: &Ipv4| packet.clone().between(SRVB.public, underlay);
    let router = |address| move |packet: &Ipv4| packet.clone().between(ROUTER, address);
    let from_router = format!("{}, from a router", udp.what);
    vec![
        Row::new(Direction::Egress, udp.what, &udp.frame(private_out, private_in))
            .at(AT_SRVA_BEHIND_NAT)
            .rewritten(&udp.frame(out, inward), 0)
            .and_back_from(AT_SRVB, udp.frame(public_out, public_in).to_bytes()),
        Row::new(Direction::Ingress, udp.what, &udp.frame(inward, out))
            .at(AT_SRVA_BEHIND_NAT)
            .rewritten(&udp.frame(private_in, private_out), 0),
        Row::new(Direction::Ingress, from_router, &udp.frame(router(underlay), out))
            .at(AT_SRVA_BEHIND_NAT)
            .rewritten(&udp.frame(router(SRVA.private), private_out), 0),
    ]
}
