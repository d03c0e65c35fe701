//! Implements [`Packet`] for the `xdp_md` of an XDP program. The program uses direct packet access for headers at
//! offsets that are known at load time. At all other offsets, the program calls helpers, which also read and write
//! packets in several buffers (Linux 5.18, commit 3f364222d032).

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes, bpf_xdp_store_bytes};
use aya_ebpf::programs::XdpContext;
use core::mem::{MaybeUninit, offset_of};
use core::ptr;
use network_types::eth::EthHdr;
use tunnel_common::counters::Count;
use tunnel_ebpf::checksum::ChecksumKind;
use tunnel_ebpf::packet::{Packet, PacketMut, WriteFailed};
use tunnel_ebpf::parse::extension::{Chain, walk};

use crate::dispatch::{Tags, Untagged, Vlan};
use crate::header::Header;
use crate::link::VlanInfo;
use crate::settings::link_header_len;
use crate::unaligned;

/// The offset of Ethernet's ethertype.
const ETHERTYPE_OFFSET: usize = offset_of!(EthHdr, ether_type);

/// The ethertype of a frame, in network order.
#[inline(always)]
pub fn ethertype(ctx: &XdpContext) -> Option<[u8; 2]> {
    let ethertype: *mut [u8; 2] = pointer(ctx, ETHERTYPE_OFFSET)?;
    // SAFETY: `pointer` has checked that the field lies within the packet; bytes need no alignment.
    Some(unsafe { *ethertype })
}

/// Finds the IP header of a frame with tags.
#[inline(always)]
pub fn behind_tags(ctx: &XdpContext) -> Option<VlanInfo> {
    VlanInfo::from_bits(xdp_behind_tags(ctx.ctx))
}

/// A pointer to a `V`, `offset` bytes after the start of the link header, if the packet's first buffer holds all of the
/// `V`. Use only offsets that are known at load time: for a variable offset, LLVM may rearrange the pointer arithmetic
/// into a form that the verifier rejects.
#[inline(always)]
fn pointer<V>(ctx: &XdpContext, offset: usize) -> Option<*mut V> {
    // SAFETY: these fields hold the packet's bounds.
    let (data, end) = unsafe {
        (
            unaligned::bound::<_, { offset_of!(xdp_md, data) }>(ctx.ctx),
            unaligned::bound::<_, { offset_of!(xdp_md, data_end) }>(ctx.ctx),
        )
    };
    unaligned::within(data + offset, end)
}

/// A packet that XDP hands to a program.
#[derive(Clone, Copy)]
pub struct XdpBuff<T> {
    xdp: *mut xdp_md,
    tags: T,
}

impl<T: Tags> XdpBuff<T> {
    /// The packet in a program's context. `tags` precede its network header.
    #[inline(always)]
    pub const fn new(ctx: &XdpContext, tags: T) -> Self {
        Self { xdp: ctx.ctx, tags }
    }

    /// The context of the packet.
    #[inline(always)]
    pub const fn context(&self) -> XdpContext {
        XdpContext::new(self.xdp)
    }

    #[inline(always)]
    fn len(&self) -> u64 {
        // SAFETY: the context is a valid `xdp_md`.
        unsafe { bpf_xdp_get_buff_len(self.xdp) }
    }

    #[inline(always)]
    fn network(&self) -> usize {
        link_header_len() + self.tags.len()
    }

    /// Loads a `V`, which consists of bytes or words, from `offset` bytes after the start of the link header.
    #[inline(always)]
    fn load<V: Copy>(&self, offset: usize) -> Option<V> {
        let mut value = MaybeUninit::<V>::uninit();
        // SAFETY: the helper writes all bytes of the value, or fails.
        let failed = unsafe {
            bpf_xdp_load_bytes(
                self.xdp,
                offset as u32,
                value.as_mut_ptr().cast(),
                size_of::<V>() as u32,
            )
        };
        // SAFETY: all bytes were written, and every bit pattern is a value.
        (failed == 0).then(|| unsafe { value.assume_init() })
    }

    /// Replaces a `V` of bytes or words, `offset` bytes after the start of the network header.
    #[inline(always)]
    fn store<V>(&mut self, offset: usize, value: &V) -> Result<(), WriteFailed> {
        // SAFETY: the helper copies the value into the packet, or fails. It does not write to the value.
        let failed = unsafe {
            bpf_xdp_store_bytes(
                self.xdp,
                (self.network() + offset) as u32,
                ptr::from_ref(value).cast_mut().cast(),
                size_of::<V>() as u32,
            )
        };
        if failed == 0 { Ok(()) } else { Err(WriteFailed) }
    }
}

/// The offsets of TCP's and UDP's checksums from the network header, after IP headers without options. Nearly all
/// packets have their checksums there. A load or store at a known offset needs no helper.
const USUAL_CHECKSUMS: [usize; 4] = [20 + 16, 20 + 6, 40 + 16, 40 + 6];

impl<T: Tags> XdpBuff<T> {
    /// A pointer to the checksum at `offset`, if that offset is a usual one and the packet's first buffer holds the
    /// checksum.
    #[inline(always)]
    fn usual_checksum(&self, offset: usize) -> Option<*mut [u8; 2]> {
        if !T::NONE {
            return None;
        }
        let at = |usual: usize| pointer(&self.context(), link_header_len() + usual);
        let [tcp_v4, udp_v4, tcp_v6, udp_v6] = USUAL_CHECKSUMS;
        match offset {
            _ if offset == tcp_v4 => at(tcp_v4),
            _ if offset == udp_v4 => at(udp_v4),
            _ if offset == tcp_v6 => at(tcp_v6),
            _ if offset == udp_v6 => at(udp_v6),
            _ => None,
        }
    }
}

impl<T: Tags> Packet for XdpBuff<T> {
    type Header<const N: usize> = Header<T, N>;

    #[inline(always)]
    fn extent(&self) -> u32 {
        (self.len() as u32).wrapping_sub(self.network() as u32)
    }

    #[inline(always)]
    fn count(&self) -> Count {
        Count { packets: 1, bytes: self.len() }
    }

    #[inline(always)]
    fn is_segmented(&self) -> bool {
        false
    }

    #[inline(always)]
    fn header<const N: usize>(&self) -> Option<Header<T, N>> {
        if !T::NONE {
            return self.load(self.network()).map(Header::copied);
        }
        // No known driver splits an IP header between buffers: such a packet counts as truncated.
        pointer(&self.context(), link_header_len()).map(Header::at)
    }

    #[inline(always)]
    fn words_at<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        self.load(self.network() + offset)
    }

    #[inline(always)]
    fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.load(self.network() + offset)
    }

    /// Calls a separately verified function. Otherwise, the verifier would multiply the paths through the walk by
    /// all paths that follow.
    #[inline(always)]
    fn past_extensions(&self, start: usize, first: u8, available: u32) -> Chain {
        let (tags_len, start) = (self.tags.len() as u32, start as u32);
        Chain::from_bits(xdp_walk(self.xdp, tags_len, start, first.into(), available))
    }
}

/// Finds the IP header of a tagged frame. A global function, which the kernel verifies once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn xdp_behind_tags(ctx: *mut xdp_md) -> u64 {
    let packet = XdpBuff { xdp: ctx, tags: Untagged };
    VlanInfo::to_bits(VlanInfo::find(|tags_len| packet.load(link_header_len() + tags_len)))
}

/// Walks past extension headers. A global function, which the kernel verifies once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn xdp_walk(
    ctx: *mut xdp_md,
    tags_len: u32,
    start: u32,
    first: u32,
    available: u32,
) -> u64 {
    // Count `start` as part of the tags, so that the walk's offsets begin at 0, at the first extension header: one
    // offset takes less stack than two.
    let packet = XdpBuff { xdp: ctx, tags: Vlan((tags_len + start) as usize) };
    walk(&packet, 0, first as u8, available).to_bits()
}

impl<T: Tags> PacketMut for XdpBuff<T> {
    #[inline(always)]
    fn store_header<const N: usize, const FIRST: usize, const M: usize>(
        &mut self,
        header: &Header<T, N>,
        words: &[u32; M],
    ) -> Result<(), WriteFailed> {
        if !T::NONE {
            return self.store_words(FIRST * size_of::<u32>(), words);
        }
        // SAFETY: the frame has no tags, and the packet belongs to the program.
        unsafe { header.replace::<FIRST, M>(words) };
        Ok(())
    }

    #[inline(always)]
    fn store_words<const N: usize>(
        &mut self,
        offset: usize,
        words: &[u32; N],
    ) -> Result<(), WriteFailed> {
        self.store(offset, words)
    }

    #[inline(always)]
    fn store_checksum(&mut self, offset: usize, checksum: [u8; 2]) -> Result<(), WriteFailed> {
        self.store(offset, &checksum)
    }

    /// Computes the new checksum in the program: a packet from a NIC carries its full checksum, not a partial one. In
    /// generic mode, the packet is an skb, and an XDP program can neither read nor update the skb's checksum state. The
    /// loader therefore refuses generic mode on interfaces whose packets may carry a CHECKSUM_COMPLETE sum that the
    /// kernel computed in software.
    #[inline(always)]
    fn update_l4_checksum(
        &mut self,
        offset: usize,
        delta: u32,
        kind: ChecksumKind,
        _: [u8; 2],
    ) -> Result<(), WriteFailed> {
        if let Some(place) = self.usual_checksum(offset) {
            // SAFETY: a pointer exists only if the whole field lies within the packet.
            let old = unsafe { *place };
            // SAFETY: the whole field lies within the packet, and the packet belongs to the program.
            unsafe { *place = kind.update(old, delta) };
            return Ok(());
        }
        let old: [u8; 2] = self.bytes(offset).ok_or(WriteFailed)?;
        self.store_checksum(offset, kind.update(old, delta))
    }

    /// Does nothing: see [`Self::update_l4_checksum`].
    #[inline(always)]
    fn header_sum_changed(&mut self, _: u32) {}

    /// Does nothing: a packet at XDP is never [`Packet::is_returnable`]. XDP_TX needs a driver with a transmit queue for
    /// XDP, and at a veth also a peer device with NAPI (Linux, drivers/net/veth.c, veth_xdp_xmit).
    #[inline(always)]
    fn swap_link_addresses(&mut self) -> Result<(), WriteFailed> {
        Ok(())
    }
}
