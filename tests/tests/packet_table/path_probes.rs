//! Tests path probes: echo requests between public addresses, which the peer's program answers.

use testkit::packet::{Frame, Ipv4, Ipv6, Link};
use tunnel_common::outcome::{Direction, Reason, Verdict};

use crate::family::{Dual, Packet, packet};
use crate::hosts::{ROUTER, SRVA, SRVB, STRANGER};
use crate::row::{Note, Row, public_in, public_out};

/// The hop limit of the probes that arrive.
const HOP_LIMIT: u8 = 57;
/// The link address of the device of a test run, the loopback device.
const HERE: [u8; 6] = [0; 6];
const MAGIC: &[u8; 8] = b"rewrite\x03";
/// The payload's length in bytes, up to the end of the stamp.
const STAMPED_LEN: usize = 84;
/// In a stamp: the kernel echoes, or the program answers.
const PEER: u8 = 1;
const ANSWERED: u8 = 3;

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>([8, 0], |address| address.v4.octets().to_vec());
    rows.extend(in_family::<Ipv6>([128, 129], |address| address.v6.octets().to_vec()));
    rows
}

/// The payload of a probe of `len` bytes, with zeros in place of the stamp.
fn payload(len: usize) -> Vec<u8> {
    let mut payload = [&MAGIC[..], b"a nonce."].concat();
    payload.resize(STAMPED_LEN, 0);
    payload.extend((STAMPED_LEN..len).map(|index| index as u8 ^ 0x5a));
    payload.truncate(len);
    payload
}

/// The payload of a probe that has arrived from srvb, with its stamp. `types` are the message's types before and after.
fn stamped(len: usize, sender: u8, types: [u8; 2], octets: fn(Dual) -> Vec<u8>) -> Vec<u8> {
    let mut stamp = vec![sender, HOP_LIMIT];
    // The ABI, the revision and the digest of a host without a record are zeros.
    stamp.resize(16, 0);
    for address in [SRVB.public, SRVA.public] {
        let octets = octets(address);
        let padding = vec![0; 16 - octets.len()];
        stamp.extend(octets.into_iter().chain(padding));
    }
    stamp.resize(64, 0);
    // The last word balances all changes: the one's complement sum of the message stays the same (RFC 1071).
    const MODULUS: u64 = 0xffff_ffff;
    let words = stamp.as_chunks().0.iter().map(|word| u64::from(u32::from_le_bytes(*word)));
    let [before, after] = types.map(u64::from);
    let balance = (before + 100 * MODULUS - words.sum::<u64>() - after) % MODULUS;
    stamp.extend((balance as u32).to_le_bytes());
    let mut payload = payload(len);
    payload[16..STAMPED_LEN].copy_from_slice(&stamp);
    payload
}

fn in_family<P: Packet>(types: [u8; 2], octets: fn(Dual) -> Vec<u8>) -> Vec<Row> {
    let request = |identifier, len| -> P { packet(P::echo_request(identifier, payload(len))) };
    let reply: P = packet(P::echo_reply(0, payload(200)));
    let mut rows = Vec::new();
    for len in [STAMPED_LEN, STAMPED_LEN + 1, 200, 1400] {
        let arriving = public_in(&request(0, len)).hop_limit(HOP_LIMIT).to_frame();
        let answer: P = packet(P::echo_reply(0, stamped(len, ANSWERED, types, octets)));
        let answer = sent_back(public_out(&answer).hop_limit(64).to_frame());
        let what = format!("a path probe of {len} bytes");
        rows.push(answered(&what, &arriving.clone().to_hardware(HERE), &answer));
        let echoed: P = packet(P::echo_request(0, stamped(len, PEER, [0; 2], octets)));
        let expected = public_in(&echoed).hop_limit(HOP_LIMIT).to_frame();
        let what = format!("a path probe of {len} bytes to another link address");
        rows.push(changed(Row::new(Direction::Ingress, what, &arriving), &expected));
        let what = format!("a path probe of {len} bytes at XDP");
        let row = Row::new(Direction::Ingress, what, &arriving.to_hardware(HERE)).at_xdp_only();
        rows.push(changed(row, &expected.to_hardware(HERE)));
    }
    let unchanged = |direction, what: &str, packet: &P| {
        Row::new(direction, what, &packet.to_frame().to_hardware(HERE))
            .leaving(SRVB.private, Note::PublicFlows, 0)
            .leaving(SRVB.public, Note::PublicFlows, 0)
    };
    let (out, inward) = (Direction::Egress, Direction::Ingress);
    rows.extend([
        unchanged(out, "a path probe that leaves", &public_out(&request(0, 200))),
        unchanged(out, "the answer to a path probe leaves", &public_out(&reply)),
        unchanged(inward, "the answer to a path probe arrives", &public_in(&reply)),
        unchanged(inward, "a path probe too short for a stamp", &public_in(&request(0, 83))),
        unchanged(
            inward,
            "a path probe with options",
            &public_in(&request(0, 200)).longer_header(8),
        ),
        unchanged(
            inward,
            "a path probe to another address",
            &request(0, 200).addressed(SRVB.public, STRANGER),
        )
        .left_alone_as(Reason::ForeignDestination),
        Row::new(
            inward,
            "a router's error about a path probe",
            &packet::<P>(P::too_big(1400, public_out(&request(0, 200)).to_bytes()))
                .addressed(ROUTER, SRVA.public)
                .to_frame(),
        )
        .left_alone_as(Reason::PublicFlow),
    ]);
    rows
}

/// A row whose packet the program sends back as `answer`.
fn answered(what: &str, arriving: &Frame, answer: &Frame) -> Row {
    let mut row = changed(Row::new(Direction::Ingress, what, arriving), answer).at_tc_only();
    row.there.verdict = Verdict::Redirect;
    row.left_alone_as(Reason::ProbeAnswered)
}

/// A row whose packet becomes `expected` and is not counted for the peer.
fn changed(mut row: Row, expected: &Frame) -> Row {
    row.there.expected = expected.to_bytes();
    row
}

/// A frame from this host to the sender of the default frame.
fn sent_back(mut frame: Frame) -> Frame {
    if let Link::Ethernet(ethernet) = &mut frame.link {
        (ethernet.destination, ethernet.source) = (ethernet.source, HERE);
    }
    frame
}
