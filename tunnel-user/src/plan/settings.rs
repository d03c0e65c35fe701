//! What the programs are loaded with: only what the interface and the members have a use for.

use tunnel_common::settings::Settings;

use crate::config::Family;
use crate::plan::membership::Membership;

/// The settings for `membership` on an interface with a link header of `link_header_len` bytes, of a
/// host that still has addresses from before it moved, or none.
#[must_use]
pub fn settings(membership: &Membership, link_header_len: u8, has_moved: bool) -> Settings {
    let any = |wanted: &dyn Fn(Family, bool) -> bool| {
        let mut addresses = membership.peers.iter().flat_map(|peer| &peer.addresses);
        u8::from(addresses.any(|a| wanted(a.family(), a.is_single())))
    };
    let bypasses =
        !membership.bypass.is_empty() || membership.peers.iter().any(|p| !p.bypass.is_empty());
    Settings {
        link_header_len,
        ipv4: any(&|family, _| family == Family::Ipv4),
        ipv6: any(&|family, _| family == Family::Ipv6),
        prefixes_v4: any(&|family, single| family == Family::Ipv4 && !single),
        prefixes_v6: any(&|family, single| family == Family::Ipv6 && !single),
        gateway: u8::from(membership.identity.is_gateway()),
        bypass: u8::from(bypasses),
        moved: u8::from(has_moved),
    }
}

/// Settings under which programs do right by the maps of either: what one has a use for, and what
/// the other has. The link header is that of `wanted`.
#[must_use]
pub fn both(running: &Settings, wanted: &Settings) -> Settings {
    Settings {
        link_header_len: wanted.link_header_len,
        ipv4: running.ipv4 | wanted.ipv4,
        ipv6: running.ipv6 | wanted.ipv6,
        prefixes_v4: running.prefixes_v4 | wanted.prefixes_v4,
        prefixes_v6: running.prefixes_v6 | wanted.prefixes_v6,
        gateway: running.gateway | wanted.gateway,
        bypass: running.bypass | wanted.bypass,
        moved: running.moved | wanted.moved,
    }
}

/// With all switched on: what is hardest for the kernel's verifier.
#[must_use]
pub const fn everything(link_header_len: u8) -> Settings {
    Settings {
        link_header_len,
        ipv4: 1,
        ipv6: 1,
        prefixes_v4: 1,
        prefixes_v6: 1,
        gateway: 1,
        bypass: 1,
        moved: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, selves: &[&str]) -> Settings {
        settings(&Membership::of_text(text, selves), 14, false)
    }

    const IPV4: &str = r#"
        [[member]]
        name = "a"
        private = "10.0.0.1"
        public = "198.51.100.2"
        [[member]]
        name = "b"
        private = "10.0.0.2"
        public = "203.0.113.2"
    "#;

    #[test]
    fn a_cluster_of_single_ipv4_addresses_pays_for_nothing_else() {
        let wanted = Settings { link_header_len: 14, ipv4: 1, ..Settings::default() };
        assert_eq!(of(IPV4, &["a"]), wanted);
    }

    #[test]
    fn what_peers_have_is_switched_on_and_what_only_self_has_is_not() {
        let text = r#"
            [[member]]
            name = "a"
            private = ["10.0.0.1", "fd00::1"]
            public = ["198.51.100.2", "2001:db8::2"]
            [[member]]
            name = "b"
            private = "fd00:2::/64"
            public = "2001:db8:2::/64"
        "#;
        let settings = of(text, &["a"]);
        assert_eq!((settings.ipv4, settings.ipv6), (0, 1));
        assert_eq!((settings.prefixes_v4, settings.prefixes_v6), (0, 1));
        assert_eq!(settings.gateway, 0);
        assert_eq!(of(text, &["b"]).gateway, 1, "a prefix is more than one host");
    }

    #[test]
    fn bypass_rules_of_the_cluster_of_self_and_of_a_peer_are_switched_on() {
        assert_eq!(of(&format!("bypass = [\"tcp/22\"]\n{IPV4}"), &["a"]).bypass, 1);
        let with_rule = format!("{IPV4}\nbypass = [\"tcp/22\"]");
        assert_eq!(of(&with_rule, &["a"]).bypass, 1);
        assert_eq!(of(&with_rule, &["b"]).bypass, 1);
        assert_eq!(of(IPV4, &["a"]).bypass, 0);
    }

    #[test]
    fn on_the_way_from_one_to_another_both_are_served() {
        let running = Settings { ipv4: 1, bypass: 1, ..Settings::default() };
        let wanted = Settings { link_header_len: 14, ipv6: 1, gateway: 1, ..Settings::default() };
        let both = both(&running, &wanted);
        assert_eq!((both.ipv4, both.ipv6, both.bypass, both.gateway), (1, 1, 1, 1));
        assert_eq!((both.link_header_len, both.prefixes_v4), (14, 0));
    }
}
