//! Builds the body of an ICMP or ICMPv6 message: bytes, or the packet that an error quotes.

use super::IpPacket;
use super::setters::setters;

/// The bytes after the eight-byte ICMP header.
#[derive(Clone, Debug)]
pub enum Body {
    /// Arbitrary bytes.
    Bytes(Vec<u8>),
    /// A packet, or the beginning of one.
    Quote(Quote),
}

impl Body {
    /// The body's bytes.
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

/// The fields of a quoted packet. With them, a test can change the packet's addresses. [`Self::to_bytes`] builds the
/// packet with all checksums, and then cuts it.
#[derive(Clone, Debug)]
pub struct Quote {
    /// The packet that the error is about.
    pub packet: Box<IpPacket>,
    /// The number of quoted bytes, from the packet's IP header on; all of them if `None`.
    pub kept: Option<usize>,
    /// The bytes after the quoted packet: padding, and extensions of
    /// [RFC 4884](https://www.rfc-editor.org/rfc/rfc4884).
    pub extension: Vec<u8>,
}

impl Quote {
    /// A quote of the whole `packet`.
    #[must_use]
    pub fn of(packet: impl Into<IpPacket>) -> Self {
        Self { packet: Box::new(packet.into()), kept: None, extension: Vec::new() }
    }

    /// Cuts the quoted packet after `kept` bytes, IP header included.
    #[must_use]
    pub fn cut(mut self, kept: usize) -> Self {
        self.kept = Some(kept);
        self
    }

    /// Cuts the quoted packet `kept` bytes after the end of its IP header and its options or extension headers.
    #[must_use]
    pub fn cut_behind_header(self, kept: usize) -> Self {
        let header_len = self.packet.header_len();
        self.cut(header_len + kept)
    }

    setters! {
        /// Sets the bytes after the quoted packet.
        extension: Vec<u8>;
    }

    /// The quote's bytes.
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
