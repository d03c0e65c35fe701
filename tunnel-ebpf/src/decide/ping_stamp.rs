//! Writes this host's stamp into the echo requests of `rewrite ping`. This host's kernel echoes the stamp, which shows
//! the sender that this program handled the request.

use tunnel_common::outcome::Reason;
use tunnel_common::ping::{PEER, STAMP_OFFSET, STRANGER};

use crate::address::{Address, Addresses};
use crate::family::Family;
use crate::packet::PacketMut;
use crate::parse::icmp;
use crate::tables::{Receiver, Tables};

/// The sender of a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A peer. The stamp tells the peer this host's version, revision and digest.
    Peer,
    /// A host without an entry here. The stamp tells the host its own address, as the request arrived.
    Stranger,
}

/// The place of a ping's headers, and the addresses with which the ping arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived<A> {
    /// Source and destination.
    pub wire: Addresses<A>,
    /// Bytes before the ICMP message.
    pub header_len: u32,
}

impl<A: Address> Arrived<A> {
    /// A place to fill in.
    #[must_use]
    #[inline(always)]
    pub const fn none() -> Self {
        Self { wire: Addresses { source: A::NONE, destination: A::NONE }, header_len: 0 }
    }
}

/// Stamps a ping. Four words at a time: a whole stamp takes too much of a program's 512 bytes of stack.
///
/// # Errors
/// If the kernel refuses a write. The message's checksum is wrong then.
#[inline(always)]
pub fn stamp<F: Family, P: PacketMut, T: Tables<F::Address>>(
    packet: &mut P,
    tables: &T,
    sender: Sender,
    arrived: &Arrived<F::Address>,
) -> Result<(), Reason> {
    let [hop_limit] = packet.bytes(F::HOP_LIMIT_OFFSET).ok_or(Reason::Truncated)?;
    let mut writer =
        Writer { offset: arrived.header_len as usize + icmp::HEADER_LEN + STAMP_OFFSET, sum: 0 };
    let (first, version) = match sender {
        Sender::Peer => {
            let Receiver { abi_version: [a0, a1], revision, digest: [d0, d1], version } =
                tables.receiver();
            ([u32::from_ne_bytes([PEER, hop_limit, a0, a1]), revision, d0, d1], version)
        }
        Sender::Stranger => ([u32::from_ne_bytes([STRANGER, hop_limit, 0, 0]), 0, 0, 0], [0; 4]),
    };
    writer.replace(packet, first)?;
    writer.replace(packet, arrived.wire.source.padded())?;
    writer.replace(packet, arrived.wire.destination.padded())?;
    writer.replace(packet, version)?;
    writer.balance(packet)
}

/// Stamps the ping of a host that is no peer, if the ping is to an underlay address of this host.
#[inline(always)]
pub fn for_stranger<F: Family, P: PacketMut, T: Tables<F::Address>>(
    packet: &mut P,
    tables: &T,
    arrived: &Arrived<F::Address>,
) {
    if tables.is_underlay(arrived.wire.destination) {
        // Without its stamp, the ping is an ordinary one.
        let _ = stamp::<F, P, T>(packet, tables, Sender::Stranger, arrived);
    }
}

/// Replaces the words of a stamp in their order.
struct Writer {
    /// The offset of the next word, in bytes.
    offset: usize,
    /// The sum of the replaced words, less the sum of the new words.
    sum: u64,
}

impl Writer {
    #[inline(always)]
    fn replace<P: PacketMut>(&mut self, packet: &mut P, new: [u32; 4]) -> Result<(), Reason> {
        let old: [u32; 4] = packet.words_at(self.offset).ok_or(Reason::Truncated)?;
        for (old, new) in old.iter().zip(new) {
            self.sum += u64::from(*old) + u64::from(!new);
        }
        packet.store_words(self.offset, &new).map_err(|_| Reason::WriteFailed)?;
        self.offset += size_of_val(&new);
        Ok(())
    }

    /// Replaces the last word, so that the stamp's one's complement sum stays the same (RFC 1071).
    #[inline(always)]
    fn balance<P: PacketMut>(self, packet: &mut P) -> Result<(), Reason> {
        let [old] = packet.words_at(self.offset).ok_or(Reason::Truncated)?;
        let sum = self.sum + u64::from(old);
        let sum = (sum & 0xffff_ffff) + (sum >> 32);
        let word = (sum as u32).wrapping_add((sum >> 32) as u32);
        packet.store_words(self.offset, &[word]).map_err(|_| Reason::WriteFailed)
    }
}
