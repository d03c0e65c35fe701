//! Tests values that are not addresses, and addresses that no member can have.

use super::{Case, Expected, assert_refused, case, with};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = garbage();
    cases.extend(not_unicast());
    cases
}

/// A file with `text` as the second member's private address.
fn private(scenario: &'static str, text: &str, message: &'static str, help: &'static str) -> Case {
    let text = with("private", &format!("\"{text}\""));
    case(scenario, &text, &[Expected(8, message, help)])
}

fn public(scenario: &'static str, text: &str, message: &'static str, help: &'static str) -> Case {
    let text = with("public", &format!("\"{text}\""));
    case(scenario, &text, &[Expected(9, message, help)])
}

fn garbage() -> Vec<Case> {
    vec![
        private("an empty string", "", "the address is empty", "such as \"10.0.0.1\""),
        private("white space only", " ", "white space around", "write"),
        private(
            "white space behind",
            "10.0.0.2 ",
            "\"10.0.0.2 \" has white space",
            "write \"10.0.0.2\" without",
        ),
        private(
            "white space before",
            "\\t10.0.0.2",
            "white space around",
            "write \"10.0.0.2\" without",
        ),
        private(
            "a part of 256",
            "10.0.0.256",
            "\"10.0.0.256\" is not an IP address: a part of it is more than 255",
            "from 0 to 255",
        ),
        private("a leading zero", "010.0.0.1", "begins with 0", "remove the leading zeros"),
        private("three parts", "10.0.2", "\"10.0.2\" is not an IP address", "such as \"10.0.0.1\""),
        private("five parts", "10.0.0.0.2", "is not an IP address", "such as"),
        private("a number", "167772162", "is not an IP address", "such as"),
        private("hexadecimal", "0x0a000002", "is not an IP address", "such as"),
        private(
            "two addresses in one string",
            "10.0.0.2, 10.0.0.3",
            "is not an IP address",
            "such as",
        ),
        private("a range with a dash", "10.0.0.2-10.0.0.9", "is not an IP address", "such as"),
        private("other digits", "１０.0.0.2", "is not an IP address", "such as"),
        public("a host name", "srvb", "\"srvb\" is not an IP address", "does not resolve names"),
        public(
            "a long host name",
            "srvb.example.org",
            "is not an IP address",
            "does not resolve names",
        ),
        public("a URL", "http://203.0.113.2/", "is not an IP address", "such as"),
        public("a port", "203.0.113.2:80", "has a port", "write \"203.0.113.2\": all ports"),
        public("a port on IPv6", "[2001:db8::2]:80", "has a port", "write \"2001:db8::2\""),
        public("a zone", "fe80::2%eth0", "has a zone", "leave out the %"),
        private("a prefix of 33 bits", "10.0.0.0/33", "IPv4 has 32 bits", "from 0 to 32"),
        private("a prefix of 129 bits", "fd00::/129", "IPv6 has 128 bits", "from 0 to 128"),
        private(
            "a prefix without length",
            "10.0.0.0/",
            "\"\" is not a number of bits",
            "\"10.0.0.0/24\"",
        ),
        private(
            "a prefix of less than none",
            "10.0.0.0/-1",
            "\"-1\" is not a number of bits",
            "\"10.0.0.0/24\"",
        ),
        private(
            "a netmask",
            "10.0.0.0/255.255.255.0",
            "is not a number of bits",
            "\"10.0.0.0/24\"",
        ),
        private("two slashes", "10.0.0.0/24/24", "is not a number of bits", "\"10.0.0.0/24\""),
        private(
            "host bits",
            "10.0.0.2/24",
            "10.0.0.2/24 has host bits",
            "write \"10.0.0.2\" for the one address, or \"10.0.0.0/24\" for the network",
        ),
        private("host bits of IPv6", "fd00::2/64", "host bits", "\"fd00::/64\" for the network"),
        private("garbage without end", &"9".repeat(100_000), "is not an IP address", "such as"),
        private("an escape", "\\u001b[2J", "\"\\u{1b}[2J\" is not an IP address", "such as"),
    ]
}

fn not_unicast() -> Vec<Case> {
    let help = "an address that one host can have";
    vec![
        private("the wildcard", "0.0.0.0", "0.0.0.0 can't be a unicast address: 0.0.0.0/8", help),
        private("this network", "0.1.2.3", "\"this network\"", help),
        private("loopback", "127.0.0.1", "127.0.0.0/8 is loopback", help),
        public("multicast", "224.0.0.1", "224.0.0.0/4 is multicast", help),
        public("the last of multicast", "239.255.255.255", "is multicast", help),
        public("reserved", "240.0.0.1", "240.0.0.0/4 is reserved", help),
        public("broadcast", "255.255.255.255", "is the broadcast address", help),
        private(
            "a prefix with loopback in it",
            "126.0.0.0/7",
            "126.0.0.0/7 holds addresses that can't be unicast",
            help,
        ),
        private("all of IPv4", "0.0.0.0/0", "holds addresses that can't be", help),
        private("the wildcard of IPv6", "::", ":: is the unspecified address", help),
        private("loopback of IPv6", "::1", "::1 is loopback", help),
        public("multicast of IPv6", "ff02::1", "ff00::/8 is multicast", help),
        public("all of IPv6", "::/0", "holds addresses that can't be", help),
        public(
            "IPv4 within IPv6",
            "::ffff:203.0.113.2",
            "for IPv4 addresses in IPv6 sockets",
            "write it as IPv4",
        ),
        private(
            "link-local, private",
            "169.254.0.2",
            "the private address 169.254.0.2 is link-local",
            "that routers forward",
        ),
        public(
            "link-local, public",
            "169.254.0.2",
            "the public address 169.254.0.2 is link-local",
            "that routers forward",
        ),
        public("link-local of IPv6", "fe80::2", "fe80::/10", "that routers forward"),
        private(
            "a prefix wider than any network",
            "8.0.0.0/7",
            "8.0.0.0/7 is wider than any network of hosts: fewer than 8 bits",
            "the bits of the member's own network, at least 8",
        ),
        public(
            "a prefix wider than any network of IPv6",
            "2000::/3",
            "2000::/3 is wider than any network of hosts: fewer than 16 bits",
            "at least 16",
        ),
        case(
            "loopback as underlay",
            &with("underlay", "\"127.0.0.1\""),
            &[Expected(10, "is loopback", help)],
        ),
    ]
}

#[test]
fn what_is_no_address_is_refused() {
    assert_refused(&garbage());
}

#[test]
fn addresses_that_no_member_can_have_are_refused() {
    assert_refused(&not_unicast());
}
