//! Holds the new addresses of an ICMP error and of its quote, and the place of the quoted checksum.

use core::hint::black_box;

use crate::address::{Address, Addresses};
use crate::checksum::ChecksumKind;

/// The new addresses of an error and its quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpErrorRewrite<A> {
    /// The new addresses of the error itself.
    pub wire: Addresses<A>,
    /// The new addresses of the quoted packet, if the program rewrites the quote.
    pub quoted: Addresses<A>,
    /// True if the program rewrites the quoted packet.
    pub has_quote: bool,
    /// True if a router sent the error to this host, about a packet to a peer.
    pub is_from_router: bool,
    /// The offset of the ICMP message, in bytes.
    pub header_len: u32,
    /// The quoted transport checksum.
    pub quoted_checksum: QuotedChecksum,
    /// The slot of the peer that the error counts for.
    pub slot: u32,
}

impl<A: Address> IcmpErrorRewrite<A> {
    /// An empty value to fill in.
    #[must_use]
    #[inline(always)]
    pub fn none() -> Self {
        let none = Addresses { source: A::NONE, destination: A::NONE };
        Self {
            wire: none,
            quoted: none,
            has_quote: false,
            is_from_router: false,
            header_len: 0,
            quoted_checksum: QuotedChecksum::new(0, ChecksumKind::None),
            slot: 0,
        }
    }
}

/// The checksum to update in a quoted packet, if the quote includes the checksum. The programs' functions pass this
/// value to each other on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotedChecksum {
    /// The checksum's offset, from the start of the packet that quotes it.
    pub(super) offset: u32,
    /// A [`ChecksumKind`], as a number whose value the verifier does not know.
    kind: u16,
}

impl QuotedChecksum {
    /// Swaps the bytes of `kind`, and swaps them back, to hide its value from the verifiers of kernels before 6.8,
    /// which do not track the result of a swap. After a call, these verifiers may forget that different values of a
    /// known number lead to different paths (docs/decisions/0017-verifiers-before-6-8.md).
    #[must_use]
    #[inline(always)]
    pub fn new(offset: usize, kind: ChecksumKind) -> Self {
        Self { offset: offset as u32, kind: u16::from_be(black_box((kind as u16).to_be())) }
    }

    #[inline(always)]
    pub(super) const fn kind(self) -> ChecksumKind {
        const ALWAYS: u16 = ChecksumKind::Always as u16;
        const OPTIONAL: u16 = ChecksumKind::Optional as u16;
        match self.kind {
            ALWAYS => ChecksumKind::Always,
            OPTIONAL => ChecksumKind::Optional,
            _ => ChecksumKind::None,
        }
    }
}
