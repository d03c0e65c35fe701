//! The reading of a captured frame: the addresses that it names, and the state of its checksums.
//!
//! The sums are computed over the whole packet: nothing here shares arithmetic with the product.

mod checksums;
mod packet;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use etherparse::{ArpPacketSlice, EtherType, Ethernet2HeaderSlice, Ipv4HeaderSlice};

pub use self::checksums::{BadChecksum, Checksum, bad_checksums};
pub use self::packet::Packet;

/// A frame, as it went over an interface.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The captured part of it, from its Ethernet header on.
    pub bytes: Vec<u8>,
    /// The time that it was on the interface.
    pub length: usize,
    /// When, since the epoch.
    pub timestamp: Duration,
}

/// An IPv4 packet.
#[derive(Clone, Debug)]
pub struct Ipv4Packet<'a> {
    /// Its header.
    pub header: Ipv4HeaderSlice<'a>,
}

impl Frame {
    /// The packet of IPv4 or IPv6 in the frame, if it holds one, without the padding of the frame.
    #[must_use]
    pub fn packet(&self) -> Option<Packet<'_>> {
        let (kind, payload) = self.split()?;
        matches!(kind, EtherType::IPV4 | EtherType::IPV6).then(|| Packet::parse(payload))?
    }

    /// The IPv4 packet in the frame, if it holds one.
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

    /// Every address of IPv4 or IPv6 that the frame names, with the place where it does.
    #[must_use]
    pub fn addresses(&self) -> Vec<(Place, IpAddr)> {
        match self.split() {
            Some((EtherType::ARP, payload)) => arp_addresses(payload),
            _ => self.packet().map_or_else(Vec::new, |packet| ip_addresses(&packet)),
        }
    }
}

/// Where a frame names an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The source of a packet.
    Source,
    /// The destination of a packet.
    Destination,
    /// The source of a packet that an ICMP error quotes.
    QuotedSource,
    /// The destination of a packet that an ICMP error quotes.
    QuotedDestination,
    /// The asker, or the answerer, by ARP.
    ArpSender,
    /// Whom ARP asks for.
    ArpTarget,
    /// Whom IPv6's neighbour discovery asks for, or speaks of.
    Neighbor,
}

impl Place {
    /// True if this is what a router acts on, not what an ICMP error quotes.
    #[must_use]
    pub const fn is_outer(self) -> bool {
        !matches!(self, Self::QuotedSource | Self::QuotedDestination)
    }
}

/// A private address in a capture, which no public network should see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrivateAddress {
    /// The number of the frame, from 0.
    pub frame: usize,
    /// Where the frame names it.
    pub place: Place,
    /// The address.
    pub address: IpAddr,
}

/// Every mention of an address in 10.0.0.0/8 or fd00::/8: source and destination, also of what ICMP
/// errors quote, ARP and neighbour discovery.
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

/// The lengths of the packets among the frames, without their Ethernet headers.
#[must_use]
pub fn lengths(frames: &[Frame]) -> Vec<usize> {
    frames.iter().filter_map(|frame| Some(frame.packet()?.length)).collect()
}

fn ip_addresses(packet: &Packet<'_>) -> Vec<(Place, IpAddr)> {
    let mut named = vec![(Place::Source, packet.source), (Place::Destination, packet.destination)];
    if let Some(quoted) = packet.quoted() {
        named.push((Place::QuotedSource, quoted.source));
        named.push((Place::QuotedDestination, quoted.destination));
    }
    named.extend(packet.neighbor().map(|neighbor| (Place::Neighbor, neighbor)));
    named
}

fn arp_addresses(payload: &[u8]) -> Vec<(Place, IpAddr)> {
    let Ok(arp) = ArpPacketSlice::from_slice(payload) else {
        return Vec::new();
    };
    [(Place::ArpSender, arp.sender_protocol_addr()), (Place::ArpTarget, arp.target_protocol_addr())]
        .into_iter()
        .filter_map(|(place, address)| Some((place, <[u8; 4]>::try_from(address).ok()?.into())))
        .collect()
}
