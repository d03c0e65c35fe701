//! Rejects the addresses that no host can have, or that have no meaning beyond one link.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address::Role;
use super::address_problem::AddressProblem;
use super::prefix::{Family, Prefix};

/// A special-purpose block (RFC 6890) or a multicast block, whose addresses members can't have.
///
/// `Display` prints the block, its purpose and its RFC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Special {
    address: IpAddr,
    length: u8,
    meaning: &'static str,
    source: &'static str,
}

impl Special {
    const fn v4(octets: [u8; 4], length: u8, meaning: &'static str, source: &'static str) -> Self {
        let [a, b, c, d] = octets;
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), length, meaning, source }
    }

    const fn v6(bits: u128, length: u8, meaning: &'static str, source: &'static str) -> Self {
        Self { address: IpAddr::V6(Ipv6Addr::from_bits(bits)), length, meaning, source }
    }

    fn overlaps(&self, range: &Prefix) -> bool {
        Prefix::new(self.address, self.length).is_ok_and(|block| block.overlaps(range))
    }

    /// The remedy for a member with an address in this block.
    pub(crate) fn help(&self) -> String {
        if *self == IPV4_MAPPED {
            return "write it as IPv4, such as \"10.0.0.1\"".into();
        }
        "give the member an address that one host can have, such as \"10.0.0.1\"".into()
    }
}

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, length, meaning, source } = self;
        if *length == Family::Ipv4.bits() && address.is_ipv4() || *length == Family::Ipv6.bits() {
            write!(f, "{address} is {meaning} ({source})")
        } else {
            write!(f, "{address}/{length} is {meaning} ({source})")
        }
    }
}

const IPV4_MAPPED: Special =
    Special::v6(0xffff << 32, 96, "for IPv4 addresses in IPv6 sockets", "RFC 4291, 2.5.5.2");

/// The blocks that hold no unicast addresses. A block within another block comes before the wider block.
const NOT_UNICAST: [Special; 9] = [
    Special::v4([0, 0, 0, 0], 8, "\"this network\"", "RFC 1122, 3.2.1.3"),
    Special::v4([127, 0, 0, 0], 8, "loopback", "RFC 1122, 3.2.1.3"),
    Special::v4([224, 0, 0, 0], 4, "multicast", "RFC 5771"),
    Special::v4([255; 4], 32, "the broadcast address", "RFC 919"),
    Special::v4([240, 0, 0, 0], 4, "reserved", "RFC 1112, 4"),
    Special::v6(0, 128, "the unspecified address", "RFC 4291, 2.5.2"),
    Special::v6(1, 128, "loopback", "RFC 4291, 2.5.3"),
    Special::v6(0xff << 120, 8, "multicast", "RFC 4291, 2.7"),
    IPV4_MAPPED,
];

const LINK_LOCAL_V4: Special = Special::v4([169, 254, 0, 0], 16, "for one link", "RFC 3927");
const LINK_LOCAL_V6: Special = Special::v6(0xfe80 << 112, 10, "for one link", "RFC 4291, 2.5.6");

/// Accepts a range whose addresses can all be unicast addresses.
pub(crate) fn check_unicast_range(range: &Prefix) -> Result<(), AddressProblem> {
    match NOT_UNICAST.iter().find(|special| special.overlaps(range)) {
        None => Ok(()),
        Some(special) => Err(AddressProblem::NotUnicast { range: *range, special: *special }),
    }
}

/// Accepts a range if a member can have all of its addresses in this role.
///
/// An IPv4 link-local address is a valid underlay address: the 1:1 NAT in front of the host is on the same link.
/// An IPv6 link-local address is never valid, because it needs a zone.
pub(super) fn check_range(role: Role, range: &Prefix) -> Result<(), AddressProblem> {
    check_unicast_range(range)?;
    let special = match range.family() {
        Family::Ipv4 if role == Role::Underlay => None,
        Family::Ipv4 => Some(LINK_LOCAL_V4),
        Family::Ipv6 => Some(LINK_LOCAL_V6),
    };
    if let Some(special) = special.filter(|special| special.overlaps(range)) {
        return Err(AddressProblem::LinkLocal { range: *range, role, special });
    }
    if range.length() < range.family().least_bits() {
        return Err(AddressProblem::TooWide(*range));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(role: Role, text: &str) -> String {
        let range = text.parse().expect(text);
        check_range(role, &range).map_or_else(|problem| problem.to_string(), |()| "right".into())
    }

    #[test]
    fn addresses_that_a_host_can_have() {
        for text in [
            "1.0.0.0",
            "10.0.0.1",
            "126.255.255.255",
            "128.0.0.0",
            "100.64.0.1",
            "192.0.2.9",
            "223.255.255.255",
            "10.0.0.0/24",
            "2001:db8::1",
            "fd00::1",
            "fec0::1",
            "::2",
        ] {
            for role in Role::ALL {
                assert_eq!(verdict(role, text), "right", "{role} {text}");
            }
        }
    }

    #[test]
    fn addresses_that_no_host_can_have() {
        for (text, said) in [
            ("0.0.0.0", "0.0.0.0/8 is \"this network\" (RFC 1122"),
            ("0.255.255.255", "0.0.0.0/8 is \"this network\""),
            ("127.0.0.1", "127.0.0.0/8 is loopback"),
            ("127.255.255.255", "127.0.0.0/8 is loopback"),
            ("224.0.0.1", "224.0.0.0/4 is multicast"),
            ("239.255.255.255", "224.0.0.0/4 is multicast"),
            ("240.0.0.1", "240.0.0.0/4 is reserved"),
            ("255.255.255.254", "240.0.0.0/4 is reserved"),
            ("255.255.255.255", "255.255.255.255 is the broadcast"),
            ("126.0.0.0/7", "holds addresses that can't be"),
            ("0.0.0.0/0", "holds addresses that can't be"),
            ("::", ":: is the unspecified address"),
            ("::1", "::1 is loopback"),
            ("::/127", "holds addresses that can't be"),
            ("ff02::1", "ff00::/8 is multicast"),
            ("::ffff:10.0.0.1", "::ffff:0.0.0.0/96 is for IPv4"),
        ] {
            for role in Role::ALL {
                let verdict = verdict(role, text);
                assert!(verdict.contains(said), "{role} {text}: {verdict}");
            }
        }
    }

    #[test]
    fn prefixes_wider_than_any_network_of_hosts() {
        for (text, said) in [
            ("10.0.0.0/8", "right"),
            ("8.0.0.0/7", "8.0.0.0/7 is wider than any network of hosts: fewer than 8 bits"),
            ("64.0.0.0/3", "fewer than 8 bits"),
            ("2002::/16", "right"),
            ("fd00::/15", "fd00::/15 is wider than any network of hosts: fewer than 16 bits"),
            ("2000::/3", "fewer than 16 bits"),
        ] {
            for role in Role::ALL {
                let verdict = verdict(role, text);
                assert!(verdict.contains(said), "{role} {text}: {verdict}");
            }
        }
    }

    #[test]
    fn link_local_addresses_are_a_matter_of_role() {
        for (role, text, said) in [
            (Role::Private, "169.254.0.1", "169.254.0.0/16 is for one link"),
            (Role::Public, "169.254.255.255", "the public address"),
            (Role::Public, "169.0.0.0/8", "the public address"),
            (Role::Underlay, "169.254.0.1", "right"),
            (Role::Private, "fe80::1", "fe80::/10 is for one link"),
            (Role::Public, "febf::1", "fe80::/10 is for one link"),
            (Role::Underlay, "fe80::1", "the underlay address"),
        ] {
            let verdict = verdict(role, text);
            assert!(verdict.contains(said), "{role} {text}: {verdict}");
        }
    }

    #[test]
    fn the_remedy_for_a_mapped_address_is_to_write_it_as_ipv4() {
        let mapped = "::ffff:10.0.0.1".parse().expect("an address");
        let problem = check_unicast_range(&mapped).expect_err("mapped");
        assert!(problem.help().contains("as IPv4"), "{}", problem.help());
    }

    #[test]
    fn every_block_is_a_prefix() {
        for special in NOT_UNICAST.iter().chain([&LINK_LOCAL_V4, &LINK_LOCAL_V6]) {
            assert!(Prefix::new(special.address, special.length).is_ok(), "{special}");
        }
    }
}
