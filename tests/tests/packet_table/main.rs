//! Runs the programs on single packets through BPF_PROG_TEST_RUN. Each row of the table is {what, direction, packet in,
//! verdict, packet out, counters}. Needs root.
//!
//! Packets in and packets out are built from their fields, with every checksum computed over all covered bytes,
//! independently of the programs' updates. Most rewritten packets then go through the other host's program, which must
//! restore the original packet.
//!
//! A row with an arriving packet runs at tc and, if the kernel accepts the XDP program, at XDP, unless the row names
//! one of the two.

mod addresses;
mod bypass;
mod checksums_of_zero;
mod direct;
mod errors;
mod errors_summing_to_zero;
mod errors_with_broken_quotes;
mod errors_with_other_quotes;
mod extension_headers;
mod families_off;
mod family;
mod flows;
mod fragments;
mod gateway;
mod grace_period;
mod harness;
mod hosts;
mod left_alone;
mod link_headers;
mod malformed;
mod neighbor_discovery;
mod path_probes;
mod prefixes;
mod protocols;
mod row;
mod segments;
mod several_buffers;
mod truncated;
mod underlay_flows;
mod verifier;

use family::Family;
use harness::check;
use row::{Ingress, Row};
use tunnel_common::outcome::Direction;

/// Defines one test for each topic, and `table`, which returns the rows of all topics.
macro_rules! topics {
    ($($test:ident: $topic:ident;)+) => {
        $(
            #[test]
            fn $test() {
                check($topic::rows());
            }
        )+

        /// Every row, by topic.
        fn table() -> Vec<(&'static str, Vec<Row>)> {
            vec![$((stringify!($topic), $topic::rows())),+]
        }
    };
}

topics! {
    every_protocol_is_rewritten_both_ways: protocols;
    checksums_of_zero_are_told_from_none: checksums_of_zero;
    fragments_are_rewritten: fragments;
    extension_headers_are_walked_past: extension_headers;
    neighbor_discovery_is_left_alone: neighbor_discovery;
    segmented_packets_count_as_their_segments: segments;
    packets_in_several_buffers_are_rewritten_at_xdp: several_buffers;
    path_probes_are_answered: path_probes;
    errors_have_their_quote_rewritten: errors;
    quoted_checksums_of_zero_are_told_from_none: errors_summing_to_zero;
    errors_about_other_traffic: errors_with_other_quotes;
    errors_with_a_broken_quote_are_left_alone: errors_with_broken_quotes;
    what_concerns_no_peer_is_left_alone: left_alone;
    addresses_that_do_not_belong_together_are_counted: addresses;
    direct_peers_are_answered_as_they_send: direct;
    truncated_packets_are_left_alone_and_counted: truncated;
    malformed_packets_are_left_alone_and_counted: malformed;
    flows_with_public_addresses_are_left_alone: flows;
    flows_from_the_underlay_address_get_their_replies_there: underlay_flows;
    what_is_on_the_bypass_list_is_left_alone: bypass;
    prefixes_keep_the_host_part: prefixes;
    a_gateway_rewrites_for_the_hosts_behind_it: gateway;
    every_link_header_is_known: link_headers;
    a_family_that_is_off_is_left_alone: families_off;
    resets_from_a_peer_that_may_not_be_attached_yet_are_dropped: grace_period;
}

#[test]
fn the_table_is_long_enough_and_no_row_is_there_twice() {
    let mut names: Vec<String> = Vec::new();
    let mut counts = [[0; 3]; 3];
    for (topic, rows) in table() {
        names.extend(rows.iter().map(|row| format!("{topic}: {row}")));
        for row in &rows {
            let family = match row.there.family {
                Some(Family::V4) => 0,
                Some(Family::V6) => 1,
                None => 2,
            };
            let of_family = &mut counts[family];
            match row.there.direction {
                Direction::Egress => of_family[0] += 1,
                Direction::Ingress => {
                    of_family[1] += usize::from(row.ingress.contains(&Ingress::Tc));
                    of_family[2] += usize::from(row.ingress.contains(&Ingress::Xdp));
                }
            }
        }
    }
    println!("{} rows", names.len());
    for (family, [egress, tc, xdp]) in ["IPv4", "IPv6", "neither"].iter().zip(counts) {
        println!("{family}: {egress} at egress, {tc} at tc ingress, {xdp} at XDP ingress");
    }
    for of_family in &counts[..2] {
        assert!(of_family.iter().all(|count| *count >= 100), "{counts:?}");
    }
    names.sort();
    let mut twice: Vec<&[String]> = names.windows(2).filter(|two| two[0] == two[1]).collect();
    twice.dedup();
    assert!(twice.is_empty(), "{twice:?}");
}
