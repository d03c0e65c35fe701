//! Defines and parses a prefix or a single address: the value of a member's `private`, `public` or `underlay`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::address_problem::AddressProblem;

/// A version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IP version 4.
    Ipv4,
    /// IP version 6.
    Ipv6,
}

impl Family {
    /// Both versions.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The number of bits of an address.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::Ipv4 => 32,
            Self::Ipv6 => 128,
        }
    }

    /// The minimum length of a member's prefix: no network has an allocation larger than an IPv4 /8 or an IPv6
    /// /16.
    pub(crate) const fn least_bits(self) -> u8 {
        match self {
            Self::Ipv4 => 8,
            Self::Ipv6 => 16,
        }
    }

    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

/// A network whose host bits are zero, or a single address, which is a prefix of full length.
///
/// `Display` prints the file's form: it omits the length of a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The prefix of `length` bits that begins with `address`.
    ///
    /// # Errors
    /// [`AddressProblem::LengthTooLarge`] and [`AddressProblem::HostBits`].
    pub fn new(address: IpAddr, length: u8) -> Result<Self, AddressProblem> {
        let family = Family::of(address);
        if length > family.bits() {
            return Err(AddressProblem::LengthTooLarge {
                text: format!("{address}/{length}"),
                family,
            });
        }
        let network = Self { address: network(address, length), length };
        if network.address == address {
            Ok(network)
        } else {
            Err(AddressProblem::HostBits { address, network })
        }
    }

    /// The prefix's IP version.
    #[must_use]
    pub const fn family(&self) -> Family {
        Family::of(self.address)
    }

    /// The number of leading bits that the prefix's addresses share.
    #[must_use]
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// The prefix's first address, which is the only address of a prefix of full length.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// True if the prefix holds exactly one address.
    #[must_use]
    pub const fn is_single(&self) -> bool {
        self.length == self.family().bits()
    }

    /// True if the prefix holds `address`.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Family::of(address) == self.family() && network(address, self.length) == self.address
    }

    /// True if the two prefixes share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.family() == other.family()
            && self.first() <= other.last()
            && other.first() <= self.last()
    }

    /// The prefix's first address as a number.
    pub(crate) fn first(&self) -> u128 {
        match self.address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        }
    }

    /// The prefix's last address as a number.
    pub(crate) fn last(&self) -> u128 {
        self.first() | host_mask(self.family().bits() - self.length)
    }
}

impl From<IpAddr> for Prefix {
    fn from(address: IpAddr) -> Self {
        Self { address, length: Family::of(address).bits() }
    }
}

impl From<Ipv4Addr> for Prefix {
    fn from(address: Ipv4Addr) -> Self {
        IpAddr::from(address).into()
    }
}

impl From<Ipv6Addr> for Prefix {
    fn from(address: Ipv6Addr) -> Self {
        IpAddr::from(address).into()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)?;
        if self.is_single() {
            return Ok(());
        }
        write!(f, "/{}", self.length)
    }
}

impl FromStr for Prefix {
    type Err = AddressProblem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(AddressProblem::Empty);
        }
        if text.trim() != text {
            return Err(AddressProblem::WhiteSpace(text.to_owned()));
        }
        let (before, length) = match text.split_once('/') {
            Some((before, length)) => (before, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = before.parse().map_err(|_| diagnose(text, before))?;
        let family = Family::of(address);
        let length = length.map_or(Ok(family.bits()), |length| length_of(text, length, family))?;
        Self::new(address, length)
    }
}

/// A mask of the `bits` lowest bits.
fn host_mask(bits: u8) -> u128 {
    match 1u128.checked_shl(bits.into()) {
        Some(above) => above - 1,
        None => u128::MAX,
    }
}

/// `address` with all bits after the first `length` cleared.
fn network(address: IpAddr, length: u8) -> IpAddr {
    let host = u32::from(Family::of(address).bits().saturating_sub(length));
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(host).unwrap_or_default();
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(host).unwrap_or_default();
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

/// Parses `length`, the part of `text` after the slash.
fn length_of(text: &str, length: &str, family: Family) -> Result<u8, AddressProblem> {
    let is_number = !length.is_empty()
        && length.bytes().all(|byte| byte.is_ascii_digit())
        && (length == "0" || !length.starts_with('0'));
    if !is_number {
        return Err(AddressProblem::NotALength {
            text: text.to_owned(),
            length: length.to_owned(),
        });
    }
    length
        .parse()
        .ok()
        .filter(|length| *length <= family.bits())
        .ok_or_else(|| AddressProblem::LengthTooLarge { text: text.to_owned(), family })
}

/// Finds the reason why `address` does not parse. `address` is the part of `text` before the slash, or all of `text` if
/// it has no slash.
fn diagnose(text: &str, address: &str) -> AddressProblem {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return AddressProblem::Port { text: text.to_owned(), address: socket.ip() };
    }
    if address.contains('%') && address.contains(':') {
        return AddressProblem::Zone(text.to_owned());
    }
    let parts: Vec<&str> = address.split('.').collect();
    let is_dotted = parts.len() == 4
        && parts
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    if is_dotted && parts.iter().any(|part| part.len() > 1 && part.starts_with('0')) {
        return AddressProblem::LeadingZero(text.to_owned());
    }
    if is_dotted {
        return AddressProblem::PartTooLarge(text.to_owned());
    }
    AddressProblem::NotAnAddress(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().expect(text)
    }

    #[test]
    fn prefixes_print_as_they_are_written() {
        for text in [
            "10.0.0.1",
            "10.0.0.0/24",
            "0.0.0.0/0",
            "10.0.0.2/31",
            "2001:db8::1",
            "2001:db8::/32",
            "::/0",
        ] {
            assert_eq!(prefix(text).to_string(), text);
        }
    }

    #[test]
    fn a_prefix_of_full_length_is_the_address() {
        assert_eq!(prefix("10.0.0.1/32"), prefix("10.0.0.1"));
        assert_eq!(prefix("2001:DB8::1/128"), prefix("2001:db8::1"));
        assert_eq!(prefix("10.0.0.1"), Ipv4Addr::new(10, 0, 0, 1).into());
        assert_eq!(prefix("::2"), Ipv6Addr::from_bits(2).into());
    }

    #[test]
    fn first_and_last_bound_the_range() {
        for (text, first, last) in [
            ("10.0.0.1", 0x0a00_0001, 0x0a00_0001),
            ("10.0.0.0/24", 0x0a00_0000, 0x0a00_00ff),
            ("0.0.0.0/0", 0, 0xffff_ffff),
            ("::/0", 0, u128::MAX),
            ("::1:0/112", 0x1_0000, 0x1_ffff),
        ] {
            assert_eq!((prefix(text).first(), prefix(text).last()), (first, last));
        }
    }

    #[test]
    fn a_prefix_contains_the_addresses_from_first_to_last() {
        for (range, address, contained) in [
            ("10.0.0.0/24", "10.0.0.0", true),
            ("10.0.0.0/24", "10.0.0.255", true),
            ("10.0.0.0/24", "10.0.1.0", false),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("0.0.0.0/0", "::", false),
            ("::/0", "ffff::", true),
            ("2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff", true),
            ("2001:db8::/64", "2001:db8:0:1::", false),
        ] {
            let address: IpAddr = address.parse().expect(address);
            assert_eq!(prefix(range).contains(address), contained, "{range} {address}");
        }
    }

    #[test]
    fn overlap_is_a_matter_of_shared_addresses_in_one_family() {
        for (a, b, overlap) in [
            ("10.0.0.0/24", "10.0.0.255", true),
            ("10.0.0.0/24", "10.0.1.0", false),
            ("10.0.0.0/8", "10.3.0.0/16", true),
            ("10.0.0.0/25", "10.0.0.128/25", false),
            ("0.0.0.0/0", "::/0", false),
            ("::a00:1", "10.0.0.1", false),
            ("2001:db8::/64", "2001:db8::1", true),
        ] {
            assert_eq!(prefix(a).overlaps(&prefix(b)), overlap, "{a} {b}");
            assert_eq!(prefix(b).overlaps(&prefix(a)), overlap, "{b} {a}");
        }
    }

    #[test]
    fn host_bits_name_the_network() {
        for (text, network) in [
            ("10.0.0.1/24", "10.0.0.0/24"),
            ("10.0.0.1/0", "0.0.0.0/0"),
            ("10.0.0.3/31", "10.0.0.2/31"),
            ("2001:db8::1/64", "2001:db8::/64"),
            ("2001:db8::1/0", "::/0"),
        ] {
            match text.parse::<Prefix>() {
                Err(AddressProblem::HostBits { network: found, .. }) => {
                    assert_eq!(found, prefix(network));
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn texts_that_are_no_address_are_told_apart() {
        for (text, said) in [
            ("", "is empty"),
            (" ", "white space"),
            ("10.0.0.1 ", "white space"),
            ("10.0.0.1:80", "has a port"),
            ("[2001:db8::1]:80", "has a port"),
            ("fe80::1%eth0", "has a zone"),
            ("010.0.0.1", "begins with 0"),
            ("10.0.0.256", "more than 255"),
            ("10.0.0.99999999999999999999", "more than 255"),
            ("10.0.0", "not an IP address"),
            ("10.0.0.1.2", "not an IP address"),
            ("10..0.1", "not an IP address"),
            ("srva", "not an IP address"),
            ("/24", "not an IP address"),
            ("10.0.0.0/", "not a number of bits"),
            ("10.0.0.0/+8", "not a number of bits"),
            ("10.0.0.0/08", "not a number of bits"),
            ("10.0.0.0/24/24", "not a number of bits"),
            ("10.0.0.0/255.255.255.0", "not a number of bits"),
            ("10.0.0.0/33", "IPv4 has 32 bits"),
            ("10.0.0.0/256", "IPv4 has 32 bits"),
            ("2001:db8::/129", "IPv6 has 128 bits"),
        ] {
            let problem = text.parse::<Prefix>().expect_err(text);
            assert!(problem.to_string().contains(said), "{text}: {problem}");
            assert!(!problem.help().is_empty());
        }
    }
}
