//! Writes this host's stamp into the echo requests of `rewrite ping`. This host's kernel echoes the stamp, which shows
//! the sender that this program handled the request.

use tunnel_common::outcome::Reason;
use tunnel_common::ping::{PEER, STAMP_OFFSET, STRANGER};

use super::icmp_message;
use crate::address::{Address as _, Addresses};
use crate::checksum::fold_to_word;
use crate::counterpart::halves;
use crate::family::Family;
use crate::packet::PacketMut;
use crate::parse::icmp::{self, Message};
use crate::tables::{Receiver, Tables};

/// Stamps the packet of a peer if the packet is a ping. The packet arrived with the addresses `wire`, and already has
/// its new addresses.
///
/// # Errors
/// If the kernel refuses a write. The message's checksum is wrong then.
#[inline(always)]
pub fn for_peer<F: Family, P: PacketMut + Copy, T: Tables<F::Address>>(
    packet: P,
    tables: &T,
    wire: &Addresses<F::Address>,
) -> Result<(), Reason> {
    let own = F::header_ref(&packet).ok_or(Reason::Truncated)?;
    let ip = F::parse(&packet, &F::header::<P>(&own))?;
    let message = icmp_message::<F, P>(&packet, &ip);
    if message != Some(Message::EchoRequest) || !icmp::is_ping(&packet, ip.header_len, &ip) {
        return Ok(());
    }
    stamp::<F, P>(packet, PEER, &tables.receiver(), wire, ip.header_len as u32, 0)
}

/// Stamps a ping that arrived with the addresses `wire`, after `header_len` bytes of headers. `sum` is the one's
/// complement sum of the words that change outside the stamp, less the sum of their new values: the stamp's last word
/// balances them too.
///
/// # Errors
/// If the kernel refuses a write. The message's checksum is wrong then.
#[inline(always)]
pub(super) fn stamp<F: Family, P: PacketMut + Copy>(
    packet: P,
    sender: u8,
    receiver: &Receiver,
    wire: &Addresses<F::Address>,
    header_len: u32,
    sum: u64,
) -> Result<(), Reason> {
    let [hop_limit] = packet.bytes(F::HOP_LIMIT_OFFSET).ok_or(Reason::Truncated)?;
    let mut writer =
        Writer { packet, offset: header_len as usize + icmp::HEADER_LEN + STAMP_OFFSET, sum };
    let [a0, a1] = receiver.abi_version;
    let [r0, r1, r2, r3] = receiver.revision;
    let first = u64::from_ne_bytes([sender, hop_limit, a0, a1, r0, r1, r2, r3]);
    writer.replace([first, receiver.digest])?;
    writer.replace(wire.source.long_words())?;
    writer.replace(wire.destination.long_words())?;
    writer.replace(receiver.version)?;
    writer.balance()
}

/// Stamps the ping of a host that is no peer, if the ping is to an underlay address of this host.
#[inline(always)]
pub fn for_stranger<F: Family, P: PacketMut + Copy, T: Tables<F::Address>>(
    packet: P,
    tables: &T,
    wire: &Addresses<F::Address>,
    header_len: u32,
) {
    if tables.is_underlay(wire.destination) {
        // The stranger learns its own address. Behind a 1:1 NAT, this host's underlay address is internal.
        let known = Addresses { source: wire.source, destination: F::Address::NONE };
        // After a refused write, the kernel drops the ping: its checksum is wrong.
        let _ = stamp::<F, P>(packet, STRANGER, &Receiver::default(), &known, header_len, 0);
    }
}

/// Replaces the words of a stamp in their order.
struct Writer<P> {
    packet: P,
    /// The offset of the next word, in bytes.
    offset: usize,
    /// The sum of the replaced words, less the sum of the new words.
    sum: u64,
}

impl<P: PacketMut + Copy> Writer<P> {
    #[inline(always)]
    fn replace(&mut self, [first, second]: [u64; 2]) -> Result<(), Reason> {
        match replaced(self.packet, self.offset, first, second) {
            REFUSED => Err(Reason::WriteFailed),
            sum => {
                self.sum += sum;
                self.offset += size_of::<[u64; 2]>();
                Ok(())
            }
        }
    }

    /// Replaces the last word, so that the stamp's one's complement sum stays the same (RFC 1071).
    #[inline(always)]
    fn balance(mut self) -> Result<(), Reason> {
        let [old] = self.packet.words_at(self.offset).ok_or(Reason::Truncated)?;
        let word = fold_to_word(self.sum + u64::from(old));
        self.packet.store_words(self.offset, &[word]).map_err(|_| Reason::WriteFailed)
    }
}

/// The result of [`replaced`] if the kernel refuses the write.
const REFUSED: u64 = u64::MAX;

/// Replaces four words at `offset`. Returns the sum of the replaced words and of the complements of the new words. This
/// function has its own stack frame: a stamp's words together take too much of a program's 512 bytes of stack. The
/// verifier adds up the frames along each chain of calls, and old verifiers round each frame up to 32 bytes (Linux 6.1,
/// kernel/bpf/verifier.c, check_max_stack_depth).
#[inline(never)]
fn replaced<P: PacketMut>(mut packet: P, offset: usize, first: u64, second: u64) -> u64 {
    let ([a, b], [c, d]) = (halves(first), halves(second));
    let new = [a, b, c, d];
    let Some(old) = packet.words_at::<4>(offset) else { return REFUSED };
    if packet.store_words(offset, &new).is_err() {
        return REFUSED;
    }
    let mut sum = 0;
    for (old, new) in old.iter().zip(new) {
        sum += u64::from(*old) + u64::from(!new);
    }
    sum
}
