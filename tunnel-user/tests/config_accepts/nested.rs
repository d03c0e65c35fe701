//! Tests ranges that lie within another member's range.

use super::right;

fn cluster(members: &[(&str, &str, &str)]) -> Vec<String> {
    let text: String = members
        .iter()
        .enumerate()
        .map(|(n, (private, public, more))| {
            format!(
                "[[member]]\nname = \"m{n}\"\nprivate = \"{private}\"\npublic = \"{public}\"\n{more}\n"
            )
        })
        .collect();
    let cluster = right(&text);
    cluster.members().iter().flat_map(|m| m.mappings()).map(|m| m.private().to_string()).collect()
}

#[test]
fn a_single_address_within_a_network() {
    let found = cluster(&[("10.0.0.0/24", "203.0.113.0/24", ""), ("10.0.0.9", "192.0.2.9", "")]);
    assert_eq!(found, ["10.0.0.0/24", "10.0.0.9"]);
}

#[test]
fn networks_within_networks_in_both_roles_and_any_order() {
    let found = cluster(&[
        ("10.0.7.0/24", "203.0.113.0/24", ""),
        ("10.0.0.0/16", "203.0.0.0/16", ""),
        ("10.0.7.128/25", "203.0.113.0/25", ""),
        ("10.0.7.0/32", "203.0.113.77", ""),
        ("fd00::/48", "2001:db8::/48", ""),
        ("fd00::1", "2001:db8::1", ""),
    ]);
    assert_eq!(found.len(), 6);
}

#[test]
fn public_networks_alone() {
    cluster(&[("10.1.0.0/24", "203.0.113.0/24", ""), ("10.2.0.9", "203.0.113.9", "")]);
}

#[test]
fn a_public_address_within_a_network_that_is_written_as_underlay_too() {
    cluster(&[
        ("10.1.0.0/24", "203.0.113.0/24", "underlay = \"203.0.113.0/24\""),
        ("10.2.0.9", "203.0.113.9", "underlay = \"203.0.113.9/32\""),
    ]);
}

#[test]
fn underlay_networks_around_those_of_others() {
    cluster(&[
        ("10.1.0.0/24", "203.0.113.0/24", "underlay = \"172.31.0.0/24\""),
        ("10.2.0.9", "192.0.2.9", "underlay = \"172.31.0.9\""),
    ]);
}
