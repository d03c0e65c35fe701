//! Tests refused writes: the kernel refuses each of a packet's writes in turn.

use tunnel_common::outcome::{Outcome, Reason, Verdict};

use super::host::Host;
use super::kinds::passages;
use super::slice::Slice;
use super::version::{Version, in_both_versions};

fn a_packet_is_dropped_whichever_of_its_writes_is_refused<F: Version>() {
    for passage in passages::<F>() {
        let host = Host::<F>::srva();
        let mut undisturbed = Slice::new(&passage.before);
        host.pass(passage.direction, &mut undisturbed);
        let writes = undisturbed.attempted_writes();
        assert!(writes > 0, "{}", passage.what);
        for refused in 0..writes {
            let mut packet = Slice::new(&passage.before).refusing(refused);
            let outcome = host.pass(passage.direction, &mut packet);
            let what = format!("{}: write {refused} of {writes}", passage.what);
            assert_eq!(outcome, Outcome::NotRewritten(Reason::WriteFailed), "{what}");
            assert_eq!(outcome.verdict(), Verdict::Drop, "{what}");
            assert_eq!(packet.attempted_writes(), refused + 1, "{what}: it went on");
            assert_eq!(packet.as_bytes() == passage.before, refused == 0, "{what}");
        }
        let mut packet = Slice::new(&passage.before).refusing(writes);
        let outcome = host.pass(passage.direction, &mut packet);
        assert_eq!(outcome, Outcome::Rewritten { slot: 0 }, "{}", passage.what);
        assert_eq!(packet.as_bytes(), passage.after, "{}", passage.what);
    }
}

/// A packet takes one write for the header, and one write for a checksum over the header's addresses. An error takes
/// one write for the header, and up to three writes for the quote and the checksums.
fn a_packet_takes_two_writes_at_most_and_an_error_four<F: Version>() {
    for passage in passages::<F>() {
        let mut packet = Slice::new(&passage.before);
        Host::<F>::srva().pass(passage.direction, &mut packet);
        let most = match passage.datagram.quoted {
            None => 2,
            Some(_) => 4,
        };
        assert!(packet.attempted_writes() <= most, "{}", passage.what);
    }
}

fn a_refused_write_leaves_no_trace_in_the_table_of_flows<F: Version>() {
    for passage in passages::<F>() {
        let host = Host::<F>::srva();
        for refused in 0..4 {
            host.pass(passage.direction, &mut Slice::new(&passage.before).refusing(refused));
        }
        assert_eq!(host.flows(), [], "{}", passage.what);
    }
}

in_both_versions! {
    a_packet_is_dropped_whichever_of_its_writes_is_refused,
    a_packet_takes_two_writes_at_most_and_an_error_four,
    a_refused_write_leaves_no_trace_in_the_table_of_flows,
}
