//! Finds the destination of a path probe.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::Prefix;

/// The address in `public` that corresponds to the private address `host`: the host part stays the same. Both are of one
/// family, and `host` belongs to a private prefix as long as `public`.
#[must_use]
pub fn host_in(public: Prefix, host: IpAddr) -> IpAddr {
    let length = u32::from(public.length());
    match (public.address(), host) {
        (IpAddr::V4(network), IpAddr::V4(host)) => {
            let of_host = u32::MAX.checked_shr(length).unwrap_or(0);
            Ipv4Addr::from_bits(network.to_bits() | host.to_bits() & of_host).into()
        }
        (IpAddr::V6(network), IpAddr::V6(host)) => {
            let of_host = u128::MAX.checked_shr(length).unwrap_or(0);
            Ipv6Addr::from_bits(network.to_bits() | host.to_bits() & of_host).into()
        }
        (network, _) => network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_part_stays_the_same_and_a_single_address_has_none() {
        for (public, host, expected) in [
            ("203.0.113.2", "10.0.0.2", "203.0.113.2"),
            ("203.0.113.0/24", "10.0.0.77", "203.0.113.77"),
            ("2001:db8:b::2", "fd00::2", "2001:db8:b::2"),
            ("2001:db8:b::/64", "fd00::4:5", "2001:db8:b::4:5"),
        ] {
            let public = public.parse().expect("a prefix");
            let host = host.parse().expect("an address");
            assert_eq!(host_in(public, host).to_string(), expected);
        }
    }
}
