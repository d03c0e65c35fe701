//! Builds the requests of `rewrite ping`, and reads their answers.

use std::net::IpAddr;

use tunnel_common::ping::{
    ANSWERED, IDENTIFIER, MAGIC, PAYLOAD_LEN, PEER, PROBE_MAGIC, STAMP_OFFSET, STRANGER, Stamp,
};

use super::echo;
use crate::model::Family;
use crate::model::text::unpadded;

/// The ICMP and ICMPv6 types of an echo request and of its answer (RFC 792; RFC 4443, sections 4.1 and 4.2).
const ECHO: [u8; 2] = [8, 0];
const ECHO_V6: [u8; 2] = [128, 129];

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A ping between private addresses. The peer's kernel answers.
    Ping,
    /// A path probe between this host's underlay address and the peer's public address. The peer's program answers, or,
    /// at XDP, the peer's kernel.
    PathProbe,
}

impl Kind {
    const fn magic(self) -> &'static [u8; MAGIC.len()] {
        match self {
            Self::Ping => &MAGIC,
            Self::PathProbe => &PROBE_MAGIC,
        }
    }
}

/// A number that tells the answers to this process from the answers to others.
pub type Nonce = [u8; STAMP_OFFSET - MAGIC.len()];

/// The length of an IP header without options, in bytes.
#[must_use]
pub const fn ip_header_len(family: Family) -> usize {
    match family {
        Family::Ipv4 => 20,
        Family::Ipv6 => 40,
    }
}

/// The length of the smallest packet of a ping in bytes, IP header included.
#[must_use]
pub const fn size_min(family: Family) -> usize {
    ip_header_len(family) + echo::HEADER_LEN + PAYLOAD_LEN
}

/// The echo request of a packet of `size` bytes, IP header included.
#[must_use]
pub fn request(kind: Kind, family: Family, sequence: u16, nonce: Nonce, size: usize) -> Vec<u8> {
    let mut payload = [&kind.magic()[..], &nonce].concat();
    let len = size.saturating_sub(ip_header_len(family) + echo::HEADER_LEN);
    payload.resize(len.max(PAYLOAD_LEN), 0);
    let [request, _] = types(family);
    echo::request(request, IDENTIFIER, sequence, &payload)
}

const fn types(family: Family) -> [u8; 2] {
    match family {
        Family::Ipv4 => ECHO,
        Family::Ipv6 => ECHO_V6,
    }
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The sequence number of the request.
    pub sequence: u16,
    /// The stamp of the host that received the request; `None` if no program has stamped the request.
    pub stamp: Option<ReadStamp>,
}

/// A stamp, with the addresses of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadStamp {
    /// True if the receiver knows the sender as a peer.
    pub from_peer: bool,
    /// True if the receiver's program answered the request itself; false if the receiver's kernel did.
    pub by_program: bool,
    /// The time to live or hop limit with which the request arrived.
    pub hop_limit: u8,
    /// The receiver's ABI version.
    pub abi_version: u16,
    /// The receiver's version of `rewrite`.
    pub version: String,
    /// The revision of the receiver's file, if the file has one.
    pub revision: Option<u32>,
    /// The digest of the receiver's members.
    pub digest: [u8; 8],
    /// The source address with which the request arrived.
    pub source: IpAddr,
    /// The destination address with which the request arrived; unspecified for a stranger.
    pub destination: IpAddr,
}

/// Reads an ICMP message, without its IP header; `None` unless it is the answer to a request of this kind with this
/// nonce.
#[must_use]
pub fn answer(kind: Kind, family: Family, message: &[u8], nonce: Nonce) -> Option<Answer> {
    let [_, reply] = types(family);
    let (header, payload) = message.split_first_chunk::<{ echo::HEADER_LEN }>()?;
    let [message_type, code, _, _, i0, i1, s0, s1] = *header;
    let is_ours = message_type == reply && code == 0 && [i0, i1] == IDENTIFIER;
    let payload = payload.strip_prefix(kind.magic())?.strip_prefix(&nonce)?;
    let stamp = payload.first_chunk::<{ size_of::<Stamp>() }>()?;
    is_ours.then(|| Answer {
        sequence: u16::from_be_bytes([s0, s1]),
        stamp: read_stamp(family, stamp),
    })
}

/// The sequence number in a request of this kind with this nonce, which an ICMP error quotes.
#[must_use]
pub fn quoted_sequence(kind: Kind, family: Family, message: &[u8], nonce: Nonce) -> Option<u16> {
    let [request, _] = types(family);
    let (header, payload) = message.split_first_chunk::<{ echo::HEADER_LEN }>()?;
    let [message_type, _, _, _, i0, i1, s0, s1] = *header;
    // A router need not quote more than the message's header (RFC 792).
    let is_foreign = payload.len() >= STAMP_OFFSET
        && !(payload.starts_with(kind.magic()) && payload[MAGIC.len()..].starts_with(&nonce));
    let is_ours = message_type == request && [i0, i1] == IDENTIFIER && !is_foreign;
    is_ours.then(|| u16::from_be_bytes([s0, s1]))
}

fn read_stamp(family: Family, octets: &[u8; size_of::<Stamp>()]) -> Option<ReadStamp> {
    let mut rest = &octets[..];
    let [sender, hop_limit, a0, a1] = take(&mut rest)?;
    let revision = u32::from_be_bytes(take(&mut rest)?);
    let digest = take(&mut rest)?;
    let source = address(family, take(&mut rest)?);
    let destination = address(family, take(&mut rest)?);
    let version: [u8; tunnel_common::ping::VERSION_LEN] = take(&mut rest)?;
    let from_peer = match sender {
        PEER | ANSWERED => true,
        STRANGER => false,
        _ => return None,
    };
    Some(ReadStamp {
        from_peer,
        by_program: sender == ANSWERED,
        hop_limit,
        abi_version: u16::from_be_bytes([a0, a1]),
        version: unpadded(&version),
        revision: Some(revision).filter(|revision| *revision != 0),
        digest,
        source,
        destination,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*first)
}

fn address(family: Family, octets: [u8; 16]) -> IpAddr {
    let [a, b, c, d, ..] = octets;
    match family {
        Family::Ipv4 => [a, b, c, d].into(),
        Family::Ipv6 => octets.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: Nonce = [7; 8];

    /// An answer to `request` with the stamp `stamp`.
    fn echoed(family: Family, request: &[u8], stamp: &[u8]) -> Vec<u8> {
        let [_, reply] = types(family);
        let mut message = request.to_vec();
        message[0] = reply;
        let place = echo::HEADER_LEN + STAMP_OFFSET;
        message[place..place + stamp.len()].copy_from_slice(stamp);
        message
    }

    fn stamp(sender: u8) -> Vec<u8> {
        let mut octets = vec![sender, 61, 0, 3, 0, 0, 1, 2];
        octets.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        octets.extend([198, 51, 100, 2].into_iter().chain([0; 12]));
        octets.extend([203, 0, 113, 2].into_iter().chain([0; 12]));
        octets.extend(b"0.1.0".iter().copied().chain([0; 11]));
        octets
    }

    fn read(sender: u8) -> Answer {
        let request = request(Kind::Ping, Family::Ipv4, 513, NONCE, 200);
        let reply = echoed(Family::Ipv4, &request, &stamp(sender));
        answer(Kind::Ping, Family::Ipv4, &reply, NONCE).expect("an answer")
    }

    #[test]
    fn a_stamp_is_read_field_by_field() {
        let expected = ReadStamp {
            from_peer: true,
            by_program: false,
            hop_limit: 61,
            abi_version: 3,
            version: "0.1.0".into(),
            revision: Some(258),
            digest: [1, 2, 3, 4, 5, 6, 7, 8],
            source: "198.51.100.2".parse().unwrap(),
            destination: "203.0.113.2".parse().unwrap(),
        };
        assert_eq!(read(PEER), Answer { sequence: 513, stamp: Some(expected.clone()) });
        let answered = ReadStamp { by_program: true, ..expected.clone() };
        assert_eq!(read(ANSWERED).stamp, Some(answered));
        let stranger = ReadStamp { from_peer: false, ..expected };
        assert_eq!(read(STRANGER).stamp, Some(stranger));
        assert_eq!(read(0).stamp, None);
    }

    #[test]
    fn the_packet_has_the_size_that_was_asked_for() {
        for (family, header) in [(Family::Ipv4, 20), (Family::Ipv6, 40)] {
            assert_eq!(request(Kind::Ping, family, 1, NONCE, 1500).len() + header, 1500);
            assert_eq!(
                request(Kind::PathProbe, family, 1, NONCE, 0).len() + header,
                size_min(family)
            );
        }
    }

    #[test]
    fn only_answers_to_this_process_count() {
        let kinds = [(Kind::Ping, Kind::PathProbe), (Kind::PathProbe, Kind::Ping)];
        for (family, (kind, other)) in Family::ALL
            .into_iter()
            .zip([kinds; 2])
            .flat_map(|(family, kinds)| kinds.map(|kinds| (family, kinds)))
        {
            let request = request(kind, family, 1, NONCE, 0);
            let reply = echoed(family, &request, &[]);
            assert!(answer(kind, family, &reply, NONCE).is_some());
            assert_eq!(answer(other, family, &reply, NONCE), None);
            assert_eq!(answer(kind, family, &reply, [8; 8]), None);
            assert_eq!(answer(kind, family, &request, NONCE), None);
            assert_eq!(answer(kind, family, &reply[..reply.len() - 1], NONCE), None);
            assert_eq!(quoted_sequence(kind, family, &request, NONCE), Some(1));
            assert_eq!(quoted_sequence(kind, family, &request[..8], NONCE), Some(1));
            assert_eq!(quoted_sequence(other, family, &request, NONCE), None);
            assert_eq!(quoted_sequence(kind, family, &request, [8; 8]), None);
            assert_eq!(quoted_sequence(kind, family, &reply, NONCE), None);
        }
    }
}
