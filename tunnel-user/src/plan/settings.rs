//! Computes the settings of the programs: the minimum that the interface and the members need.

use std::net::IpAddr;

use tunnel_common::settings::{Settings, VLAN_ANY};

use crate::model::Family;
use crate::plan::membership::Membership;
use crate::plan::range::Address;
use crate::plan::vlan::Vlan;

/// The part of the settings that comes from the interface and its addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceSettings {
    /// The number of bytes before the network header.
    pub link_header_len: u8,
    /// The tagged frames that the programs handle.
    pub vlan: Vlan,
    /// This host's private address, which no packet from outside may use. 0 turns this check off.
    pub guarded_v4: [u8; 4],
    /// Like `guarded_v4`, for IPv6.
    pub guarded_v6: [u8; 16],
}

impl InterfaceSettings {
    /// The settings of an interface that holds the addresses `held`. If `held` contains this host's private address,
    /// hosts on the interface's network may use that address, so the programs do not guard it.
    #[must_use]
    pub fn of(membership: &Membership, link_header_len: u8, vlan: Vlan, held: &[IpAddr]) -> Self {
        Self {
            link_header_len,
            vlan,
            guarded_v4: guarded(membership, held),
            guarded_v6: guarded(membership, held),
        }
    }
}

impl From<&Settings> for InterfaceSettings {
    fn from(settings: &Settings) -> Self {
        let Settings { link_header_len, guarded_v4, guarded_v6, .. } = *settings;
        let vlan = Vlan::from_codes(settings.vlan, settings.vlan_id);
        Self { link_header_len, vlan, guarded_v4, guarded_v6 }
    }
}

/// The guarded address: this host's private address, or 0 if the interface holds this address, or if it is also the
/// underlay address. On a gateway, the result is 0, because the programs look up the private addresses instead.
fn guarded<A: Address>(membership: &Membership, held: &[IpAddr]) -> A {
    let identity = &membership.identity;
    let single = identity.single(A::FAMILY).filter(|_| !identity.is_gateway());
    let single = single.filter(|own| own.private().0 != own.underlay().0);
    let address = single.map(|own| own.private().0.address());
    address.filter(|address| !held.contains(address)).and_then(A::of).unwrap_or_default()
}

/// The settings for `membership` on an interface. `has_moved` is true if this host still has previous underlay
/// addresses.
#[must_use]
pub fn settings(
    membership: &Membership,
    interface: &InterfaceSettings,
    has_moved: bool,
) -> Settings {
    let (vlan, vlan_id) = interface.vlan.codes();
    let any = |wanted: &dyn Fn(Family, bool) -> bool| {
        let mut addresses = membership.peers.iter().flat_map(|peer| &peer.addresses);
        u8::from(addresses.any(|a| wanted(a.family(), a.is_single())))
    };
    let bypasses =
        !membership.bypass.is_empty() || membership.peers.iter().any(|p| !p.bypass.is_empty());
    Settings {
        link_header_len: interface.link_header_len,
        ipv4: any(&|family, _| family == Family::Ipv4),
        ipv6: any(&|family, _| family == Family::Ipv6),
        prefixes_v4: any(&|family, single| family == Family::Ipv4 && !single),
        prefixes_v6: any(&|family, single| family == Family::Ipv6 && !single),
        gateway: u8::from(membership.identity.is_gateway()),
        bypass: u8::from(bypasses),
        moved: u8::from(has_moved),
        vlan,
        reserved: 0,
        vlan_id,
        guarded_v4: interface.guarded_v4,
        guarded_v6: interface.guarded_v6,
    }
}

/// The settings that suit the maps of both states: every feature that either state needs. The link header's length and
/// the VLAN settings come from `wanted`. An address is guarded only if both states guard the same address.
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
        vlan: wanted.vlan,
        reserved: 0,
        vlan_id: wanted.vlan_id,
        guarded_v4: agreed(running.guarded_v4, wanted.guarded_v4),
        guarded_v6: agreed(running.guarded_v6, wanted.guarded_v6),
    }
}

fn agreed<A: Address>(running: A, wanted: A) -> A {
    if running == wanted { wanted } else { A::default() }
}

/// The settings with every feature on, which are the hardest case for the kernel's verifier.
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
        vlan: VLAN_ANY,
        reserved: 0,
        vlan_id: 0,
        guarded_v4: [10, 0, 0, 1],
        guarded_v6: [0xfd; 16],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, local: &[&str]) -> Settings {
        let interface = InterfaceSettings { link_header_len: 14, ..InterfaceSettings::default() };
        settings(&Membership::of_text(text, local), &interface, false)
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
    fn the_private_address_is_guarded_unless_the_interface_holds_it() {
        let of = |local: &[&str], held: &[IpAddr]| {
            let membership = Membership::of_text(IPV4, local);
            InterfaceSettings::of(&membership, 14, Vlan::None, held).guarded_v4
        };
        assert_eq!(of(&["a"], &["198.51.100.2".parse().unwrap()]), [10, 0, 0, 1]);
        assert_eq!(of(&["a"], &["10.0.0.1".parse().unwrap()]), [0; 4]);
        assert_eq!(of(&["a", "b"], &[]), [0; 4], "a gateway looks its addresses up");
    }

    #[test]
    fn on_the_way_from_one_to_another_both_are_served() {
        let running = Settings { ipv4: 1, bypass: 1, ..Settings::default() };
        let wanted = Settings { link_header_len: 14, ipv6: 1, gateway: 1, ..Settings::default() };
        let both = both(&running, &wanted);
        assert_eq!((both.ipv4, both.ipv6, both.bypass, both.gateway), (1, 1, 1, 1));
        assert_eq!((both.link_header_len, both.prefixes_v4), (14, 0));
    }

    #[test]
    fn every_feature_of_either_is_served_and_no_other() {
        let all = |on| Settings {
            ipv4: on,
            ipv6: on,
            prefixes_v4: on,
            prefixes_v6: on,
            gateway: on,
            bypass: on,
            moved: on,
            ..Settings::default()
        };
        for (running, wanted, served) in [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)] {
            assert_eq!(both(&all(running), &all(wanted)), all(served), "{running} {wanted}");
        }
    }

    #[test]
    fn an_address_that_only_one_of_them_guards_is_not_guarded_meanwhile() {
        let guards = |last: u8| {
            let mut guarded_v6 = [0; 16];
            guarded_v6[15] = last;
            Settings { guarded_v4: [10, 0, 0, last], guarded_v6, ..Settings::default() }
        };
        assert_eq!(both(&guards(1), &guards(1)), guards(1));
        for running in [guards(2), Settings::default()] {
            assert_eq!(both(&running, &guards(1)), Settings::default());
        }
    }

    #[test]
    fn the_part_of_the_interface_is_read_back_from_the_settings() {
        let interface = InterfaceSettings {
            link_header_len: 14,
            vlan: Vlan::One(100),
            guarded_v4: [10, 0, 0, 1],
            guarded_v6: [0xfd; 16],
        };
        let settings = settings(&Membership::of_text(IPV4, &["a"]), &interface, true);
        assert_eq!(InterfaceSettings::from(&settings), interface);
        assert_eq!(settings.moved, 1);
    }

    #[test]
    fn an_ipv4_network_switches_on_no_ipv6_prefixes() {
        let text = r#"
            [[member]]
            name = "a"
            private = ["10.0.0.1", "fd00::1"]
            public = ["198.51.100.2", "2001:db8::2"]
            [[member]]
            name = "b"
            private = ["10.0.2.0/24", "fd00::2"]
            public = ["203.0.2.0/24", "2001:db8::3"]
        "#;
        let settings = of(text, &["a"]);
        assert_eq!((settings.ipv4, settings.ipv6), (1, 1));
        assert_eq!((settings.prefixes_v4, settings.prefixes_v6), (1, 0));
    }
}
