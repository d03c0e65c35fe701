//! What the programs do to a packet: {what, direction, packet in, verdict, packet out, counters},
//! run through BPF_PROG_TEST_RUN. Needs root.
//!
//! Packets in and packets out are built from their fields, with every checksum computed over all
//! that it covers; nothing here knows how the programs mend one. Every rewritten packet then goes
//! through the other host's program and has to come out as it was.

mod addresses;
mod errors;
mod errors_with_broken_quotes;
mod errors_with_other_quotes;
mod flows;
mod fragments;
mod harness;
mod hosts;
mod left_alone;
mod malformed;
mod protocols;
mod row;
mod segments;
mod settling;
mod truncated;

use harness::check;
use row::Row;

#[test]
fn every_protocol_is_rewritten_both_ways() {
    check(protocols::rows());
}

#[test]
fn fragments_are_rewritten() {
    check(fragments::rows());
}

#[test]
fn segmented_packets_count_as_their_segments() {
    check(segments::rows());
}

#[test]
fn errors_have_their_quote_rewritten() {
    check(errors::rows());
}

#[test]
fn errors_about_other_traffic() {
    check(errors_with_other_quotes::rows());
}

#[test]
fn errors_with_a_broken_quote_are_left_alone() {
    check(errors_with_broken_quotes::rows());
}

#[test]
fn what_concerns_no_peer_is_left_alone() {
    check(left_alone::rows());
}

#[test]
fn addresses_that_do_not_belong_together_are_counted() {
    check(addresses::rows());
}

#[test]
fn truncated_packets_are_left_alone_and_counted() {
    check(truncated::rows());
}

#[test]
fn malformed_packets_are_left_alone_and_counted() {
    check(malformed::rows());
}

#[test]
fn flows_with_public_addresses_are_left_alone() {
    check(flows::rows());
}

#[test]
fn resets_from_a_peer_that_may_not_be_attached_yet_are_dropped() {
    check(settling::rows());
}

#[test]
fn the_table_is_long_enough_and_no_row_is_there_twice() {
    let rows: Vec<Row> = [
        protocols::rows(),
        fragments::rows(),
        segments::rows(),
        errors::rows(),
        errors_with_other_quotes::rows(),
        errors_with_broken_quotes::rows(),
        left_alone::rows(),
        addresses::rows(),
        truncated::rows(),
        malformed::rows(),
        flows::rows(),
        settling::rows(),
    ]
    .into_iter()
    .flatten()
    .collect();
    println!("{} rows", rows.len());
    assert!(rows.len() >= 60, "{} rows", rows.len());
    let mut names: Vec<String> = rows.iter().map(ToString::to_string).collect();
    names.sort();
    let mut twice: Vec<&[String]> = names.windows(2).filter(|two| two[0] == two[1]).collect();
    twice.dedup();
    assert!(twice.is_empty(), "{twice:?}");
}
