//! What this version can rewrite, of all that a file can say: single IPv4 addresses.

use std::net::{IpAddr, Ipv4Addr};

use super::address_problem::AddressProblem;
use super::prefix::Prefix;
use super::role::Role;
use super::unicast::check_range;
use crate::address::{Private, Public, Underlay};

/// The address of a prefix that this version can rewrite.
pub(super) fn single_ipv4(range: &Prefix) -> Result<Ipv4Addr, AddressProblem> {
    match range.address() {
        IpAddr::V6(_) => Err(AddressProblem::Ipv6NotYet(*range)),
        IpAddr::V4(_) if !range.is_single() => Err(AddressProblem::PrefixNotYet(*range)),
        IpAddr::V4(address) => Ok(address),
    }
}

fn parse_address(role: Role, text: &str) -> Result<Ipv4Addr, AddressProblem> {
    let range = text.parse()?;
    check_range(role, &range)?;
    single_ipv4(&range)
}

/// Reads a private address that this version can rewrite, from a command line for example.
///
/// # Errors
/// Any [`AddressProblem`].
pub fn parse_private(text: &str) -> Result<Private, AddressProblem> {
    parse_address(Role::Private, text).map(Private)
}

/// Reads a public address that this version can rewrite, from a command line for example.
///
/// # Errors
/// Any [`AddressProblem`].
pub fn parse_public(text: &str) -> Result<Public, AddressProblem> {
    parse_address(Role::Public, text).map(Public)
}

/// Reads an underlay address that this version can rewrite, from a command line for example.
///
/// # Errors
/// Any [`AddressProblem`].
pub fn parse_underlay(text: &str) -> Result<Underlay, AddressProblem> {
    parse_address(Role::Underlay, text).map(Underlay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_ipv4_addresses_are_rewritten() {
        let address = Ipv4Addr::new(10, 0, 0, 1);
        assert_eq!(parse_private("10.0.0.1"), Ok(Private(address)));
        assert_eq!(parse_public("10.0.0.1/32"), Ok(Public(address)));
        assert_eq!(parse_underlay("10.0.0.1"), Ok(Underlay(address)));
    }

    #[test]
    fn the_rest_is_refused_only_once_it_is_right() {
        for (text, said) in [
            ("2001:db8::1", "IPv6, which this version"),
            ("2001:db8::/64", "IPv6, which this version"),
            ("10.0.0.0/24", "a prefix, which this version"),
            ("ff02::1", "multicast"),
            ("10.0.0.1/24", "host bits"),
            ("169.254.1.1", "link-local"),
        ] {
            let problem = parse_public(text).expect_err(text);
            assert!(problem.to_string().contains(said), "{text}: {problem}");
        }
    }
}
