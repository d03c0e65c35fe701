//! Defines the payloads of `rewrite ping`.
//!
//! A ping is an echo request between private addresses. The ingress program of the peer writes a stamp into the request,
//! and the peer's kernel echoes the request with its stamp. A host without the program echoes the request unstamped.
//!
//! A path probe is an echo request between this host's underlay address and the peer's public address. The ingress
//! program of the peer stamps the request and answers it itself, so no firewall, route or sysctl of the peer takes part.

use core::mem::offset_of;

use crate::move_notice;

/// The identifier of a ping's echo messages (RFC 792). The kernel gives this identifier to no socket (Linux,
/// net/ipv4/ping.c, ping_get_port).
pub const IDENTIFIER: [u8; 2] = move_notice::IDENTIFIER;

/// The first bytes of a ping's payload, after the echo message's header.
pub const MAGIC: [u8; 8] = *b"rewrite\x02";

/// The first bytes of a path probe's payload. The bytes after them are the same as in a ping.
pub const PROBE_MAGIC: [u8; 8] = *b"rewrite\x03";

/// The offset of the stamp in the payload, in bytes: after the magic and the sender's nonce of 8 bytes.
pub const STAMP_OFFSET: usize = 16;

/// The minimum length of the payload in bytes. Any further bytes are padding.
pub const PAYLOAD_LEN: usize = STAMP_OFFSET + size_of::<Stamp>();

/// Bytes of the version in a stamp, padded with zeros.
pub const VERSION_LEN: usize = 16;

/// In [`Stamp::sender`]: no program has stamped the request.
pub const UNSTAMPED: u8 = 0;
/// In [`Stamp::sender`]: the request came from a peer's public address to this host's underlay address.
pub const PEER: u8 = 1;
/// In [`Stamp::sender`]: the request came from an address without a peer. The stamp holds the source address and the
/// hop limit alone.
pub const STRANGER: u8 = 2;
/// In [`Stamp::sender`]: as [`PEER`], and the program has answered the request itself. Only path probes have this stamp.
pub const ANSWERED: u8 = 3;

/// The time to live or hop limit of a program's answer (RFC 1700, "IP TIME TO LIVE PARAMETER").
pub const ANSWER_HOP_LIMIT: u8 = 64;

/// The stamp of the host that received a request. The sender fills the stamp with zeros. All fields are in network
/// order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The sender from the receiver's view: [`UNSTAMPED`], [`PEER`], [`STRANGER`] or [`ANSWERED`].
    pub sender: u8,
    /// The time to live or hop limit with which the request arrived.
    pub hop_limit: u8,
    /// The receiver's [`crate::ABI_VERSION`].
    pub abi_version: [u8; 2],
    /// The revision of the receiver's file; 0 if the file has none.
    pub revision: [u8; 4],
    /// The digest of the receiver's members, for the request's version of IP.
    pub digest: [u8; 8],
    /// The source address with which the request arrived. An IPv4 address fills the first 4 bytes.
    pub source: [u8; 16],
    /// The destination address with which a peer's request arrived.
    pub destination: [u8; 16],
    /// The receiver's version of `rewrite`: ASCII, padded with zeros.
    pub version: [u8; VERSION_LEN],
    /// Keeps the sum of the stamp, so that the message's checksum stays valid.
    pub balance: [u8; 4],
}

/// True if `octets` are [`MAGIC`]. The check is one comparison.
#[must_use]
#[inline(always)]
pub const fn is_magic(octets: [u8; MAGIC.len()]) -> bool {
    u64::from_ne_bytes(octets) == u64::from_ne_bytes(MAGIC)
}

/// True if `octets` are [`PROBE_MAGIC`]. The check is one comparison.
#[must_use]
#[inline(always)]
pub const fn is_probe_magic(octets: [u8; PROBE_MAGIC.len()]) -> bool {
    u64::from_ne_bytes(octets) == u64::from_ne_bytes(PROBE_MAGIC)
}

const _: () = assert!(size_of::<Stamp>() == 68);
const _: () = assert!(offset_of!(Stamp, balance) == size_of::<Stamp>() - size_of::<u32>());
