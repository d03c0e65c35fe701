//! The part behind the header of an ICMP or ICMPv6 message: bytes, or the packet that an error quotes.

use super::IpPacket;
use super::setters::setters;

/// The bytes behind the eight of the header.
#[derive(Clone, Debug)]
pub enum Body {
    /// Bytes, taken as they are.
    Bytes(Vec<u8>),
    /// A packet, or the beginning of one.
    Quote(Quote),
}

impl Body {
    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Quote(quote) => quote.to_bytes(),
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Quote> for Body {
    fn from(quote: Quote) -> Self {
        Self::Quote(quote)
    }
}

/// A quoted packet as a value, so that it is built anew for other addresses, checksums and all,
/// before it is cut.
#[derive(Clone, Debug)]
pub struct Quote {
    /// The packet that the error is about.
    pub packet: Box<IpPacket>,
    /// The number of its bytes that are there, from its IP header on; all of them if none.
    pub kept: Option<usize>,
    /// The rest of the message: padding, and extensions of
    /// [RFC 4884](https://www.rfc-editor.org/rfc/rfc4884).
    pub extension: Vec<u8>,
}

impl Quote {
    /// The whole of `packet`.
    #[must_use]
    pub fn of(packet: impl Into<IpPacket>) -> Self {
        Self { packet: Box::new(packet.into()), kept: None, extension: Vec::new() }
    }

    /// The same, cut after `kept` bytes, IP header included.
    #[must_use]
    pub fn cut(mut self, kept: usize) -> Self {
        self.kept = Some(kept);
        self
    }

    /// The same, cut `kept` bytes behind the IP header and its options or extension headers.
    #[must_use]
    pub fn cut_behind_header(self, kept: usize) -> Self {
        let header_len = self.packet.header_len();
        self.cut(header_len + kept)
    }

    setters! {
        /// The same, with `extension` between the quoted bytes and the end of the message.
        extension: Vec<u8>;
    }

    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.packet.to_bytes();
        if let Some(kept) = self.kept {
            bytes.truncate(kept);
        }
        bytes.extend(&self.extension);
        bytes
    }
}
