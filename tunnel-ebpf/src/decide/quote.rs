//! The packet that an ICMP error quotes: mended so that the socket, or the other side, recognises
//! the packet that it sent (RFC 5508, REQ-4 and REQ-5).

use tunnel_common::outcome::Reason;
use tunnel_common::peers::{Peer, ROLE_PRIVATE, ROLE_PUBLIC};

use super::{new_header, public_flow};
use crate::checksum::{Addresses, difference, difference16, mended};
use crate::packet::{Packet, ZeroChecksum};
use crate::parse::icmp;
use crate::parse::ipv4::{Fragment, Ipv4};
use crate::parse::transport::{PseudoHeaderChecksum, pseudo_header_checksum};
use crate::rewrite::{NewChecksum, NewQuote};
use crate::tables::Tables;

/// What an ICMP error that arrives is about.
pub enum Quoted<'a> {
    /// A packet that this host sent to a peer's private address.
    Ours {
        /// What changes in the quote.
        quote: NewQuote,
        /// The peer that the quoted packet was sent to.
        peer: &'a Peer,
    },
    /// A packet of a flow that this host started with public addresses.
    PublicFlow,
    /// Anything else, or the message is not an error.
    Other,
}

/// The quote in an ICMP message that leaves: a packet that came from a peer.
#[inline(always)]
pub fn egress<P: Packet, T: Tables>(
    packet: &P,
    ip: &Ipv4,
    tables: &T,
) -> Result<Option<NewQuote>, Reason> {
    let Some((offset, quoted)) = parse(packet, ip)? else { return Ok(None) };
    let Some(peer) = tables.peer(quoted.addresses.source) else { return Ok(None) };
    if peer.role != ROLE_PRIVATE || quoted.addresses.destination != peer.self_private {
        return Ok(None);
    }
    let addresses = Addresses { source: peer.public, destination: peer.self_underlay };
    mend(packet, ip, offset, &quoted, addresses).map(Some)
}

/// The quote in an ICMP message that arrives: a packet that went to a peer.
#[inline(always)]
pub fn ingress<'a, P: Packet, T: Tables>(
    packet: &P,
    ip: &Ipv4,
    tables: &'a T,
) -> Result<Quoted<'a>, Reason> {
    let Some((offset, quoted)) = parse(packet, ip)? else { return Ok(Quoted::Other) };
    let Some(peer) = tables.peer(quoted.addresses.destination) else { return Ok(Quoted::Other) };
    let to_peer = peer.role == ROLE_PUBLIC
        && quoted.addresses.source == peer.self_underlay
        && ip.addresses.destination == peer.self_underlay;
    if !to_peer {
        return Ok(Quoted::Other);
    }
    if peer.public_flows == 1 && public_flow::is_sent(packet, offset, &quoted, tables) {
        return Ok(Quoted::PublicFlow);
    }
    let addresses = Addresses { source: peer.self_private, destination: peer.private };
    let quote = mend(packet, ip, offset, &quoted, addresses)?;
    Ok(Quoted::Ours { quote, peer })
}

/// The quoted header and its offset, if `ip` holds an ICMP error.
#[inline(always)]
fn parse<P: Packet>(packet: &P, ip: &Ipv4) -> Result<Option<(usize, Ipv4)>, Reason> {
    let [message_type] = packet.bytes(ip.header_len).ok_or(Reason::Truncated)?;
    if !icmp::is_error(message_type) {
        return Ok(None);
    }
    let offset = ip.header_len + icmp::HEADER_LEN;
    let header = packet.quoted_header(offset).ok_or(Reason::MalformedQuote)?;
    let extent = ip.payload_len - icmp::HEADER_LEN as u32;
    Ok(Some((offset, Ipv4::parse_quoted(&header, extent)?)))
}

#[inline(always)]
fn mend<P: Packet>(
    packet: &P,
    ip: &Ipv4,
    offset: usize,
    quoted: &Ipv4,
    addresses: Addresses,
) -> Result<NewQuote, Reason> {
    let header = new_header(quoted, addresses);
    let icmp_offset = ip.header_len + icmp::CHECKSUM_OFFSET;
    let icmp = packet.bytes(icmp_offset).ok_or(Reason::Truncated)?;
    let mut checksums = [NewChecksum { offset: icmp_offset, checksum: icmp }; 2];
    if let Some(field) = quoted_checksum(quoted) {
        let offset = offset + quoted.header_len + field.offset;
        let old = packet.bytes(offset).ok_or(Reason::MalformedQuote)?;
        let new = mended_transport(old, difference(quoted.addresses, addresses), field);
        checksums[0] = NewChecksum { offset, checksum: new };
        // The quoted IP header's sum has not changed: its checksum made up for its addresses.
        checksums[1].checksum = mended(icmp, difference16(old, new));
    }
    Ok(NewQuote { offset, header, checksums })
}

/// The checksum to mend in a quoted packet, if the quote reaches as far.
#[inline(always)]
fn quoted_checksum(quoted: &Ipv4) -> Option<PseudoHeaderChecksum> {
    if quoted.fragment == Fragment::Later {
        return None;
    }
    pseudo_header_checksum(quoted.protocol)
        .filter(|field| quoted.payload_len >= field.offset as u32 + 2)
}

#[inline(always)]
fn mended_transport(old: [u8; 2], difference: u32, field: PseudoHeaderChecksum) -> [u8; 2] {
    match field.zero {
        ZeroChecksum::IsASum => mended(old, difference),
        ZeroChecksum::MeansNone if old == [0, 0] => old,
        ZeroChecksum::MeansNone => match mended(old, difference) {
            [0, 0] => [0xff, 0xff],
            checksum => checksum,
        },
    }
}
