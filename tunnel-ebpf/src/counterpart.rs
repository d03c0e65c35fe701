//! Reads an entry's other address, and proves that the entry still belongs to the address that was looked up.

use core::mem::offset_of;

use tunnel_common::peers::Peer;

use crate::address::{Address as _, Words};
use crate::peer_entry::SharedPeer;

/// [`crate::address::Address::counterpart`] for IPv4: one word holds both addresses.
///
/// # Safety
/// The entry lies at a multiple of 8 bytes.
#[inline(always)]
pub(crate) unsafe fn counterpart_of_v4(
    Words([address]): Words<1>,
    shared: &SharedPeer<[u8; 4]>,
    is_private: bool,
) -> (Words<1>, bool) {
    const OFFSET: usize = offset_of!(Peer<[u8; 4]>, private);
    const { assert!(OFFSET.is_multiple_of(8)) };
    // SAFETY: the caller guarantees the alignment, and both addresses lie at this offset.
    let [private, public] = halves(unsafe { shared.pair(OFFSET) });
    let (own, other) = if is_private { (private, public) } else { (public, private) };
    (Words([other]), own == address)
}

/// [`crate::address::Address::counterpart`] for IPv6. The words of [`tunnel_common::peers::tie`] prove that the entry
/// holds both addresses, without a read of `address` itself from the entry.
///
/// # Safety
/// The entry lies at a multiple of 8 bytes.
#[inline(always)]
pub(crate) unsafe fn counterpart_of_v6(
    address: Words<4>,
    shared: &SharedPeer<[u8; 16]>,
    is_private: bool,
) -> (Words<4>, bool) {
    const PRIVATE: usize = offset_of!(Peer<[u8; 16]>, private);
    const PUBLIC: usize = offset_of!(Peer<[u8; 16]>, public);
    const TIE: usize = offset_of!(Peer<[u8; 16]>, tie);
    const { assert!(PRIVATE.is_multiple_of(8) && PUBLIC.is_multiple_of(8) && TIE.is_multiple_of(8)) };
    // SAFETY: the caller guarantees the alignment, and all words lie at these offsets.
    let words = |offset| unsafe { [shared.pair(offset), shared.pair(offset + 8)] };
    let own = address.long_words();
    let (other, tie) = (words(if is_private { PUBLIC } else { PRIVATE }), words(TIE));
    let (private, public) = if is_private { (own, other) } else { (other, own) };
    let mark = tunnel_common::peers::mark(private);
    let untied = (public[0] ^ mark ^ tie[0]) | (public[1] ^ mark ^ tie[1]);
    (Words(quarters(other)), untied == 0)
}

/// The two 4-byte words of an 8-byte word, in memory order.
#[inline(always)]
pub(crate) const fn halves(pair: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = pair.to_ne_bytes();
    [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
}

#[inline(always)]
const fn quarters([first, second]: [u64; 2]) -> [u32; 4] {
    let ([a, b], [c, d]) = (halves(first), halves(second));
    [a, b, c, d]
}
