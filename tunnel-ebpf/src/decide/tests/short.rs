//! Packets that end too early, in the frame or by their own total length.

use tunnel_common::outcome::{Direction, Outcome, Reason, Verdict};

use super::datagram::{DCCP, ICMP, TCP, UDP, UDP_LITE, seal};
use super::host::{Host, PRIVATE};
use super::kinds::{Passage, passages};
use super::slice::Slice;

#[test]
fn nothing_shorter_than_an_ip_header_is_looked_at() {
    let host = Host::srva();
    for passage in passages() {
        for len in 0..20 {
            let outcome = host.handle(passage.direction, &passage.before[..len]).0;
            let truncated = Outcome::NotRewritten(Reason::Truncated);
            assert_eq!(outcome, truncated, "{}: {len} bytes", passage.what);
            assert_eq!(outcome.verdict(), Verdict::Pass);
        }
    }
    assert_eq!(host.flows(), []);
}

#[test]
fn a_packet_cut_anywhere_is_left_alone_and_counted() {
    let host = Host::srva();
    for passage in passages() {
        let expected = passage.if_broken(Reason::Truncated);
        for len in 20..passage.before.len() {
            let outcome = host.handle(passage.direction, &passage.before[..len]).0;
            assert_eq!(outcome, expected, "{}: {len} bytes", passage.what);
        }
        assert_eq!(host.rewritten(passage.direction, &passage.before), passage.after);
    }
}

/// What lies behind the total length is padding, although it looks like the rest of the packet.
#[test]
fn a_packet_ends_where_its_total_length_says() {
    let host = Host::srva();
    for passage in passages() {
        for len in 0..=passage.before.len() {
            let packet = with_total_len(&passage.before, len);
            let (outcome, after) = host.handle(passage.direction, &packet);
            match passage.outcome_with_total_len(len) {
                Ok(()) => {
                    let rewritten = Outcome::Rewritten { slot: 0 };
                    assert_eq!(outcome, rewritten, "{}: {len} bytes", passage.what);
                    let expected = passage.after_with_total_len(len);
                    assert_eq!(after, expected, "{}: {len} bytes", passage.what);
                }
                Err(reason) => {
                    let expected = passage.if_broken(reason);
                    assert_eq!(outcome, expected, "{}: {len} bytes", passage.what);
                }
            }
        }
    }
}

#[test]
fn every_header_length_with_every_total_length_in_every_frame() {
    let host = Host::srva();
    for vihl in [0x40, 0x41, 0x44, 0x45, 0x46, 0x4a, 0x4f, 0x05, 0x35, 0x55, 0x65, 0xff] {
        let header_len = usize::from(vihl & 0x0f) * 4;
        for (total_len, segments) in (0..=70).map(|len| (len, 0)).chain([(0, 1), (0, 40)]) {
            for extent in 20..=70 {
                let mut packet = vec![0; extent];
                packet[0] = vihl;
                packet[3] = total_len;
                packet[9] = 253;
                packet[12..16].copy_from_slice(&PRIVATE.source);
                packet[16..20].copy_from_slice(&PRIVATE.destination);
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

fn with_total_len(packet: &[u8], len: usize) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let Ok(len) = u16::try_from(len) else { panic!("a total length of {len}") };
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    seal(&mut packet);
    packet
}

impl Passage {
    /// Nothing is counted for a router's packet: that it concerns a peer was not found out.
    fn if_broken(&self, reason: Reason) -> Outcome {
        if self.by_router { Outcome::NotOurs } else { Outcome::NotRewritten(reason) }
    }

    /// What is wrong with the packet when its total length is `len`.
    fn outcome_with_total_len(&self, len: usize) -> Result<(), Reason> {
        let header_len = 20 + self.datagram.options.len();
        let shortest = match self.datagram.protocol {
            TCP => 20,
            DCCP => 12,
            UDP | UDP_LITE | ICMP => 8,
            _ => 0,
        };
        let quoted_header_len = match &self.datagram.quoted {
            Some((quoted, _)) => 20 + quoted.options.len(),
            None => 0,
        };
        if len < header_len {
            Err(Reason::Malformed)
        } else if len < header_len + shortest {
            Err(Reason::Truncated)
        } else if len < header_len + shortest + quoted_header_len {
            Err(Reason::MalformedQuote)
        } else {
            Ok(())
        }
    }

    /// The packet afterwards: a quoted checksum that is not all within the packet is left alone,
    /// and so is the one over the ICMP message.
    fn after_with_total_len(&self, len: usize) -> Vec<u8> {
        let mut after = self.after.clone();
        if let Some((quoted, _)) = &self.datagram.quoted {
            let icmp = 20 + self.datagram.options.len();
            let transport = icmp + 8 + 20 + quoted.options.len();
            let checksum = match quoted.protocol {
                TCP => transport + 16,
                UDP => transport + 6,
                _ => len,
            };
            if checksum + 2 > len {
                let unmended = checksum.min(after.len())..(checksum + 2).min(after.len());
                for range in [icmp + 2..icmp + 4, unmended] {
                    after[range.clone()].copy_from_slice(&self.before[range]);
                }
            }
        }
        with_total_len(&after, len)
    }
}
