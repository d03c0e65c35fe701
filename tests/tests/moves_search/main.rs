//! Searches all states of hosts that move. In every order of files, packets and notices, every packet reaches the right
//! host.
//!
//! The programs' decisions run over the loader's plans. The search assumes that a notice arrives or is lost while its
//! sender still follows the same file, and that a packet arrives within the drain. At most one data packet is in
//! flight, since data packets change no host's state. At most four notices are in flight in a search with two hosts,
//! and at most two in a search with three hosts.

mod host;
mod packet;
mod search;

use host::Fault;
use search::{Found, Scenario, Steps};

/// A scenario. `files` has, for each file, the last byte of each host's public address.
fn scenario<const H: usize>(files: &[[u8; H]], steps: Steps) -> Scenario {
    let files = files.iter().map(|file| file.to_vec()).collect();
    Scenario { files, steps, fault: None, notices: if H == 2 { 4 } else { 2 } }
}

fn require_none_bad(what: &str, scenario: &Scenario) {
    let Found { states, bad } = search::search(scenario);
    println!("{what}: {states} states, {} bad", bad.len());
    assert!(bad.is_empty(), "{what}: {:#?}", &bad[..bad.len().min(3)]);
    assert!(states > 100, "{what}: {states} states are no search");
}

#[test]
fn one_of_three_hosts_moves() {
    require_none_bad("one of three", &scenario(&[[1, 2, 3], [1, 12, 3]], Steps::AtOnce));
}

#[test]
#[ignore = "takes minutes: cargo test --release -p tests --test moves_search -- --ignored"]
fn three_hosts_move_in_one_revision() {
    require_none_bad("all of three", &scenario(&[[1, 2, 3], [11, 12, 13]], Steps::AtOnce));
}

#[test]
fn two_hosts_move_in_one_revision_at_each_step_of_the_change() {
    require_none_bad("two, in steps", &scenario(&[[1, 2], [11, 12]], Steps::OneByOne));
}

#[test]
fn two_hosts_move_twice_at_each_step_of_the_change() {
    let files = [[1, 2], [11, 12], [21, 22]];
    require_none_bad("two, twice, in steps", &scenario(&files, Steps::OneByOne));
}

#[test]
fn one_host_goes_back() {
    require_none_bad("one goes back", &scenario(&[[1, 2], [1, 12], [1, 2]], Steps::AtOnce));
}

#[test]
fn two_hosts_go_back() {
    require_none_bad("two go back", &scenario(&[[1, 2], [11, 12], [1, 2]], Steps::AtOnce));
}

#[test]
#[ignore = "takes minutes: cargo test --release -p tests --test moves_search -- --ignored"]
fn two_of_three_hosts_move_twice() {
    let files = [[1, 2, 3], [11, 12, 3], [21, 22, 3]];
    require_none_bad("two of three, twice", &scenario(&files, Steps::AtOnce));
}

/// Requires that the search finds this fault in the plans.
fn require_found(fault: Fault) {
    let scenario = scenario(&[[1, 2], [11, 12]], Steps::AtOnce);
    let Found { states, bad } = search::search(&Scenario { fault: Some(fault), ..scenario });
    println!("{fault:?}: {states} states, {} bad", bad.len());
    assert!(!bad.is_empty(), "{fault:?} goes unseen");
}

#[test]
fn a_host_that_sends_to_the_new_address_at_once_is_found() {
    require_found(Fault::SendsAtOnce);
}

#[test]
fn a_host_that_ends_former_addresses_while_peers_are_awaited_is_found() {
    require_found(Fault::EndsAtOnce);
}
