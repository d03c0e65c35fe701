//! Describes why a text is not a bypass rule, and the remedy.

use super::bypass::BypassProtocol;
use super::text::quoted;

/// The reason why a text is not a bypass rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BypassProblem {
    /// The text has no characters.
    #[error("the bypass rule is empty")]
    Empty,
    /// There is white space in the text.
    #[error("the bypass rule {} has white space in it", quoted(.0))]
    WhiteSpace(String),
    /// The part before the slash is empty, or the text consists of a port alone.
    #[error("the bypass rule {} has no protocol", quoted(.0))]
    NoProtocol(String),
    /// The part before the slash is an unknown protocol.
    #[error("the bypass rule {}: {} is not a protocol with ports", quoted(.text), quoted(.protocol))]
    UnknownProtocol {
        /// The text.
        text: String,
        /// The part before the slash.
        protocol: String,
    },
    /// The part before the slash is a protocol without ports.
    #[error("the bypass rule {}: {} has no ports", quoted(.text), quoted(.protocol))]
    WithoutPorts {
        /// The text.
        text: String,
        /// The part before the slash.
        protocol: String,
    },
    /// The protocol has uppercase letters.
    #[error("the bypass rule {} has uppercase letters", quoted(.text))]
    Capitals {
        /// The text.
        text: String,
        /// The protocol.
        protocol: BypassProtocol,
    },
    /// The port is before the slash, and the protocol is after it.
    #[error("the bypass rule {} begins with its port", quoted(.text))]
    Reversed {
        /// The text.
        text: String,
        /// The rule in the right order.
        right: String,
    },
    /// The protocol has no port after it.
    #[error("the bypass rule {} has no port", quoted(.text))]
    NoPort {
        /// The text.
        text: String,
        /// The protocol.
        protocol: BypassProtocol,
    },
    /// The part after the slash is not a number, or begins with a zero.
    #[error("the bypass rule {}: {} is not a port", quoted(.text), quoted(.port))]
    NotAPort {
        /// The text.
        text: String,
        /// The part after the slash.
        port: String,
    },
    /// The part after the slash is a list or a range of ports.
    #[error("the bypass rule {} has several ports", quoted(.text))]
    SeveralPorts {
        /// The text.
        text: String,
        /// The protocol.
        protocol: BypassProtocol,
    },
    /// The port is 0, which no packet of a flow has.
    #[error("the bypass rule {} has the port 0", quoted(.0))]
    PortZero(String),
    /// The port does not fit into 16 bits.
    #[error("the bypass rule {} has a port that is more than 65535", quoted(.0))]
    PortTooLarge(String),
}

impl BypassProblem {
    /// The remedy.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Empty => "write protocol and port, such as \"tcp/22\"".into(),
            Self::WhiteSpace(text) => {
                let dense: String = text.split_whitespace().collect();
                format!("write {} without it", quoted(&dense))
            }
            Self::NoProtocol(_) => format!("put {PROTOCOLS} and a / in front, such as \"tcp/22\""),
            Self::UnknownProtocol { .. } => {
                format!("the protocol is {PROTOCOLS}, such as \"tcp/22\"")
            }
            Self::WithoutPorts { .. } => {
                format!("leave it out: only protocols with ports can be bypassed, {PROTOCOLS}")
            }
            Self::Capitals { protocol, .. } => {
                format!("begin it with \"{protocol}/\", in lowercase letters")
            }
            Self::Reversed { right, .. } => format!("write {}", quoted(right)),
            Self::NoPort { protocol, .. } => {
                format!("put a / and the port behind it, such as \"{protocol}/22\"")
            }
            Self::NotAPort { .. } => {
                "write the port as a number from 1 to 65535, without zeros in front".into()
            }
            Self::SeveralPorts { protocol, .. } => {
                format!("write a rule for each: bypass = [\"{protocol}/22\", \"{protocol}/80\"]")
            }
            Self::PortZero(_) | Self::PortTooLarge(_) => {
                "write the port as a number from 1 to 65535".into()
            }
        }
    }
}

const PROTOCOLS: &str = "tcp, udp, udplite, dccp or sctp";
