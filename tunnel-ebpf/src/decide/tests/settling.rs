//! Resets from a peer that may not be attached itself yet.

use tunnel_common::outcome::{Direction, Outcome, Reason, Verdict};

use super::datagram::{Checksum, Datagram, UDP, fragments};
use super::host::{Host, PRIVATE, PUBLIC, SECOND, SRVA, SRVB, SRVC, UPTIME};

const MINUTE: u64 = 60;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

const DROPPED: Outcome = Outcome::NotRewritten(Reason::UnsettledReset);
const REWRITTEN: Outcome = Outcome::Rewritten { slot: 0 };

/// srva, a moment after it was attached.
fn just_attached() -> Host {
    let Ok(settled_at) = u32::try_from(UPTIME + MINUTE) else { panic!("an uptime of ages") };
    Host::settling(SRVA, &[SRVB, SRVC], settled_at)
}

fn segment(flags: u8) -> Datagram {
    let mut segment = Datagram::tcp(b"");
    segment.payload[13] = flags;
    segment
}

fn from_srvb(datagram: &Datagram) -> Vec<u8> {
    datagram.bytes(PUBLIC.back())
}

#[test]
fn a_reset_of_an_unknown_connection_is_dropped_until_the_peer_has_settled() {
    let host = just_attached();
    let reset = from_srvb(&segment(RST));
    for _ in 0..MINUTE {
        let outcome = host.receive(&reset);
        assert_eq!((outcome, outcome.verdict()), (DROPPED, Verdict::Drop));
        assert!(!host.has_settled(SRVB.public));
        host.wait(SECOND);
    }
    assert_eq!(host.receive(&reset), REWRITTEN);
    assert!(host.has_settled(SRVB.public));
    assert!(!host.has_settled(SRVC.public), "nothing came from it");
}

#[test]
fn any_packet_of_the_peer_ends_its_settling_when_it_is_time() {
    let host = just_attached();
    let ping = from_srvb(&Datagram::echo_request(1, b""));
    host.wait(MINUTE * SECOND - 1);
    assert_eq!(host.receive(&ping), REWRITTEN);
    assert!(!host.has_settled(SRVB.public));
    host.wait(1);
    assert_eq!(host.receive(&ping), REWRITTEN);
    assert!(host.has_settled(SRVB.public));
}

#[test]
fn only_a_reset_that_acknowledges_nothing_is_dropped() {
    for options in [0, 12, 40] {
        for flags in 0..=255 {
            // A SYN would end the settling.
            let host = just_attached();
            let packet = Datagram { options: vec![RST; options], ..segment(flags) };
            let is_dropped = flags & RST != 0 && flags & ACK == 0;
            let expected = if is_dropped { DROPPED } else { REWRITTEN };
            assert_eq!(host.receive(&from_srvb(&packet)), expected, "{flags:#04x}, {options}");
        }
    }
}

#[test]
fn a_peer_that_dials_has_settled() {
    for (flags, settles) in [(SYN, true), (SYN | ACK, false), (FIN | ACK, false), (ACK, false)] {
        let host = just_attached();
        assert_eq!(host.receive(&from_srvb(&segment(flags))), REWRITTEN);
        assert_eq!(host.has_settled(SRVB.public), settles, "{flags:#04x}");
        assert!(!host.has_settled(SRVC.public), "nothing came from it");
        let expected = if settles { REWRITTEN } else { DROPPED };
        assert_eq!(host.receive(&from_srvb(&segment(RST))), expected, "{flags:#04x}");
    }
}

#[test]
fn a_settled_peers_resets_arrive() {
    let host = Host::srva();
    for flags in [RST, RST | ACK, SYN, FIN | ACK] {
        let reset = segment(flags);
        let received = host.rewritten(Direction::Ingress, &from_srvb(&reset));
        assert_eq!(received, reset.bytes(PRIVATE.back()));
    }
}

#[test]
fn resets_of_this_host_leave() {
    let host = just_attached();
    let reset = segment(RST);
    let sent = reset.bytes(PRIVATE);
    assert_eq!(host.rewritten(Direction::Egress, &sent), reset.bytes(PUBLIC));
}

#[test]
fn resets_of_a_flow_with_public_addresses_arrive() {
    let host = just_attached();
    let sent = segment(SYN);
    let mut reset = segment(RST);
    reset.payload[..4].rotate_left(2);
    assert_eq!(host.receive(&from_srvb(&reset)), DROPPED);
    host.send(&sent.bytes(PUBLIC));
    let left_alone = Outcome::NotRewritten(Reason::PublicFlow);
    assert_eq!(host.receive(&from_srvb(&reset)), left_alone);
}

#[test]
fn what_only_looks_like_a_reset_is_none() {
    let host = just_attached();
    let zeros = Datagram { protocol: UDP, ..segment(RST) };
    assert_eq!(host.receive(&from_srvb(&zeros)), REWRITTEN, "another protocol");

    let mut data = vec![0; 60];
    data[4 + 13] = RST;
    let datagram = Datagram::tcp(&data);
    let cut = fragments(&from_srvb(&datagram), 24, 40);
    assert_eq!(host.receive(&cut[1]), REWRITTEN, "a later fragment");

    let truncated = Outcome::NotRewritten(Reason::Truncated);
    for len in 0..20 {
        let mut reset = segment(RST);
        reset.payload.truncate(len);
        reset.checksum = Checksum::Without;
        let mut padded = from_srvb(&reset);
        padded.extend([RST; 26]);
        assert_eq!(host.receive(&padded), truncated, "{len} bytes of a segment");
    }
    let mut with_data = segment(RST);
    with_data.payload.extend([0; 12]);
    let cut = fragments(&from_srvb(&with_data), 24, 8);
    assert_eq!(host.receive(&cut[0]), DROPPED, "the first fragment of one that is");
}
