//! Defines the bypass rule: the eBPF programs do not rewrite a packet that has the rule's protocol, and the rule's port
//! as its source or destination port.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use super::bypass_problem::BypassProblem;

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BypassProtocol {
    /// TCP (RFC 9293).
    Tcp,
    /// UDP (RFC 768).
    Udp,
    /// UDP-Lite (RFC 3828).
    UdpLite,
    /// DCCP (RFC 4340).
    Dccp,
    /// SCTP (RFC 9260).
    Sctp,
}

impl BypassProtocol {
    /// All protocols, in the documentation's order.
    pub const ALL: [Self; 5] = [Self::Tcp, Self::Udp, Self::UdpLite, Self::Dccp, Self::Sctp];

    /// The protocol's name in a rule.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::UdpLite => "udplite",
            Self::Dccp => "dccp",
            Self::Sctp => "sctp",
        }
    }

    /// The IP protocol number (IANA, Assigned Internet Protocol Numbers).
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::UdpLite => 136,
            Self::Dccp => 33,
            Self::Sctp => 132,
        }
    }

    /// The protocol with this IP protocol number. `None` for any other IP protocol.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.number() == number)
    }
}

impl fmt::Display for BypassProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A rule for the protocol's packets that have the port as their source or destination port. `Display` prints the
/// file's form: `tcp/22`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BypassRule {
    /// The protocol.
    pub protocol: BypassProtocol,
    /// The source or destination port.
    pub port: NonZeroU16,
}

impl fmt::Display for BypassRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol, self.port)
    }
}

impl FromStr for BypassRule {
    type Err = BypassProblem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(BypassProblem::Empty);
        }
        if text.contains(char::is_whitespace) {
            return Err(BypassProblem::WhiteSpace(text.to_owned()));
        }
        let (before, port) = text.split_once('/').unwrap_or((text, ""));
        let Some(protocol) = protocol(before) else {
            return Err(without_protocol(text, before, port));
        };
        if port.is_empty() {
            return Err(BypassProblem::NoPort { text: text.to_owned(), protocol });
        }
        port_of(text, protocol, port).map(|port| Self { protocol, port })
    }
}

fn protocol(word: &str) -> Option<BypassProtocol> {
    BypassProtocol::ALL.into_iter().find(|protocol| protocol.as_str() == word)
}

/// Diagnoses a `text` that does not begin with a protocol with ports.
fn without_protocol(text: &str, before: &str, after: &str) -> BypassProblem {
    let text = text.to_owned();
    if is_number(before)
        && let Some(protocol) = protocol(&after.to_lowercase())
    {
        return BypassProblem::Reversed { right: format!("{protocol}/{before}"), text };
    }
    if let Some(protocol) = protocol(&before.to_lowercase()) {
        return BypassProblem::Capitals { text, protocol };
    }
    if before.is_empty() || (after.is_empty() && is_number(before)) {
        return BypassProblem::NoProtocol(text);
    }
    let protocol = before.to_owned();
    if WITHOUT_PORTS.contains(&before.to_lowercase().as_str()) {
        BypassProblem::WithoutPorts { text, protocol }
    } else {
        BypassProblem::UnknownProtocol { text, protocol }
    }
}

/// The names of protocols without ports that an operator may try to bypass.
const WITHOUT_PORTS: [&str; 14] = [
    "icmp",
    "icmpv6",
    "icmp6",
    "ipv6-icmp",
    "igmp",
    "gre",
    "esp",
    "ah",
    "ospf",
    "vrrp",
    "pim",
    "ipip",
    "l2tp",
    "ip",
];

fn port_of(text: &str, protocol: BypassProtocol, port: &str) -> Result<NonZeroU16, BypassProblem> {
    let not_a_port = || BypassProblem::NotAPort { text: text.to_owned(), port: port.to_owned() };
    if let Some((from, to)) = port.split_once(['-', ':', ','])
        && is_number(from)
        && is_number(to)
    {
        return Err(BypassProblem::SeveralPorts { text: text.to_owned(), protocol });
    }
    if !is_number(port) {
        return Err(not_a_port());
    }
    if port.bytes().all(|digit| digit == b'0') {
        return Err(BypassProblem::PortZero(text.to_owned()));
    }
    if port.starts_with('0') {
        return Err(not_a_port());
    }
    port.parse().map_err(|_| BypassProblem::PortTooLarge(text.to_owned()))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_print_as_they_are_written() {
        for text in ["tcp/1", "tcp/22", "udp/51820", "udplite/65535", "dccp/5001", "sctp/2905"] {
            assert_eq!(text.parse::<BypassRule>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn protocols_have_the_numbers_that_packets_carry() {
        let numbers: Vec<u8> = BypassProtocol::ALL.map(BypassProtocol::number).into();
        assert_eq!(numbers, [6, 17, 136, 33, 132]);
        for number in 0..=u8::MAX {
            let known = numbers.contains(&number).then_some(number);
            assert_eq!(BypassProtocol::from_number(number).map(BypassProtocol::number), known);
        }
    }

    #[test]
    fn texts_that_are_no_rule_are_told_apart() {
        for (text, said, help) in [
            ("", "is empty", "\"tcp/22\""),
            (" tcp/22", "white space", "write \"tcp/22\""),
            ("tcp / 22", "white space", "write \"tcp/22\""),
            ("tcp", "has no port", "such as \"tcp/22\""),
            ("udp/", "has no port", "such as \"udp/22\""),
            ("22", "has no protocol", "tcp, udp, udplite, dccp or sctp"),
            ("/22", "has no protocol", "in front"),
            ("/", "has no protocol", "in front"),
            ("22/tcp", "begins with its port", "write \"tcp/22\""),
            ("TCP/22", "uppercase letters", "begin it with \"tcp/\""),
            ("icmp", "\"icmp\" has no ports", "only protocols with ports can be bypassed"),
            ("ICMPv6/128", "has no ports", "only protocols with ports"),
            ("tpc/22", "\"tpc\" is not a protocol", "tcp, udp, udplite, dccp or sctp"),
            ("6/22", "\"6\" is not a protocol", "tcp, udp, udplite, dccp or sctp"),
            ("tcp/0", "port 0", "from 1 to 65535"),
            ("tcp/000", "port 0", "from 1 to 65535"),
            ("tcp/65536", "more than 65535", "from 1 to 65535"),
            ("tcp/99999999999999999999", "more than 65535", "from 1 to 65535"),
            ("tcp/022", "\"022\" is not a port", "as a number"),
            ("tcp/ssh", "\"ssh\" is not a port", "as a number"),
            ("tcp/+22", "\"+22\" is not a port", "as a number"),
            ("tcp/-22", "\"-22\" is not a port", "as a number"),
            ("tcp/22/23", "\"22/23\" is not a port", "as a number"),
            ("tcp/22-25", "several ports", "a rule for each"),
            ("tcp/22:25", "several ports", "a rule for each"),
            ("tcp/22,25", "several ports", "a rule for each"),
            ("tcp/２２", "is not a port", "as a number"),
        ] {
            let problem = text.parse::<BypassRule>().expect_err(text);
            assert!(problem.to_string().contains(said), "{text}: {problem}");
            assert!(problem.help().contains(help), "{text}: {}", problem.help());
        }
    }
}
