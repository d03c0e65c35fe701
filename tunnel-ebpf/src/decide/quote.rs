//! Parses the packet that an ICMP error quotes, and computes the new checksums over the quote.

use tunnel_common::outcome::Reason;

use super::error_rewrite::{IcmpErrorRewrite, QuotedChecksum};
use crate::checksum::{ChecksumKind, add, delta, delta16, update};
use crate::family::Family;
use crate::packet::Packet;
use crate::parse::icmp;
use crate::parse::ip::{Fragment, Ip};
use crate::rewrite::NewChecksum;

/// A quoted packet.
pub struct Quote<A> {
    /// The quoted packet's offset.
    pub offset: usize,
    /// The quoted packet's headers, and the part of its payload that is present.
    pub ip: Ip<A>,
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
    // If the error states the quote's length, the quote ends there, and extensions follow (RFC 4884, section 7).
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

/// The new checksums of the quoted transport header and of the ICMP message, for the addresses in `new`.
///
/// # Errors
/// If the packet ends before these checksums.
#[inline(always)]
pub fn updated_checksums<F: Family, P: Packet>(
    packet: &P,
    header: &F::Header,
    quoted_header: &F::Header,
    new: &IcmpErrorRewrite<F::Address>,
) -> Result<[NewChecksum; 2], Reason> {
    let inner = delta(F::addresses(quoted_header), new.quoted);
    let icmp_offset = new.header_len as usize + icmp::CHECKSUM_OFFSET;
    let icmp = packet.bytes(icmp_offset).ok_or(Reason::Truncated)?;
    // The change of the data under the ICMP checksum. A quoted IPv4 header adds no change: its own checksum compensates
    // for the new addresses.
    let mut changed = if F::HEADER_HAS_CHECKSUM { 0 } else { inner };
    if F::ICMP_HAS_PSEUDO_HEADER {
        changed = add(changed, delta(F::addresses(header), new.wire));
    }
    let mut checksums = [NewChecksum { offset: icmp_offset, checksum: icmp }; 2];
    let offset = new.quoted_checksum.offset as usize;
    let kind = new.quoted_checksum.kind();
    if kind != ChecksumKind::None {
        let old = packet.bytes(offset).ok_or(Reason::MalformedQuote)?;
        let updated = kind.update(old, inner);
        checksums[0] = NewChecksum { offset, checksum: updated };
        changed = add(changed, delta16(old, updated));
    }
    checksums[1].checksum = update(icmp, changed);
    Ok(checksums)
}

/// The checksum to update in a quoted packet.
#[inline(always)]
pub fn checksum_field<F: Family>(quote: &Quote<F::Address>) -> QuotedChecksum {
    let field = F::pseudo_header_checksum(quote.ip.protocol);
    if quote.ip.fragment == Fragment::Later || quote.ip.payload_len < field.offset as u32 + 2 {
        return QuotedChecksum::new(0, ChecksumKind::None);
    }
    QuotedChecksum::new(quote.offset + quote.ip.header_len + field.offset, field.kind)
}
