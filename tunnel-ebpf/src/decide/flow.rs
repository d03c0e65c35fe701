//! Remembers flows in which this host's own underlay address is an end point: for example an ssh session to a peer's
//! public address, or a socket that is bound to this host's underlay address and dials a peer's private address. The
//! peer rewrites these flows like flows with private addresses, so this host can distinguish the replies only by the
//! packets that it has sent.

use tunnel_common::flows::{DATAGRAM, FLOW, Flow};
use tunnel_common::outcome::Reason;

use crate::address::{Address, Addresses};
use crate::family::{Family, Octets};
use crate::packet::Packet;
use crate::parse::icmp::{self, Message};
use crate::parse::ip::{Fragment, Ip};
use crate::parse::transport::{TCP, UDP, ports};
use crate::tables::{FlowAction, Tables};

/// Inserts the flow of a packet, with the action for replies. `wire` are the packet's addresses on the wire, `private`
/// are the corresponding private addresses.
///
/// Without an action, the packet is from a private address, and this function deletes the packet's flow: the ports and
/// the replies now belong to a flow with private addresses.
///
/// Returns true if the packet belongs to a flow that the programs can insert.
///
/// # Errors
/// [`Reason::PortConflict`] if the flow is new and a socket has the same ports between the private addresses. On
/// the wire, both would be one flow, and any local user could receive the socket's replies.
#[inline(always)]
pub fn note<F: Family, P: Packet, T: Tables<F::Address>>(
    packet: &P,
    ip: &Ip<F::Address>,
    wire: Addresses<F::Address>,
    private: &Addresses<F::Address>,
    tables: &T,
    action: Option<FlowAction>,
) -> Result<bool, Reason> {
    let Some(flow) = flow::<F, P>(packet, 0, ip, wire, Perspective::Sent) else {
        return Ok(false);
    };
    match action {
        Some(action) => {
            let has_ports = matches!(flow.protocol, TCP | UDP);
            if has_ports && tables.lookup_flow(&flow).is_none() && packet.has_socket(&flow, private)
            {
                return Err(Reason::PortConflict);
            }
            tables.insert_flow(&flow, action);
        }
        None => tables.delete_flow(&flow),
    }
    Ok(true)
}

/// The action for a packet that answers a known flow; `None` for any other packet.
///
/// If the packet is a first fragment, this function remembers the datagram's identification: the later fragments, which
/// have no ports, get the first fragment's action.
#[inline(always)]
pub fn of_reply<F: Family, P: Packet, T: Tables<F::Address>>(
    packet: &P,
    ip: &Ip<F::Address>,
    tables: &T,
) -> Option<FlowAction> {
    if ip.fragment == Fragment::Later {
        return tables.lookup_flow(&datagram(ip));
    }
    let flow = flow::<F, P>(packet, 0, ip, ip.addresses, Perspective::Received);
    let action = flow.and_then(|flow| tables.lookup_flow(&flow));
    if ip.fragment == Fragment::First {
        match action {
            Some(action) => tables.insert_flow(&datagram(ip), action),
            // IP IDs wrap: drop the stale entry of a reused ID.
            None => tables.delete_flow(&datagram(ip)),
        }
    }
    action
}

/// The action for replies to the quoted packet at `offset`, if the quoted packet belongs to a known flow.
#[inline(always)]
pub fn of_sent<F: Family, P: Packet, T: Tables<F::Address>>(
    packet: &P,
    offset: usize,
    quoted: &Ip<F::Address>,
    tables: &T,
) -> Option<FlowAction> {
    let flow = flow::<F, P>(packet, offset, quoted, quoted.addresses, Perspective::Sent)?;
    tables.lookup_flow(&flow)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Perspective {
    Sent,
    Received,
}

/// The flow of the packet at `offset`, between the addresses `wire`; `None` for a later fragment, for a move notice
/// or path probe, and for an ICMP message that is neither a sent echo request nor a received echo reply.
#[inline(always)]
fn flow<F: Family, P: Packet>(
    packet: &P,
    offset: usize,
    ip: &Ip<F::Address>,
    wire: Addresses<F::Address>,
    perspective: Perspective,
) -> Option<Flow<Octets<F>>> {
    if ip.fragment == Fragment::Later {
        return None;
    }
    let (mut source_port, mut destination_port) = ([0; 2], [0; 2]);
    if crate::parse::transport::has_ports(ip.protocol) {
        // Never read ports past payload_len: padding follows.
        (source_port, destination_port) = ports(packet, offset, ip)?;
    } else if ip.protocol == F::ICMP {
        if ip.payload_len < icmp::HEADER_LEN as u32 {
            return None;
        }
        let transport = offset + ip.header_len;
        let [message_type] = packet.bytes(transport)?;
        let of_a_flow = match perspective {
            Perspective::Sent => Message::EchoRequest,
            Perspective::Received => Message::EchoReply,
        };
        if F::message(message_type) != of_a_flow {
            return None;
        }
        // Move notices and path probes, which their payloads identify, belong to no flow.
        if icmp::is_notice(packet, transport, ip) || icmp::is_probe(packet, transport, ip) {
            return None;
        }
        let identifier = packet.bytes(transport + icmp::IDENTIFIER_OFFSET)?;
        match perspective {
            Perspective::Sent => source_port = identifier,
            Perspective::Received => destination_port = identifier,
        }
    }
    let (local, peer, local_port, peer_port) = match perspective {
        Perspective::Sent => (wire.source, wire.destination, source_port, destination_port),
        Perspective::Received => (wire.destination, wire.source, destination_port, source_port),
    };
    let (local, peer) = (local.octets(), peer.octets());
    let (protocol, kind, reserved) = (ip.protocol, FLOW, [0; 2]);
    Some(Flow { local, peer, local_port, peer_port, protocol, kind, reserved })
}

/// The key for a datagram's fragments. In both directions, the key has the addresses in the packet's order, source
/// first: an arriving datagram and a departing datagram may have the same identification.
#[inline(always)]
pub(super) fn datagram<A: Address>(ip: &Ip<A>) -> Flow<A::Octets> {
    let [i0, i1, i2, i3] = ip.identification;
    Flow {
        local: ip.addresses.source.octets(),
        peer: ip.addresses.destination.octets(),
        local_port: [i0, i1],
        peer_port: [i2, i3],
        protocol: ip.protocol,
        kind: DATAGRAM,
        reserved: [0; 2],
    }
}
