//! The packet that an ICMP error quotes, and the checksums over it.

use core::hint::black_box;

use tunnel_common::outcome::Reason;

use super::icmp_error::IcmpErrorRewrite;
use crate::checksum::{added, difference, difference16, mended, mended_optional};
use crate::family::Family;
use crate::packet::{ChecksumKind, Packet};
use crate::parse::icmp;
use crate::parse::ip::{Fragment, Ip};
use crate::rewrite::NewChecksum;

/// A quoted packet.
pub struct Quote<A> {
    /// Where it starts.
    pub offset: usize,
    /// Its headers, and as much of its payload as is there.
    pub ip: Ip<A>,
}

/// The checksum to mend in a quoted packet, if the quote reaches as far. It goes from one function of
/// the programs to another by way of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotedChecksum {
    /// Where it stands, from the start of the packet that quotes it.
    offset: u32,
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
    const fn kind(self) -> ChecksumKind {
        const ALWAYS: u16 = ChecksumKind::Always as u16;
        const OPTIONAL: u16 = ChecksumKind::Optional as u16;
        match self.kind {
            ALWAYS => ChecksumKind::Always,
            OPTIONAL => ChecksumKind::Optional,
            _ => ChecksumKind::None,
        }
    }
}

/// The quote of the ICMP error in `ip`.
///
/// # Errors
/// [`Reason::MalformedQuote`], [`Reason::SourceRouted`] or [`Reason::TooManyHeaders`].
#[inline(always)]
pub fn parse<F: Family, P: Packet>(
    packet: &P,
    ip: &Ip<F::Address>,
) -> Result<Quote<F::Address>, Reason> {
    let Some(mut extent) = ip.payload_len.checked_sub(icmp::HEADER_LEN as u32) else {
        return Err(Reason::MalformedQuote);
    };
    // Extensions follow a quote whose length the error says (RFC 4884, section 7).
    let message = packet.bytes(ip.header_len).ok_or(Reason::MalformedQuote)?;
    let said = F::quote_len(message);
    if said >= icmp::QUOTE_LEN_MIN && said < extent {
        extent = said;
    }
    let offset = ip.header_len + icmp::HEADER_LEN;
    let header = F::quoted_header(packet, offset).ok_or(Reason::MalformedQuote)?;
    let ip = F::parse_quoted(packet, offset, &header, extent)?;
    Ok(Quote { offset, ip })
}

/// The quoted transport checksum and that of the ICMP message, when the error has the addresses
/// `wire` and the quoted packet has `quoted`.
///
/// # Errors
/// If the packet ends before them.
#[inline(always)]
pub fn mended_checksums<F: Family, P: Packet>(
    packet: &P,
    header: &F::Header,
    quoted_header: &F::Header,
    new: &IcmpErrorRewrite<F::Address>,
) -> Result<[NewChecksum; 2], Reason> {
    let inner = difference(F::addresses(quoted_header), new.quoted);
    let icmp_offset = new.header_len as usize + icmp::CHECKSUM_OFFSET;
    let icmp = packet.bytes(icmp_offset).ok_or(Reason::Truncated)?;
    // What changes under the ICMP checksum. A quoted IPv4 header does not: its checksum makes up for
    // its addresses.
    let mut changed = if F::HEADER_HAS_CHECKSUM { 0 } else { inner };
    if F::ICMP_HAS_PSEUDO_HEADER {
        changed = added(changed, difference(F::addresses(header), new.wire));
    }
    let mut checksums = [NewChecksum { offset: icmp_offset, checksum: icmp }; 2];
    let offset = new.quoted_checksum.offset as usize;
    let kind = new.quoted_checksum.kind();
    if kind != ChecksumKind::None {
        let old = packet.bytes(offset).ok_or(Reason::MalformedQuote)?;
        let mended = mended_transport(old, inner, kind);
        checksums[0] = NewChecksum { offset, checksum: mended };
        changed = added(changed, difference16(old, mended));
    }
    checksums[1].checksum = mended(icmp, changed);
    Ok(checksums)
}

/// The checksum to mend in a quoted packet.
#[inline(always)]
pub fn checksum_field<F: Family>(quote: &Quote<F::Address>) -> QuotedChecksum {
    let field = F::pseudo_header_checksum(quote.ip.protocol);
    if quote.ip.fragment == Fragment::Later || quote.ip.payload_len < field.offset as u32 + 2 {
        return QuotedChecksum::new(0, ChecksumKind::None);
    }
    QuotedChecksum::new(quote.offset + quote.ip.header_len + field.offset, field.kind)
}

#[inline(always)]
fn mended_transport(old: [u8; 2], difference: u32, kind: ChecksumKind) -> [u8; 2] {
    match kind {
        ChecksumKind::Optional => mended_optional(old, difference),
        ChecksumKind::Always | ChecksumKind::None => mended(old, difference),
    }
}
