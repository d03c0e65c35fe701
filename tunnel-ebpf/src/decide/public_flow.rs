//! Flows that this host started with public addresses, beside the rewritten ones (an ssh to a
//! peer's public address, say). The peer rewrites both kinds; only the memory of what was sent
//! tells their replies apart.

use tunnel_common::flows::Flow;

use crate::checksum::Addresses;
use crate::packet::Packet;
use crate::parse::icmp;
use crate::parse::ipv4::{Fragment, Ipv4};
use crate::parse::transport::{ICMP, has_ports};
use crate::tables::Tables;

/// Remembers the flow of a packet that leaves with public addresses.
#[inline(always)]
pub fn remember<P: Packet, T: Tables>(packet: &P, ip: &Ipv4, tables: &T) {
    if let Some(flow) = flow(packet, 0, ip, Perspective::Sent) {
        tables.remember(&flow);
    }
}

/// Forgets the flow that a packet to a private address would be on the wire: its ports are now those
/// of a flow with private addresses, and the replies belong to that one.
#[inline(always)]
pub fn forget<P: Packet, T: Tables>(packet: &P, ip: &Ipv4, wire: Addresses, tables: &T) {
    let on_the_wire = Ipv4 { addresses: wire, ..*ip };
    if let Some(flow) = flow(packet, 0, &on_the_wire, Perspective::Sent) {
        tables.forget(&flow);
    }
}

/// Whether a packet that arrives answers a remembered flow.
///
/// The first fragment of such a datagram is remembered by its identification, so that the later
/// ones, which have no ports, follow it.
#[inline(always)]
pub fn is_reply<P: Packet, T: Tables>(packet: &P, ip: &Ipv4, tables: &T) -> bool {
    if ip.fragment == Fragment::Later {
        return tables.remembers(&datagram(ip));
    }
    let known = flow(packet, 0, ip, Perspective::Received).is_some_and(|f| tables.remembers(&f));
    if ip.fragment == Fragment::First {
        if known {
            tables.remember(&datagram(ip));
        } else {
            // An identification comes round again.
            tables.forget(&datagram(ip));
        }
    }
    known
}

/// Whether the quoted packet at `offset` was sent by a remembered flow.
#[inline(always)]
pub fn is_sent<P: Packet, T: Tables>(packet: &P, offset: usize, quoted: &Ipv4, tables: &T) -> bool {
    flow(packet, offset, quoted, Perspective::Sent).is_some_and(|flow| tables.remembers(&flow))
}

/// Bytes of a source and a destination port.
const PORTS_LEN: u32 = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Perspective {
    Sent,
    Received,
}

/// The flow of the packet at `offset`; none for a later fragment, and for an ICMP message other
/// than a request that was sent or a reply that was received.
#[inline(always)]
fn flow<P: Packet>(packet: &P, offset: usize, ip: &Ipv4, perspective: Perspective) -> Option<Flow> {
    if ip.fragment == Fragment::Later {
        return None;
    }
    let (mut local_port, mut peer_port) = ([0; 2], [0; 2]);
    let transport = offset + ip.header_len;
    if has_ports(ip.protocol) {
        // What lies behind a shorter payload are other bytes of the frame.
        if ip.payload_len < PORTS_LEN {
            return None;
        }
        let [s0, s1, d0, d1] = packet.bytes(transport)?;
        (local_port, peer_port) = match perspective {
            Perspective::Sent => ([s0, s1], [d0, d1]),
            Perspective::Received => ([d0, d1], [s0, s1]),
        };
    } else if ip.protocol == ICMP {
        if ip.payload_len < icmp::HEADER_LEN as u32 {
            return None;
        }
        let [message_type] = packet.bytes(transport)?;
        let of_a_flow = match perspective {
            Perspective::Sent => icmp::ECHO_REQUEST,
            Perspective::Received => icmp::ECHO_REPLY,
        };
        if message_type != of_a_flow {
            return None;
        }
        local_port = packet.bytes(transport + icmp::IDENTIFIER_OFFSET)?;
    }
    let Addresses { source, destination } = ip.addresses;
    let (local, peer) = match perspective {
        Perspective::Sent => (source, destination),
        Perspective::Received => (destination, source),
    };
    Some(Flow { local, peer, local_port, peer_port, protocol: ip.protocol, reserved: [0; 3] })
}

/// A datagram's fragments, told apart from flows by `reserved`.
#[inline(always)]
fn datagram(ip: &Ipv4) -> Flow {
    Flow {
        local: ip.addresses.destination,
        peer: ip.addresses.source,
        local_port: ip.identification,
        peer_port: [0; 2],
        protocol: ip.protocol,
        reserved: [1, 0, 0],
    }
}
