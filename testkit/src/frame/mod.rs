//! Parses captured frames, and finds the addresses and the wrong checksums in them.
//!
//! This module sums all bytes that a checksum covers, and uses none of the product's code.

mod checksums;
mod packet;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use etherparse::{ArpPacketSlice, EtherType, Ethernet2HeaderSlice, Ipv4HeaderSlice};

pub use self::checksums::{BadChecksum, Checksum, bad_checksums};
pub use self::packet::Packet;

/// A captured frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The captured bytes, from the Ethernet header on.
    pub bytes: Vec<u8>,
    /// The frame's length on the interface.
    pub length: usize,
    /// The time of capture, as the duration since the Unix epoch.
    pub timestamp: Duration,
}

/// An IPv4 packet.
#[derive(Clone, Debug)]
pub struct Ipv4Packet<'a> {
    /// The packet's header.
    pub header: Ipv4HeaderSlice<'a>,
}

impl Frame {
    /// The frame's IPv4 or IPv6 packet, if there is one, without the frame's padding.
    #[must_use]
    pub fn packet(&self) -> Option<Packet<'_>> {
        let (kind, payload) = self.split()?;
        matches!(kind, EtherType::IPV4 | EtherType::IPV6).then(|| Packet::parse(payload))?
    }

    /// The frame's IPv4 packet, if there is one.
    #[must_use]
    pub fn ipv4(&self) -> Option<Ipv4Packet<'_>> {
        let (kind, payload) = self.split()?;
        let header = Ipv4HeaderSlice::from_slice(payload).ok()?;
        (kind == EtherType::IPV4).then_some(Ipv4Packet { header })
    }

    fn split(&self) -> Option<(EtherType, &[u8])> {
        let ethernet = Ethernet2HeaderSlice::from_slice(&self.bytes).ok()?;
        Some((ethernet.ether_type(), &self.bytes[ethernet.slice().len()..]))
    }

    /// The IPv4 and IPv6 addresses in all places that [`AddressField`] lists.
    #[must_use]
    pub fn addresses(&self) -> Vec<(AddressField, IpAddr)> {
        match self.split() {
            Some((EtherType::ARP, payload)) => arp_addresses(payload),
            _ => self.packet().map_or_else(Vec::new, |packet| ip_addresses(&packet)),
        }
    }
}

/// The place of an address in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressField {
    /// The source of a packet.
    Source,
    /// The destination of a packet.
    Destination,
    /// The source of a packet that an ICMP error quotes.
    QuotedSource,
    /// The destination of a packet that an ICMP error quotes.
    QuotedDestination,
    /// The sender of an ARP request or reply.
    ArpSender,
    /// The target of an ARP request or reply.
    ArpTarget,
    /// The target of an IPv6 neighbour discovery message.
    Neighbor,
}

impl AddressField {
    /// False for the two addresses in an ICMP error's quote, true for all others.
    #[must_use]
    pub const fn is_outer(self) -> bool {
        !matches!(self, Self::QuotedSource | Self::QuotedDestination)
    }
}

/// A private address in a captured frame. No public network should carry a private address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrivateAddress {
    /// The number of the frame, from 0.
    pub frame: usize,
    /// The address's place in the frame.
    pub place: AddressField,
    /// The address.
    pub address: IpAddr,
}

/// Every occurrence of an address in 10.0.0.0/8 or fd00::/8: sources, destinations, ICMP errors' quotes,
/// ARP and neighbour discovery.
#[must_use]
pub fn private_addresses(frames: &[Frame]) -> Vec<PrivateAddress> {
    let mut found = Vec::new();
    for (number, frame) in frames.iter().enumerate() {
        for (place, address) in frame.addresses() {
            let is_private = match address {
                IpAddr::V4(address) => address.octets()[0] == 10,
                IpAddr::V6(address) => address.octets()[0] == 0xfd,
            };
            if is_private {
                found.push(PrivateAddress { frame: number, place, address });
            }
        }
    }
    found
}

/// The lengths of the frames' packets, without their Ethernet headers.
#[must_use]
pub fn lengths(frames: &[Frame]) -> Vec<usize> {
    frames.iter().filter_map(|frame| Some(frame.packet()?.length)).collect()
}

fn ip_addresses(packet: &Packet<'_>) -> Vec<(AddressField, IpAddr)> {
    let mut named = vec![
        (AddressField::Source, packet.source),
        (AddressField::Destination, packet.destination),
    ];
    if let Some(quoted) = packet.quoted() {
        named.push((AddressField::QuotedSource, quoted.source));
        named.push((AddressField::QuotedDestination, quoted.destination));
    }
    named.extend(packet.neighbor().map(|neighbor| (AddressField::Neighbor, neighbor)));
    named
}

fn arp_addresses(payload: &[u8]) -> Vec<(AddressField, IpAddr)> {
    let Ok(arp) = ArpPacketSlice::from_slice(payload) else {
        return Vec::new();
    };
    [
        (AddressField::ArpSender, arp.sender_protocol_addr()),
        (AddressField::ArpTarget, arp.target_protocol_addr()),
    ]
    .into_iter()
    .filter_map(|(place, address)| Some((place, <[u8; 4]>::try_from(address).ok()?.into())))
    .collect()
}
