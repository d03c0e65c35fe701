//! Tests members with IPv6 addresses, with both families, and with prefixes.

use tunnel_user::config::Cluster;
use tunnel_user::model::{Family, Mapping};

use super::{mapping, right};

fn mappings(cluster: &Cluster) -> Vec<(Option<Mapping>, Option<Mapping>)> {
    cluster.members().iter().map(|member| (member.v4, member.v6)).collect()
}

#[test]
fn members_with_ipv6_addresses_only() {
    let cluster = right(
        r#"
        [[member]]
        name = "srva"
        private = "fd00::1"
        public = "2001:db8:a::2"
        [[member]]
        name = "srvb"
        private = "FD00:0:0::2"
        public = "2001:db8:b::2"
        underlay = "fd01::5"
        "#,
    );
    assert_eq!(
        mappings(&cluster),
        [
            (None, Some(mapping("fd00::1", "2001:db8:a::2", "2001:db8:a::2"))),
            (None, Some(mapping("fd00::2", "2001:db8:b::2", "fd01::5"))),
        ]
    );
}

#[test]
fn members_with_both_families_in_any_order() {
    let cluster = right(
        r#"
        [[member]]
        name = "srva"
        private = ["10.0.0.1", "fd00::1"]
        public = ["2001:db8:a::2", "198.51.100.2"]
        [[member]]
        name = "srvb"
        private = ["fd00::2", "10.0.0.2"]
        public = ["203.0.113.2", "2001:db8:b::2"]
        underlay = "172.31.0.5"
        [[member]]
        name = "srvc"
        private = "10.0.0.3"
        public = "192.0.2.3"
        "#,
    );
    assert_eq!(
        mappings(&cluster),
        [
            (
                Some(mapping("10.0.0.1", "198.51.100.2", "198.51.100.2")),
                Some(mapping("fd00::1", "2001:db8:a::2", "2001:db8:a::2")),
            ),
            (
                Some(mapping("10.0.0.2", "203.0.113.2", "172.31.0.5")),
                Some(mapping("fd00::2", "2001:db8:b::2", "2001:db8:b::2")),
            ),
            (Some(mapping("10.0.0.3", "192.0.2.3", "192.0.2.3")), None),
        ]
    );
    let second = &cluster.members()[1];
    let families: Vec<Family> = second.mappings().map(|mapping| mapping.family()).collect();
    assert_eq!(families, [Family::Ipv4, Family::Ipv6]);
    assert_eq!(second.mapping(Family::Ipv4), second.v4);
    assert_eq!(second.mapping(Family::Ipv6), second.v6);
}

#[test]
fn members_that_are_networks() {
    let cluster = right(
        r#"
        [[member]]
        name = "cell"
        private = ["10.0.0.0/24", "fd00::/64"]
        public = ["203.0.113.0/24", "2001:db8::/64"]
        underlay = ["172.31.0.0/24"]
        [[member]]
        name = "widest"
        private = ["11.0.0.0/8", "fd01::/16"]
        public = ["12.0.0.0/8", "2002::/16"]
        "#,
    );
    assert_eq!(
        mappings(&cluster),
        [
            (
                Some(mapping("10.0.0.0/24", "203.0.113.0/24", "172.31.0.0/24")),
                Some(mapping("fd00::/64", "2001:db8::/64", "2001:db8::/64")),
            ),
            (
                Some(mapping("11.0.0.0/8", "12.0.0.0/8", "12.0.0.0/8")),
                Some(mapping("fd01::/16", "2002::/16", "2002::/16")),
            ),
        ]
    );
    assert!(cluster.into_iter().flat_map(|m| m.mappings()).all(|m| !m.is_single()));
}
