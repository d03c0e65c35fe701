//! Parses a text as a range of addresses that a member can have in a role.

use super::address::Role;
use super::address::{Private, Public, Underlay};
use super::address_problem::AddressProblem;
use super::prefix::Prefix;
use super::unicast::check_range;

/// Reads an address or a prefix that a member can have in this role.
pub(crate) fn parse_range(role: Role, text: &str) -> Result<Prefix, AddressProblem> {
    let range = text.parse()?;
    check_range(role, &range)?;
    Ok(range)
}

/// Reads a private address or prefix, from a command line for example.
///
/// # Errors
/// Any [`AddressProblem`].
pub fn parse_private(text: &str) -> Result<Private, AddressProblem> {
    parse_range(Role::Private, text).map(Private)
}

/// Reads a public address or prefix, from a command line for example.
///
/// # Errors
/// Any [`AddressProblem`].
pub fn parse_public(text: &str) -> Result<Public, AddressProblem> {
    parse_range(Role::Public, text).map(Public)
}

/// Reads an underlay address or prefix, from a command line for example.
///
/// # Errors
/// Any [`AddressProblem`].
pub fn parse_underlay(text: &str) -> Result<Underlay, AddressProblem> {
    parse_range(Role::Underlay, text).map(Underlay)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn prefix(address: &str, length: u8) -> Prefix {
        let address: IpAddr = address.parse().expect(address);
        Prefix::new(address, length).expect("a prefix")
    }

    #[test]
    fn both_families_and_any_length_are_read() {
        assert_eq!(parse_private("10.0.0.1"), Ok(Private(prefix("10.0.0.1", 32))));
        assert_eq!(parse_private("fd00::/64"), Ok(Private(prefix("fd00::", 64))));
        assert_eq!(parse_public("198.51.100.0/24"), Ok(Public(prefix("198.51.100.0", 24))));
        assert_eq!(parse_public("2001:db8::1/128"), Ok(Public(prefix("2001:db8::1", 128))));
        assert_eq!(parse_underlay("169.254.0.1"), Ok(Underlay(prefix("169.254.0.1", 32))));
    }

    #[test]
    fn what_is_wrong_with_a_text_or_in_a_role_is_told() {
        for (text, said) in [
            ("srvb", "not an IP address"),
            ("ff02::1", "multicast"),
            ("10.0.0.1/24", "host bits"),
            ("169.254.1.1", "link-local"),
            ("2000::/15", "wider than any network"),
        ] {
            let problem = parse_public(text).expect_err(text);
            assert!(problem.to_string().contains(said), "{text}: {problem}");
        }
    }
}
