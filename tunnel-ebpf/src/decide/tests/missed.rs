//! Tests packets of a peer whose entry the lookup misses: the kernel's lookup can miss an entry during the entry's
//! replacement.

use tunnel_common::outcome::{Outcome, Reason};

use super::datagram::Datagram;
use super::host::Host;
use super::version::{Version, in_both_versions};

const CONTENDED: Outcome = Outcome::NotRewritten(Reason::Contended);
const REWRITTEN: Outcome = Outcome::Rewritten { slot: 0 };

fn what_is_sent_to_the_peer_is_dropped<F: Version>() {
    let mut host = Host::<F>::srva();
    let sent = Datagram::<F>::tcp(b"data").bytes(F::PRIVATE);
    assert_eq!(host.send(&sent), REWRITTEN);
    host.tables.missed = Some(F::SRVB.private);
    assert_eq!(host.send(&sent), CONTENDED);
}

fn what_arrives_from_the_peer_is_dropped<F: Version>() {
    let mut host = Host::<F>::srva();
    let packets = [Datagram::<F>::tcp(b"data"), Datagram::<F>::udp(b"data")];
    let received = packets.map(|packet| packet.bytes(F::PUBLIC.back()));
    for packet in &received {
        assert_eq!(host.receive(packet), REWRITTEN);
    }
    host.tables.missed = Some(F::SRVB.public);
    for packet in &received {
        assert_eq!(host.receive(packet), CONTENDED);
    }
}

in_both_versions! {
    what_is_sent_to_the_peer_is_dropped,
    what_arrives_from_the_peer_is_dropped,
}
