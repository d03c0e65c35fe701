//! Summarises the headers of a captured frame.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use etherparse::{
    Icmpv4Type, Icmpv6Type, LaxIpPayloadSlice, LaxNetSlice, LaxSlicedPacket, TcpSlice,
    TransportSlice,
};
use tunnel_common::settings::ETHERNET_HEADER_LEN;

use crate::model::{BypassProtocol, Family};

/// The length in bytes of the ICMP header before a quoted packet.
const QUOTE_OFFSET: usize = 8;
/// The types of ICMP errors (RFC 1122, section 3.2.2).
const ERRORS: [u8; 5] = [3, 4, 5, 11, 12];
/// The types of ICMPv6 errors that the programs know (RFC 4443, section 2.1).
const ERRORS_V6: [u8; 4] = [1, 2, 3, 4];

/// The headers of one IP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketSummary {
    /// The source address.
    pub source: IpAddr,
    /// The destination address.
    pub destination: IpAddr,
    /// The header after the IP header.
    pub transport: TransportHeader,
    /// The identifiers of VLANs, the outer one first.
    pub vlans: Vec<u16>,
    /// The addresses of the packet that an ICMP error quotes, source first.
    pub quoted: Option<[IpAddr; 2]>,
}

/// The header after the IP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportHeader {
    /// TCP, with the ports of the source and the destination, and the flags' names.
    Tcp([u16; 2], String),
    /// UDP, with the ports of the source and the destination.
    Udp([u16; 2]),
    /// SCTP, DCCP or UDP-Lite, with the ports of the source and the destination.
    Ports(BypassProtocol, [u16; 2]),
    /// ICMP or ICMPv6, with the message in words.
    Icmp(Family, String),
    /// Another protocol, a fragment, or a header that is cut off; the number is the IP protocol's.
    Other(u8),
}

impl TransportHeader {
    /// The protocol's name: `tcp`, `udp`, `sctp`, `dccp`, `udplite`, `icmp`, `icmpv6`, or `protocol` with its number.
    #[must_use]
    pub fn protocol(&self) -> String {
        match self {
            Self::Tcp(..) => "tcp".into(),
            Self::Udp(_) => "udp".into(),
            Self::Ports(protocol, _) => protocol.to_string(),
            Self::Icmp(Family::Ipv4, _) => "icmp".into(),
            Self::Icmp(Family::Ipv6, _) => "icmpv6".into(),
            Self::Other(number) => format!("protocol {number}"),
        }
    }

    /// The ports of the source and the destination.
    #[must_use]
    pub const fn ports(&self) -> Option<[u16; 2]> {
        match self {
            Self::Tcp(ports, _) | Self::Udp(ports) | Self::Ports(_, ports) => Some(*ports),
            Self::Icmp(..) | Self::Other(_) => None,
        }
    }

    /// TCP's flags, such as `SYN ACK`, or the ICMP message, such as `echo request`; empty for others.
    #[must_use]
    pub fn flags(&self) -> &str {
        match self {
            Self::Tcp(_, flags) | Self::Icmp(_, flags) => flags,
            Self::Udp(_) | Self::Ports(..) | Self::Other(_) => "",
        }
    }
}

impl PacketSummary {
    /// The IP packet in a frame whose link header has `link_header_len` bytes. `None` without a whole IP header. The
    /// packet may end early.
    #[must_use]
    pub fn of(frame: &[u8], link_header_len: u8) -> Option<Self> {
        let packet = match link_header_len {
            ETHERNET_HEADER_LEN => LaxSlicedPacket::from_ethernet(frame).ok()?,
            len => LaxSlicedPacket::from_ip(frame.get(usize::from(len)..)?).ok()?,
        };
        let net = packet.net.as_ref()?;
        let [source, destination] = addresses(net)?;
        let payload = net.ip_payload_ref()?;
        let vlans = packet.vlan_ids().into_iter().map(etherparse::VlanId::value).collect();
        let quoted = match &packet.transport {
            Some(TransportSlice::Icmpv4(icmp)) => quoted(icmp.slice(), &ERRORS),
            Some(TransportSlice::Icmpv6(icmp)) => quoted(icmp.slice(), &ERRORS_V6),
            _ => None,
        };
        let transport = packet.transport.as_ref();
        let transport = transport.and_then(header).or_else(|| ports(payload));
        let transport = transport.unwrap_or(TransportHeader::Other(payload.ip_number.0));
        Some(Self { source, destination, transport, vlans, quoted })
    }

    /// The addresses of the packet, and of the packet that it quotes.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        [self.source, self.destination].into_iter().chain(self.quoted.into_iter().flatten())
    }

    /// The addresses with their ports: `10.0.0.1:40000 > 10.0.0.2:443`.
    #[must_use]
    pub fn ends(&self) -> String {
        let Self { source, destination, .. } = *self;
        match self.transport.ports() {
            Some([from, to]) => {
                let [from, to] = [(source, from), (destination, to)].map(SocketAddr::from);
                format!("{from} > {to}")
            }
            None => format!("{source} > {destination}"),
        }
    }
}

impl fmt::Display for PacketSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.transport.protocol(), self.ends())?;
        match self.transport.flags() {
            "" => {}
            flags => write!(f, " {flags}")?,
        }
        for vlan in &self.vlans {
            write!(f, " VLAN {vlan}")?;
        }
        match self.quoted {
            Some([source, destination]) => write!(f, " about {source} > {destination}"),
            None => Ok(()),
        }
    }
}

fn addresses(net: &LaxNetSlice<'_>) -> Option<[IpAddr; 2]> {
    match net {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            Some([header.source_addr().into(), header.destination_addr().into()])
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            Some([header.source_addr().into(), header.destination_addr().into()])
        }
        LaxNetSlice::Arp(_) => None,
    }
}

/// The addresses of the packet that an ICMP message quotes, if its type is one of `errors`: a message of another type
/// quotes no packet.
fn quoted(message: &[u8], errors: &[u8]) -> Option<[IpAddr; 2]> {
    if !errors.contains(message.first()?) {
        return None;
    }
    let packet = LaxSlicedPacket::from_ip(message.get(QUOTE_OFFSET..)?).ok()?;
    addresses(packet.net.as_ref()?)
}

fn header(transport: &TransportSlice<'_>) -> Option<TransportHeader> {
    Some(match transport {
        TransportSlice::Tcp(tcp) => {
            TransportHeader::Tcp([tcp.source_port(), tcp.destination_port()], flags(tcp))
        }
        TransportSlice::Udp(udp) => {
            TransportHeader::Udp([udp.source_port(), udp.destination_port()])
        }
        TransportSlice::Icmpv4(icmp) => {
            let message = match icmp.icmp_type() {
                Icmpv4Type::EchoRequest(_) => "echo request".into(),
                Icmpv4Type::EchoReply(_) => "echo reply".into(),
                _ => format!("type {} code {}", icmp.type_u8(), icmp.code_u8()),
            };
            TransportHeader::Icmp(Family::Ipv4, message)
        }
        TransportSlice::Icmpv6(icmp) => {
            let message = match icmp.icmp_type() {
                Icmpv6Type::EchoRequest(_) => "echo request".into(),
                Icmpv6Type::EchoReply(_) => "echo reply".into(),
                _ => format!("type {} code {}", icmp.type_u8(), icmp.code_u8()),
            };
            TransportHeader::Icmp(Family::Ipv6, message)
        }
        TransportSlice::Igmp(_) => return None,
    })
}

/// The header of SCTP (RFC 9260), DCCP (RFC 4340) or UDP-Lite (RFC 3828). Each begins with the ports of the source and
/// the destination. `None` for another protocol and for a fragment.
fn ports(payload: &LaxIpPayloadSlice<'_>) -> Option<TransportHeader> {
    let protocol = BypassProtocol::from_number(payload.ip_number.0)?;
    if payload.fragmented || matches!(protocol, BypassProtocol::Tcp | BypassProtocol::Udp) {
        return None;
    }
    let [a, b, c, d] = *payload.payload.first_chunk()?;
    Some(TransportHeader::Ports(protocol, [[a, b], [c, d]].map(u16::from_be_bytes)))
}

/// The names of the flags that are set.
fn flags(tcp: &TcpSlice<'_>) -> String {
    let flags = [
        (tcp.syn(), "SYN"),
        (tcp.ack(), "ACK"),
        (tcp.psh(), "PSH"),
        (tcp.fin(), "FIN"),
        (tcp.rst(), "RST"),
        (tcp.urg(), "URG"),
        (tcp.ece(), "ECE"),
        (tcp.cwr(), "CWR"),
    ];
    let set: Vec<_> = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name).collect();
    set.join(" ")
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    const A: [u8; 4] = [10, 0, 0, 1];
    const B: [u8; 4] = [10, 0, 0, 2];

    fn ethernet() -> etherparse::PacketBuilderStep<etherparse::Ethernet2Header> {
        PacketBuilder::ethernet2([2; 6], [4; 6])
    }

    fn written(
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), etherparse::err::packet::BuildWriteError>,
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes).unwrap();
        bytes
    }

    fn text(frame: &[u8], link_header_len: u8) -> String {
        PacketSummary::of(frame, link_header_len).map_or_else(String::new, |s| s.to_string())
    }

    #[test]
    fn a_tcp_packet_shows_its_ports_and_flags() {
        let frame = written(|bytes| {
            ethernet().ipv4(A, B, 64).tcp(40000, 24007, 1, 1000).syn().ack(7).write(bytes, &[])
        });
        assert_eq!(text(&frame, 14), "tcp 10.0.0.1:40000 > 10.0.0.2:24007 SYN ACK");
    }

    #[test]
    fn a_cut_datagram_behind_a_vlan_tag_shows_its_ports() {
        let vlan = etherparse::VlanId::try_new(5).unwrap();
        let frame = written(|bytes| {
            ethernet().single_vlan(vlan).ipv4(A, B, 64).udp(5, 6).write(bytes, &[0; 500])
        });
        assert_eq!(text(&frame[..100], 14), "udp 10.0.0.1:5 > 10.0.0.2:6 VLAN 5");
    }

    #[test]
    fn a_packet_without_a_link_header_is_read_from_its_ip_header() {
        let source = "fd00::1".parse::<std::net::Ipv6Addr>().unwrap().octets();
        let frame = written(|bytes| {
            PacketBuilder::ipv6(source, source, 64).icmpv6_echo_request(1, 2).write(bytes, &[])
        });
        assert_eq!(text(&frame, 0), "icmpv6 fd00::1 > fd00::1 echo request");
        let behind = [&[0; 24][..], &frame].concat();
        assert_eq!(text(&behind, 24), "icmpv6 fd00::1 > fd00::1 echo request");
    }

    #[test]
    fn an_error_names_the_packet_that_it_is_about() {
        let quoted = written(|bytes| PacketBuilder::ipv4(A, B, 1).udp(5, 6).write(bytes, &[]));
        let frame = written(|bytes| {
            ethernet()
                .ipv4([192, 0, 2, 9], A, 64)
                .icmpv4(Icmpv4Type::TimeExceeded(
                    etherparse::icmpv4::TimeExceededCode::TtlExceededInTransit,
                ))
                .write(bytes, &quoted)
        });
        let expected = "icmp 192.0.2.9 > 10.0.0.1 type 11 code 0 about 10.0.0.1 > 10.0.0.2";
        assert_eq!(text(&frame, 14), expected);
        let echo = written(|bytes| {
            ethernet().ipv4(B, A, 64).icmpv4_echo_request(1, 2).write(bytes, &quoted)
        });
        assert_eq!(PacketSummary::of(&echo, 14).unwrap().quoted, None);
    }

    #[test]
    fn a_type_that_is_no_error_of_its_family_is_about_no_packet() {
        let quoted_v4 = written(|bytes| PacketBuilder::ipv4(A, B, 1).udp(5, 6).write(bytes, &[]));
        let quotes = |bytes: &[u8]| PacketSummary::of(bytes, 14).unwrap().quoted.is_some();
        let v4 = |kind| {
            written(|bytes| {
                let icmp = ethernet().ipv4(B, A, 64).icmpv4_raw(kind, 0, [0; 4]);
                icmp.write(bytes, &quoted_v4)
            })
        };
        let (a, b) = ([9; 16], [8; 16]);
        let quoted_v6 = written(|bytes| PacketBuilder::ipv6(a, b, 1).udp(5, 6).write(bytes, &[]));
        let v6 = |kind| {
            written(|bytes| {
                let icmp = ethernet().ipv6(b, a, 64).icmpv6_raw(kind, 0, [0; 4]);
                icmp.write(bytes, &quoted_v6)
            })
        };
        let all = 0..=u8::MAX;
        assert_eq!(all.clone().filter(|kind| quotes(&v4(*kind))).collect::<Vec<_>>(), ERRORS);
        assert_eq!(all.filter(|kind| quotes(&v6(*kind))).collect::<Vec<_>>(), ERRORS_V6);
    }

    #[test]
    fn sctp_dccp_and_udp_lite_show_their_ports() {
        let (a, b) = ("fd00::1".parse::<std::net::Ipv6Addr>().unwrap().octets(), [9; 16]);
        for (number, name) in [(132, "sctp"), (33, "dccp"), (136, "udplite")] {
            let header = [0x9c, 0x40, 0x0b, 0x59, 1, 2, 3, 4, 5, 6, 7, 8];
            let number = etherparse::IpNumber(number);
            let v4 = written(|bytes| ethernet().ipv4(A, B, 64).write(bytes, number, &header));
            let wanted = format!("{name} 10.0.0.1:40000 > 10.0.0.2:2905");
            assert_eq!(text(&v4, 14), wanted);
            let v6 = written(|bytes| ethernet().ipv6(a, b, 64).write(bytes, number, &header));
            let wanted = format!("{name} [fd00::1]:40000 > [909:909:909:909:909:909:909:909]:2905");
            assert_eq!(text(&v6, 14), wanted);
            let wanted = format!("protocol {} 10.0.0.1 > 10.0.0.2", number.0);
            assert_eq!(text(&v4[..37], 14), wanted, "cut within the ports");
            let mut later = v4;
            later[21] = 100;
            assert_eq!(text(&later, 14), wanted, "a later fragment");
        }
    }

    #[test]
    fn a_later_fragment_has_no_ports() {
        let mut frame = written(|bytes| ethernet().ipv4(A, B, 64).udp(5, 6).write(bytes, &[0; 64]));
        frame[21] = 100;
        assert_eq!(text(&frame, 14), "protocol 17 10.0.0.1 > 10.0.0.2");
    }

    #[test]
    fn a_frame_of_any_length_is_read_without_a_panic() {
        let frame =
            written(|bytes| ethernet().ipv4(A, B, 64).tcp(1, 2, 3, 4).write(bytes, &[9; 9]));
        for len in 0..34 {
            assert_eq!(text(&frame[..len], 14), "", "{len}");
        }
        for len in 34..54 {
            let expected = "protocol 6 10.0.0.1 > 10.0.0.2";
            assert_eq!(text(&frame[..len], 14), expected, "{len}");
        }
    }
}
