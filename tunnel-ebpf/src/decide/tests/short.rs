//! Tests packets that end too early, in the frame or by the length in their header.

use tunnel_common::outcome::{Direction, Outcome, Reason, Verdict};

use super::datagram::{DCCP, TCP, UDP, UDP_LITE, folded, pseudo_header_sum, sum};
use super::host::Host;
use super::kinds::{Passage, passages};
use super::slice::Slice;
use super::version::{Version, in_both_versions};
use crate::family::{V4, V6};

fn nothing_shorter_than_an_ip_header_is_looked_at<F: Version>() {
    let host = Host::<F>::srva();
    for passage in passages::<F>() {
        for len in 0..F::HEADER_LEN {
            let outcome = host.handle(passage.direction, &passage.before[..len]).0;
            let truncated = Outcome::NotRewritten(Reason::Truncated);
            assert_eq!(outcome, truncated, "{}: {len} bytes", passage.what);
            assert_eq!(outcome.verdict(), Verdict::Pass);
        }
    }
    assert_eq!(host.flows(), []);
}

fn a_packet_cut_anywhere_is_left_alone_and_counted<F: Version>() {
    let host = Host::<F>::srva();
    for passage in passages::<F>() {
        let expected = passage.if_broken(Reason::Truncated);
        for len in F::HEADER_LEN..passage.before.len() {
            let outcome = host.handle(passage.direction, &passage.before[..len]).0;
            assert_eq!(outcome, expected, "{}: {len} bytes", passage.what);
        }
        assert_eq!(host.rewritten(passage.direction, &passage.before), passage.after);
    }
}

/// The padding after the packet looks like the rest of the packet.
fn a_packet_ends_where_its_length_says<F: Version>() {
    let host = Host::<F>::srva();
    for passage in passages::<F>() {
        for len in F::SHORTEST_LEN..=passage.before.len() {
            let mut packet = passage.before.clone();
            F::set_len(&mut packet, len);
            let (outcome, after) = host.handle(passage.direction, &packet);
            let what = format!("{}: {len} bytes", passage.what);
            match passage.outcome_with_len(len) {
                Ok(Part::Nothing) => assert_eq!(outcome, Outcome::NotOurs, "{what}"),
                Ok(part) => {
                    let rewritten = Outcome::Rewritten { slot: 0 };
                    assert_eq!(outcome, rewritten, "{what}");
                    assert_eq!(after, passage.after_with_len(len, part), "{what}");
                }
                Err(reason) => assert_eq!(outcome, passage.if_broken(reason), "{what}"),
            }
        }
    }
}

in_both_versions! {
    nothing_shorter_than_an_ip_header_is_looked_at,
    a_packet_cut_anywhere_is_left_alone_and_counted,
    a_packet_ends_where_its_length_says,
}

#[test]
fn every_ipv4_header_length_with_every_total_length_in_every_frame() {
    let host = Host::<V4>::srva();
    for vihl in [0x40, 0x41, 0x44, 0x45, 0x46, 0x4a, 0x4f, 0x05, 0x35, 0x55, 0x65, 0xff] {
        let header_len = usize::from(vihl & 0x0f) * 4;
        for (total_len, segments) in (0..=70).map(|len| (len, 0)).chain([(0, 1), (0, 40)]) {
            for extent in 20..=70 {
                let mut packet = vec![0; extent];
                packet[0] = vihl;
                packet[3] = total_len;
                packet[9] = 253;
                packet[12..16].copy_from_slice(&V4::PRIVATE.source);
                packet[16..20].copy_from_slice(&V4::PRIVATE.destination);
                let len = match usize::from(total_len) {
                    0 if segments > 0 => extent,
                    len => len,
                };
                let expected = if vihl >> 4 != 4 || header_len < 20 || len < header_len {
                    Outcome::NotRewritten(Reason::Malformed)
                } else if len > extent {
                    Outcome::NotRewritten(Reason::Truncated)
                } else {
                    Outcome::Rewritten { slot: 0 }
                };
                let mut packet = Slice::new(&packet).segments(segments);
                let outcome = host.pass(Direction::Egress, &mut packet);
                let what = (header_len, total_len, segments, extent);
                assert_eq!(outcome, expected, "{vihl:#x} {what:?}");
            }
        }
    }
}

#[test]
fn every_ipv6_version_with_every_payload_length_in_every_frame() {
    let host = Host::<V6>::srva();
    for version in 0..=15 {
        for (payload_len, segments) in (0..=50).map(|len| (len, 0)).chain([(0, 1), (0, 40)]) {
            for extent in 40..=90 {
                let mut packet = vec![0; extent];
                packet[0] = version << 4 | 6;
                packet[5] = payload_len;
                packet[6] = 253;
                packet[8..24].copy_from_slice(&V6::PRIVATE.source);
                packet[24..40].copy_from_slice(&V6::PRIVATE.destination);
                let expected = if version != 6 {
                    Outcome::NotRewritten(Reason::Malformed)
                } else if 40 + usize::from(payload_len) > extent {
                    Outcome::NotRewritten(Reason::Truncated)
                } else {
                    Outcome::Rewritten { slot: 0 }
                };
                let mut packet = Slice::new(&packet).segments(segments);
                let outcome = host.pass(Direction::Egress, &mut packet);
                assert_eq!(outcome, expected, "{version}: {payload_len} of {extent}, {segments}");
            }
        }
    }
}

/// The rewritten part of a packet with a shorter length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The packet concerns no peer: its quote, which shows the peer, is cut off.
    Nothing,
    /// All but the quoted packet, which is cut off.
    WithoutQuote,
    /// All, the quoted packet included.
    All,
}

impl<F: Version> Passage<F> {
    /// The outcome for a broken packet. A router's packet is not counted, since nothing shows that it concerns a
    /// peer.
    fn if_broken(&self, reason: Reason) -> Outcome {
        if self.by_router { Outcome::NotOurs } else { Outcome::NotRewritten(reason) }
    }

    /// The rewritten part if the header says `len`, or the fault.
    fn outcome_with_len(&self, len: usize) -> Result<Part, Reason> {
        let header_len = self.datagram.header_len();
        let shortest = match self.datagram.protocol {
            TCP => 20,
            DCCP => 12,
            UDP | UDP_LITE => 8,
            control if control == F::CONTROL => F::CONTROL_LEN_MIN,
            _ => 0,
        };
        if len < header_len {
            return Err(F::CUT_HEADER);
        }
        if len < header_len + shortest {
            return Err(Reason::Truncated);
        }
        let Some((quoted, _)) = &self.datagram.quoted else { return Ok(Part::All) };
        if len < header_len + 8 {
            // The header of the message is cut off: the message quotes nothing.
            return Ok(if self.by_router { Part::Nothing } else { Part::WithoutQuote });
        }
        if len < header_len + 8 + F::quoted_len_min(quoted) {
            return Err(Reason::MalformedQuote);
        }
        Ok(Part::All)
    }

    /// The packet after the rewrite. A quoted checksum that is cut stays unchanged, and the ICMP checksum compensates
    /// for the changes within the packet.
    fn after_with_len(&self, len: usize, part: Part) -> Vec<u8> {
        let (mut before, mut after) = (self.before.clone(), self.after.clone());
        F::set_len(&mut before, len);
        F::set_len(&mut after, len);
        let Some((quoted, _)) = &self.datagram.quoted else { return after };
        let icmp = self.datagram.header_len();
        let quote = icmp + 8;
        let transport = quote + quoted.header_len();
        let restored = match quoted.protocol {
            _ if part == Part::WithoutQuote => quote..after.len(),
            TCP => transport + 16..transport + 18,
            UDP => transport + 6..transport + 8,
            control if control == F::CONTROL => transport + 2..transport + 4,
            _ => len..len,
        };
        if restored.end > len {
            let restored = restored.start.min(after.len())..restored.end.min(after.len());
            after[restored.clone()].copy_from_slice(&before[restored]);
        }
        let sum_of = |packet: &[u8]| {
            let pseudo_header = match F::CONTROL_HAS_PSEUDO_HEADER {
                true => pseudo_header_sum::<F>(F::route(packet), F::CONTROL, len - icmp),
                false => 0,
            };
            let (head, data) = (sum(&packet[icmp..icmp + 2]), sum(&packet[icmp + 4..len]));
            folded(u64::from(pseudo_header) + u64::from(head) + u64::from(data))
        };
        let old = u16::from_be_bytes([before[icmp + 2], before[icmp + 3]]);
        let sums = [!old, !sum_of(&before), sum_of(&after)].map(u64::from);
        let new = !folded(sums.iter().sum());
        after[icmp + 2..icmp + 4].copy_from_slice(&new.to_be_bytes());
        after
    }
}
