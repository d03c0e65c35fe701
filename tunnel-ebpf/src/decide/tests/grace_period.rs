//! Tests resets from a peer in its grace period: rewrite might not be attached on the peer yet.

use tunnel_common::outcome::{Direction, Outcome, Reason, Verdict};

use super::datagram::{Checksum, Datagram, UDP};
use super::host::{Host, SECOND, UPTIME};
use super::version::{Version, in_both_versions};

const MINUTE: u64 = 60;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

const DROPPED: Outcome = Outcome::NotRewritten(Reason::StrayReset);
const REWRITTEN: Outcome = Outcome::Rewritten { slot: 0 };

/// srva, a moment after its attach.
fn just_attached<F: Version>() -> Host<F> {
    let Ok(grace_until) = u32::try_from(UPTIME + MINUTE) else { panic!("an uptime of ages") };
    let mut host = Host::srva();
    host.tables.change(0, |peer| peer.grace_until = grace_until);
    host.tables.change(1, |peer| peer.grace_until = grace_until);
    host
}

fn segment<F: Version>(flags: u8) -> Datagram<F> {
    let mut segment = Datagram::tcp(b"");
    segment.payload[13] = flags;
    segment
}

fn from_srvb<F: Version>(datagram: &Datagram<F>) -> Vec<u8> {
    datagram.bytes(F::PUBLIC.back())
}

fn a_reset_of_an_unknown_connection_is_dropped_in_the_grace_period_of_the_peer<F: Version>() {
    let host = just_attached::<F>();
    let reset = from_srvb(&segment::<F>(RST));
    for _ in 0..MINUTE {
        let outcome = host.receive(&reset);
        assert_eq!((outcome, outcome.verdict()), (DROPPED, Verdict::Drop));
        assert!(!host.is_past_grace(F::SRVB.public));
        host.wait(SECOND);
    }
    assert_eq!(host.receive(&reset), REWRITTEN);
    assert!(host.is_past_grace(F::SRVB.public));
    assert!(!host.is_past_grace(F::SRVC.public), "nothing came from it");
}

fn any_packet_of_the_peer_ends_its_grace_period_when_it_is_time<F: Version>() {
    let host = just_attached::<F>();
    let ping = from_srvb(&Datagram::<F>::echo_request(1, b""));
    host.wait(MINUTE * SECOND - 1);
    assert_eq!(host.receive(&ping), REWRITTEN);
    assert!(!host.is_past_grace(F::SRVB.public));
    host.wait(1);
    assert_eq!(host.receive(&ping), REWRITTEN);
    assert!(host.is_past_grace(F::SRVB.public));
}

fn only_a_reset_that_acknowledges_nothing_is_dropped<F: Version>() {
    for options in [0, 12, 40] {
        for flags in 0..=255 {
            // Each packet gets a new host, because a SYN ends the peer's grace period on the host.
            let host = just_attached::<F>();
            let packet = segment::<F>(flags).with_options(options);
            let is_dropped = flags & RST != 0 && flags & ACK == 0;
            let expected = if is_dropped { DROPPED } else { REWRITTEN };
            assert_eq!(host.receive(&from_srvb(&packet)), expected, "{flags:#04x}, {options}");
        }
    }
}

fn a_peer_that_dials_is_past_its_grace_period<F: Version>() {
    for (flags, ends_it) in [(SYN, true), (SYN | ACK, false), (FIN | ACK, false), (ACK, false)] {
        let host = just_attached::<F>();
        assert_eq!(host.receive(&from_srvb(&segment::<F>(flags))), REWRITTEN);
        assert_eq!(host.is_past_grace(F::SRVB.public), ends_it, "{flags:#04x}");
        assert!(!host.is_past_grace(F::SRVC.public), "nothing came from it");
        let expected = if ends_it { REWRITTEN } else { DROPPED };
        assert_eq!(host.receive(&from_srvb(&segment::<F>(RST))), expected, "{flags:#04x}");
    }
}

fn resets_arrive_from_a_peer_past_its_grace_period<F: Version>() {
    let host = Host::<F>::srva();
    for flags in [RST, RST | ACK, SYN, FIN | ACK] {
        let reset = segment::<F>(flags);
        let received = host.rewritten(Direction::Ingress, &from_srvb(&reset));
        assert_eq!(received, reset.bytes(F::PRIVATE.back()));
    }
}

fn resets_of_this_host_leave<F: Version>() {
    let host = just_attached::<F>();
    let reset = segment::<F>(RST);
    let sent = reset.bytes(F::PRIVATE);
    assert_eq!(host.rewritten(Direction::Egress, &sent), reset.bytes(F::PUBLIC));
}

fn resets_of_a_flow_with_public_addresses_arrive<F: Version>() {
    let host = just_attached::<F>();
    let sent = segment::<F>(SYN);
    let reset = segment::<F>(RST).answering();
    assert_eq!(host.receive(&from_srvb(&reset)), DROPPED);
    host.send(&sent.bytes(F::PUBLIC));
    let left_alone = Outcome::NotRewritten(Reason::PublicFlow);
    assert_eq!(host.receive(&from_srvb(&reset)), left_alone);
}

fn what_only_looks_like_a_reset_is_none<F: Version>() {
    let host = just_attached::<F>();
    let zeros = Datagram { protocol: UDP, ..segment::<F>(RST) };
    assert_eq!(host.receive(&from_srvb(&zeros)), REWRITTEN, "another protocol");

    let mut data = vec![0; 60];
    data[4 + 13] = RST;
    let cut = Datagram::<F>::tcp(&data).fragments(F::PUBLIC.back(), 24, 40);
    assert_eq!(host.receive(&cut[1]), REWRITTEN, "a later fragment");

    let truncated = Outcome::NotRewritten(Reason::Truncated);
    for len in 0..20 {
        let mut reset = segment::<F>(RST);
        reset.payload.truncate(len);
        reset.checksum = Checksum::Without;
        let mut padded = from_srvb(&reset);
        padded.extend([RST; 26]);
        assert_eq!(host.receive(&padded), truncated, "{len} bytes of a segment");
    }
    let mut with_data = segment::<F>(RST);
    with_data.payload.extend([0; 12]);
    let cut = with_data.fragments(F::PUBLIC.back(), 24, 8);
    assert_eq!(host.receive(&cut[0]), DROPPED, "the first fragment of one that is");
}

fn any_error_of_the_peer_ends_its_grace_period_when_it_is_time<F: Version>() {
    let host = just_attached::<F>();
    let error = from_srvb(&Datagram::<F>::error(&Datagram::udp(b""), 8));
    host.wait(MINUTE * SECOND - 1);
    assert_eq!(host.receive(&error), REWRITTEN);
    assert!(!host.is_past_grace(F::SRVB.public));
    host.wait(1);
    assert_eq!(host.receive(&error), REWRITTEN);
    assert!(host.is_past_grace(F::SRVB.public));
}

/// A SYN to a service on this host's public address does not show that the peer is attached.
fn what_is_left_alone_ends_no_grace_period<F: Version>() {
    let host = just_attached::<F>();
    host.send(&segment::<F>(ACK).bytes(F::PUBLIC));
    let opening = segment::<F>(SYN).answering();
    let left_alone = Outcome::NotRewritten(Reason::PublicFlow);
    assert_eq!(host.receive(&from_srvb(&opening)), left_alone);
    assert!(!host.is_past_grace(F::SRVB.public));
}

in_both_versions! {
    a_reset_of_an_unknown_connection_is_dropped_in_the_grace_period_of_the_peer,
    any_packet_of_the_peer_ends_its_grace_period_when_it_is_time,
    only_a_reset_that_acknowledges_nothing_is_dropped,
    a_peer_that_dials_is_past_its_grace_period,
    resets_arrive_from_a_peer_past_its_grace_period,
    resets_of_this_host_leave,
    resets_of_a_flow_with_public_addresses_arrive,
    what_only_looks_like_a_reset_is_none,
    any_error_of_the_peer_ends_its_grace_period_when_it_is_time,
    what_is_left_alone_ends_no_grace_period,
}
