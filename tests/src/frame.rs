//! What a captured frame says: whom it names, and whether its checksums are right.
//!
//! The sums are computed over the whole packet: nothing here shares arithmetic with the product.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, ensure};
use etherparse::{
    ArpPacketSlice, EtherType, Ethernet2HeaderSlice, IpNumber, Ipv4HeaderSlice, ip_number,
};

/// A frame, as it went over an interface.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What was captured of it, from its Ethernet header on.
    pub bytes: Vec<u8>,
    /// How long it was on the interface.
    pub length: usize,
    /// When, since the epoch.
    pub timestamp: Duration,
}

impl Frame {
    /// The IPv4 packet in the frame, if it holds one, without the padding of the frame.
    #[must_use]
    pub fn ipv4(&self) -> Option<Packet<'_>> {
        let (kind, payload) = self.split()?;
        (kind == EtherType::IPV4).then(|| Packet::parse(payload))?
    }

    fn split(&self) -> Option<(EtherType, &[u8])> {
        let ethernet = Ethernet2HeaderSlice::from_slice(&self.bytes).ok()?;
        Some((ethernet.ether_type(), &self.bytes[ethernet.slice().len()..]))
    }

    /// Every IPv4 address that the frame names, with the place where it does.
    #[must_use]
    pub fn addresses(&self) -> Vec<(Place, Ipv4Addr)> {
        let Some((kind, payload)) = self.split() else {
            return Vec::new();
        };
        match kind {
            EtherType::ARP => arp_addresses(payload),
            EtherType::IPV4 => Packet::parse(payload).map_or_else(Vec::new, |packet| {
                let mut named = packet.ends(Place::Source, Place::Destination);
                if let Some(quoted) = packet.quoted() {
                    named.extend(quoted.ends(Place::QuotedSource, Place::QuotedDestination));
                }
                named
            }),
            _ => Vec::new(),
        }
    }
}

/// Where a frame names an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The source of an IPv4 packet.
    Source,
    /// The destination of an IPv4 packet.
    Destination,
    /// The source of a packet that an ICMP error quotes.
    QuotedSource,
    /// The destination of a packet that an ICMP error quotes.
    QuotedDestination,
    /// Who asks, or answers, by ARP.
    ArpSender,
    /// Whom ARP asks for.
    ArpTarget,
}

impl Place {
    /// Whether this is what a router acts on, not what an ICMP error quotes.
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
    pub address: Ipv4Addr,
}

/// Every mention of an address in 10.0.0.0/8: source and destination, also of what ICMP errors
/// quote, and ARP.
#[must_use]
pub fn private_addresses(frames: &[Frame]) -> Vec<PrivateAddress> {
    let mut found = Vec::new();
    for (number, frame) in frames.iter().enumerate() {
        for (place, address) in frame.addresses() {
            if address.octets()[0] == 10 {
                found.push(PrivateAddress { frame: number, place, address });
            }
        }
    }
    found
}

/// The lengths of the IPv4 packets among the frames, without their Ethernet headers.
#[must_use]
pub fn lengths(frames: &[Frame]) -> Vec<usize> {
    frames.iter().filter_map(|frame| Some(usize::from(frame.ipv4()?.header.total_len()))).collect()
}

/// A checksum that is not what the packet's bytes add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChecksum {
    /// The number of the frame, from 0.
    pub frame: usize,
    /// Which of its checksums.
    pub of: Checksum,
}

/// The checksums of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Of the IPv4 header.
    Ipv4,
    /// Of TCP, with the addresses.
    Tcp,
    /// Of UDP, with the addresses; 0 says that there is none.
    Udp,
    /// Of ICMP.
    Icmp,
    /// Of the IPv4 header that an ICMP error quotes.
    QuotedIpv4,
    /// Of TCP, UDP or ICMP in a packet that an ICMP error quotes to its end.
    QuotedPayload,
}

/// The checksums that are wrong. A fragment has none but that of its header. With transmit
/// checksum offload a sender leaves TCP and UDP checksums unfinished, and veth never finishes
/// them: this is for a lab without.
///
/// # Errors
/// When a frame was not captured whole.
pub fn bad_checksums(frames: &[Frame]) -> Result<Vec<BadChecksum>> {
    let mut found = Vec::new();
    for (number, frame) in frames.iter().enumerate() {
        ensure!(
            frame.bytes.len() == frame.length,
            "frame {number}: only {} of {} bytes were captured",
            frame.bytes.len(),
            frame.length
        );
        let Some(packet) = frame.ipv4() else { continue };
        let mut wrong = Vec::new();
        if !packet.header_is_right() {
            wrong.push(Checksum::Ipv4);
        }
        if let Some((of, false)) = packet.payload_is_right() {
            wrong.push(of);
        }
        if let Some(quoted) = packet.quoted() {
            if !quoted.header_is_right() {
                wrong.push(Checksum::QuotedIpv4);
            }
            if matches!(quoted.payload_is_right(), Some((_, false))) {
                wrong.push(Checksum::QuotedPayload);
            }
        }
        found.extend(wrong.into_iter().map(|of| BadChecksum { frame: number, of }));
    }
    Ok(found)
}

/// An IPv4 packet, or the beginning of one.
#[derive(Clone, Debug)]
pub struct Packet<'a> {
    /// Its header.
    pub header: Ipv4HeaderSlice<'a>,
    /// What follows, as much as there is.
    pub payload: &'a [u8],
}

/// The ICMP messages that quote a packet.
const ICMP_ERRORS: [u8; 5] = [3, 4, 5, 11, 12];
/// Where an ICMP error's quoted packet begins.
const QUOTE: usize = 8;

impl<'a> Packet<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header = Ipv4HeaderSlice::from_slice(bytes).ok()?;
        let end = usize::from(header.total_len()).min(bytes.len());
        let payload = bytes.get(header.slice().len()..end)?;
        Some(Self { header, payload })
    }

    /// The packet that this one quotes, if it is an ICMP error.
    #[must_use]
    pub fn quoted(&self) -> Option<Self> {
        if self.header.protocol() != IpNumber::ICMP
            || self.header.fragments_offset().value() != 0
            || !ICMP_ERRORS.contains(self.payload.first()?)
        {
            return None;
        }
        Self::parse(self.payload.get(QUOTE..)?)
    }

    fn ends(&self, source: Place, destination: Place) -> Vec<(Place, Ipv4Addr)> {
        vec![(source, self.header.source_addr()), (destination, self.header.destination_addr())]
    }

    fn header_is_right(&self) -> bool {
        sums_up(&[self.header.slice()])
    }

    /// Which checksum the payload has and whether it is right; none for a fragment, for a packet
    /// that isn't all here, and for protocols without one.
    fn payload_is_right(&self) -> Option<(Checksum, bool)> {
        let whole =
            self.header.slice().len() + self.payload.len() == usize::from(self.header.total_len());
        if !whole || self.header.is_fragmenting_payload() {
            return None;
        }
        match self.header.protocol() {
            ip_number::TCP => Some((Checksum::Tcp, self.sums_up_with_addresses(self.payload))),
            ip_number::UDP => {
                let length = u16::from_be_bytes([*self.payload.get(4)?, *self.payload.get(5)?]);
                let datagram = self.payload.get(..usize::from(length));
                let unused = self.payload.get(6..8)? == [0, 0];
                let right = unused || datagram.is_some_and(|d| self.sums_up_with_addresses(d));
                Some((Checksum::Udp, right))
            }
            ip_number::ICMP => Some((Checksum::Icmp, sums_up(&[self.payload]))),
            _ => None,
        }
    }

    fn sums_up_with_addresses(&self, segment: &[u8]) -> bool {
        let Ok(length) = u16::try_from(segment.len()) else {
            return false;
        };
        let protocol = [0, self.header.protocol().0];
        sums_up(&[
            &self.header.source(),
            &self.header.destination(),
            &protocol,
            &length.to_be_bytes(),
            segment,
        ])
    }
}

/// Whether bytes that hold their own checksum add up to what RFC 1071 says they must. Every part
/// but the last has an even length.
fn sums_up(parts: &[&[u8]]) -> bool {
    let mut sum: u64 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u64::from(u16::from_be_bytes([pair[0], low]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum == 0xffff
}

fn arp_addresses(payload: &[u8]) -> Vec<(Place, Ipv4Addr)> {
    let Ok(arp) = ArpPacketSlice::from_slice(payload) else {
        return Vec::new();
    };
    [(Place::ArpSender, arp.sender_protocol_addr()), (Place::ArpTarget, arp.target_protocol_addr())]
        .into_iter()
        .filter_map(|(place, address)| Some((place, <[u8; 4]>::try_from(address).ok()?.into())))
        .collect()
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn udp(source: [u8; 4], destination: [u8; 4]) -> Frame {
        let builder =
            PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(source, destination, 64).udp(1000, 2000);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, b"abc").expect("a small packet");
        frame(bytes)
    }

    fn frame(bytes: Vec<u8>) -> Frame {
        Frame { length: bytes.len(), bytes, timestamp: Duration::ZERO }
    }

    /// A "port unreachable" from a router, which quotes `packet`.
    fn error_about(packet: &Frame) -> Frame {
        let quoted = &packet.bytes[14..];
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
            .icmpv4_raw(3, 3, [0; 4]);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, quoted).expect("a small packet");
        frame(bytes)
    }

    #[test]
    fn right_checksums_are_no_finding() {
        let packet = udp([192, 0, 2, 1], [192, 0, 2, 2]);
        let frames = [error_about(&packet), packet];
        assert_eq!(bad_checksums(&frames).expect("whole"), []);
        assert_eq!(private_addresses(&frames), []);
        assert_eq!(lengths(&frames), [20 + 8 + 31, 31]);
    }

    #[test]
    fn every_wrong_checksum_is_found() {
        let packet = udp([192, 0, 2, 1], [192, 0, 2, 2]);
        let error = error_about(&packet);
        // A change of the TTL breaks the header alone, one of the payload the payload alone.
        let cases: [(&Frame, usize, &[Checksum]); 4] = [
            (&packet, 14 + 8, &[Checksum::Ipv4]),
            (&packet, 14 + 28, &[Checksum::Udp]),
            (&error, 42 + 8, &[Checksum::Icmp, Checksum::QuotedIpv4]),
            (&error, 42 + 28, &[Checksum::Icmp, Checksum::QuotedPayload]),
        ];
        for (frame, at, wanted) in cases {
            let mut broken = frame.clone();
            broken.bytes[at] ^= 0x10;
            let found: Vec<Checksum> =
                bad_checksums(&[broken]).expect("whole").into_iter().map(|bad| bad.of).collect();
            assert_eq!(found, wanted, "byte {at}");
        }
    }

    #[test]
    fn private_addresses_are_found_in_quotes_and_in_arp() {
        let outer = udp([192, 0, 2, 1], [10, 0, 0, 2]);
        let quoted = error_about(&udp([10, 0, 0, 1], [192, 0, 2, 2]));
        let mut arp = vec![0; 12];
        arp.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 2, 2, 2, 2, 2]);
        arp.extend([192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 9]);
        let found: Vec<Place> = private_addresses(&[outer, quoted, frame(arp)])
            .into_iter()
            .map(|private| private.place)
            .collect();
        let wanted = [Place::Destination, Place::QuotedSource, Place::ArpTarget];
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_cut_frame_is_no_proof() {
        let mut cut = udp([192, 0, 2, 1], [192, 0, 2, 2]);
        cut.bytes.pop();
        assert!(bad_checksums(&[cut]).is_err());
    }
}
