//! The new addresses of an ICMP error and of its quote, and the place of the quoted checksum.

use core::hint::black_box;

use crate::address::{Address, Addresses};
use crate::packet::ChecksumKind;

/// The addresses that an error and its quote are to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpErrorRewrite<A> {
    /// The addresses of the error itself.
    pub wire: Addresses<A>,
    /// The addresses of the quoted packet, if it is rewritten.
    pub quoted: Addresses<A>,
    /// True if it is.
    pub has_quote: bool,
    /// Where the ICMP message begins, in bytes.
    pub header_len: u32,
    /// The quoted transport checksum.
    pub quoted_checksum: QuotedChecksum,
    /// The slot of the peer that it is counted for.
    pub slot: u32,
}

impl<A: Address> IcmpErrorRewrite<A> {
    /// Something to fill in.
    #[must_use]
    #[inline(always)]
    pub fn none() -> Self {
        let none = Addresses { source: A::NONE, destination: A::NONE };
        Self {
            wire: none,
            quoted: none,
            has_quote: false,
            header_len: 0,
            quoted_checksum: QuotedChecksum::new(0, ChecksumKind::None),
            slot: 0,
        }
    }
}

/// The checksum to update in a quoted packet, if the quote reaches as far. It goes from one function of
/// the programs to another by way of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotedChecksum {
    /// Where it stands, from the start of the packet that quotes it.
    pub(super) offset: u32,
    /// A [`ChecksumKind`], as a number that the verifier does not know.
    kind: u16,
}

impl QuotedChecksum {
    /// Swapped and swapped back: kernels before 6.8 know nothing of what a swap gives. Of a value that
    /// they know they may forget, behind a call, that another one leads elsewhere
    /// (docs/decisions/0017-verifiers-before-6-8.md).
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
