//! Implements [`Packet`] for the `__sk_buff` of a tc program. The program uses direct packet access for the IP header
//! of an untagged frame, because it needs this header for every packet. At offsets that depend on the packet, the
//! program calls helpers.

use core::hint::cold_path;
use core::mem::{MaybeUninit, offset_of};

use aya_ebpf::bindings::{__sk_buff, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR, BPF_F_RECOMPUTE_CSUM};
use aya_ebpf::helpers::{bpf_csum_update, bpf_skb_load_bytes};
use aya_ebpf::programs::TcContext;
use network_types::eth::EthHdr;
use network_types::ip::{Ipv4Hdr, Ipv6Hdr};
use network_types::udp::UdpHdr;
use tunnel_common::counters::Count;
use tunnel_common::flows::Flow;
use tunnel_ebpf::address::{Address, Addresses};
use tunnel_ebpf::checksum::{
    ChecksumKind, OptionalField, optional_field, update_optional, update_partial,
};
use tunnel_ebpf::packet::{Packet, PacketMut, WriteFailed};
use tunnel_ebpf::parse::extension::{Chain, walk};
use tunnel_ebpf::parse::segments::{Segmented, header_len};

use crate::dispatch::{Tags, Vlan};
use crate::header::Header;
use crate::link::{NO_VLAN, VlanInfo, vlan_id};
use crate::settings::link_header_len;
use crate::socket;
use crate::unaligned;

/// A frame's ethertype, in network order. If the skb's metadata (`vlan_tci`) holds a tag, this is the ethertype after
/// that tag.
#[inline(always)]
pub fn ethertype(ctx: &TcContext) -> [u8; 2] {
    let [e0, e1, ..] = ctx.skb.protocol().to_ne_bytes();
    [e0, e1]
}

/// The VLAN of the tag in the skb's metadata (`vlan_tci`); [`NO_VLAN`] if there is no such tag.
#[inline(always)]
pub fn outer_vlan(ctx: &TcContext) -> u32 {
    // SAFETY: the context of a tc program is a valid `__sk_buff` for as long as it runs.
    let (is_present, control) = unsafe { ((*ctx.skb.skb).vlan_present, (*ctx.skb.skb).vlan_tci) };
    if is_present == 0 { NO_VLAN } else { vlan_id(control) }
}

/// Finds the IP header of a frame with tags.
#[inline(always)]
pub fn behind_tags(ctx: &TcContext) -> Option<VlanInfo> {
    VlanInfo::from_bits(skb_behind_tags(ctx.skb.skb))
}

/// A packet that tc hands to a program.
#[derive(Clone, Copy)]
pub struct Skb<T> {
    /// A raw pointer: a reference to a TcContext would force that context into memory.
    skb: *mut __sk_buff,
    tags: T,
}

impl<T: Tags> Skb<T> {
    /// The packet in a program's context, after the tags `tags`.
    #[inline(always)]
    pub const fn new(ctx: &TcContext, tags: T) -> Self {
        Self { skb: ctx.skb.skb, tags }
    }

    /// The context of the packet.
    #[inline(always)]
    pub const fn context(&self) -> TcContext {
        TcContext::new(self.skb)
    }

    #[inline(always)]
    fn network(&self) -> usize {
        link_header_len() + self.tags.len()
    }

    /// A pointer to a `V` in the IP header of a frame without tags, if the linear part holds all of
    /// it.
    ///
    /// Use only offsets that are known at load time: for a variable offset, LLVM may rearrange the pointer arithmetic
    /// into a form that the verifier rejects.
    #[inline(always)]
    fn pointer<V>(&self, offset: usize) -> Option<*mut V> {
        // SAFETY: these fields hold the packet's bounds.
        let (data, end) = unsafe {
            (
                unaligned::bound::<_, { offset_of!(__sk_buff, data) }>(self.skb),
                unaligned::bound::<_, { offset_of!(__sk_buff, data_end) }>(self.skb),
            )
        };
        unaligned::within(data + link_header_len() + offset, end)
    }

    /// Loads a `V`, which consists of bytes or words, from `offset` bytes after the start of the network header.
    #[inline(always)]
    fn load<V: Copy>(&self, offset: usize) -> Option<V> {
        let mut value = MaybeUninit::<V>::uninit();
        // SAFETY: the helper writes all bytes of the value, or fails.
        let failed = unsafe {
            bpf_skb_load_bytes(
                self.skb.cast(),
                (self.network() + offset) as u32,
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
        // No flags: all stores together leave the sum over the packet unchanged, so the sum of a CHECKSUM_COMPLETE skb
        // stays right.
        self.context().store(self.network() + offset, value, 0).map_err(|_| WriteFailed)
    }

    /// Updates a checksum field as the skb's checksum state requires; the kernel knows the state. With
    /// CHECKSUM_PARTIAL, the field holds the sum of the pseudo-header and not the sum's complement. With
    /// CHECKSUM_COMPLETE, the skb's sum over the packet must change too (Linux, net/core/utils.c,
    /// inet_proto_csum_replace_by_diff).
    #[inline(always)]
    fn update_by_state(&self, offset: usize, delta: u32, flags: u32) -> Result<(), WriteFailed> {
        // A change from 0 to `delta`, with a size of 0 in the flags: the helper adds `delta` unchanged.
        let flags = u64::from(BPF_F_PSEUDO_HDR | flags);
        self.context()
            .l4_csum_replace(self.network() + offset, 0, u64::from(delta), flags)
            .map_err(|_| WriteFailed)
    }

    /// A datagram's checksum field, which starts at `offset`.
    #[inline(always)]
    fn optional_field(&self, offset: usize) -> Option<[u8; 2]> {
        let usual = match offset {
            _ if !T::NONE => None,
            USUAL_IN_V4 => self.pointer(USUAL_IN_V4),
            USUAL_IN_V6 => self.pointer(USUAL_IN_V6),
            _ => None,
        };
        match usual {
            // SAFETY: a pointer exists only if the whole field lies within the packet.
            Some(place) => Some(unsafe { *place }),
            None => {
                cold_path();
                self.bytes(offset)
            }
        }
    }
}

/// The `pkt_type` of a frame to the interface's own link address (Linux, include/uapi/linux/if_packet.h).
const PACKET_HOST: u32 = 0;

/// The offset of UDP's checksum from the network header, after an IP header without options. Nearly all datagrams have
/// their checksum there. A load at a known offset needs no helper.
const USUAL_IN_V4: usize = Ipv4Hdr::LEN + offset_of!(UdpHdr, check);
const USUAL_IN_V6: usize = Ipv6Hdr::LEN + offset_of!(UdpHdr, check);

impl<T: Tags> Packet for Skb<T> {
    type Header<const N: usize> = Header<T, N>;

    #[inline(always)]
    fn extent(&self) -> u32 {
        self.context().len().wrapping_sub(self.network() as u32)
    }

    #[inline(always)]
    fn count(&self) -> Count {
        // SAFETY: the context of a tc program is a valid `__sk_buff` for as long as it runs.
        let segments = unsafe { (*self.skb).gso_segs };
        let packets = match segments {
            0 if self.is_segmented() => {
                cold_path();
                u64::from(skb_segments(self.skb, self.tags.len() as u32))
            }
            0 => 1,
            segments => u64::from(segments),
        };
        Count { packets, bytes: u64::from(self.context().len()) }
    }

    /// Checks `gso_size`, because `gso_segs` may still be 0: senders through a tap or virtio leave the number of
    /// segments to the kernel (Linux, include/linux/virtio_net.h, virtio_net_hdr_to_skb, SKB_GSO_DODGY).
    #[inline(always)]
    fn is_segmented(&self) -> bool {
        // SAFETY: the context of a tc program is a valid `__sk_buff` for as long as it runs.
        unsafe { (*self.skb).gso_size != 0 }
    }

    #[inline(always)]
    fn is_forwarded(&self) -> bool {
        // SAFETY: the context of a tc program is a valid `__sk_buff` for as long as it runs.
        unsafe { (*self.skb).ingress_ifindex != 0 }
    }

    /// True on Ethernet and on links without a header, for a frame to this host's own link address. An answer to any
    /// other frame would leave with a link address that is not this host's.
    #[inline(always)]
    fn is_returnable(&self) -> bool {
        // SAFETY: the context of a tc program is a valid `__sk_buff` for as long as it runs.
        let is_to_this_host = unsafe { (*self.skb).pkt_type } == PACKET_HOST;
        let is_link_supported = link_header_len() == EthHdr::LEN || link_header_len() == 0;
        is_link_supported && is_to_this_host && !self.is_segmented()
    }

    #[inline(always)]
    fn has_socket<A: Address>(&self, flow: &Flow<A::Octets>, ends: &Addresses<A>) -> bool {
        socket::is_there(self.skb, flow, ends)
    }

    #[inline(always)]
    fn header<const N: usize>(&self) -> Option<Header<T, N>> {
        if !T::NONE {
            return self.load(0).map(Header::copied);
        }
        if let Some(header) = self.pointer(0) {
            return Some(Header::at(header));
        }
        cold_path();
        // The next check detects a failure.
        let _ = self.context().pull_data((link_header_len() + size_of::<[u32; N]>()) as u32);
        self.pointer(0).map(Header::at)
    }

    #[inline(always)]
    fn words_at<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        self.load(offset)
    }

    #[inline(always)]
    fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.load(offset)
    }

    /// Calls a separately verified function. Otherwise, the verifier would multiply the paths through the walk by
    /// all paths that follow.
    #[inline(always)]
    fn past_extensions(&self, start: usize, first: u8, available: u32) -> Chain {
        let (tags_len, start) = (self.tags.len() as u32, start as u32);
        Chain::from_bits(skb_walk(self.skb, tags_len, start, first.into(), available))
    }
}

/// Finds the IP header of a tagged frame.
///
/// A global function (Linux 5.6, commit 51c39bb1d5d1): its arguments are the context and numbers.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn skb_behind_tags(ctx: *mut __sk_buff) -> u64 {
    let ctx = TcContext::new(ctx);
    VlanInfo::to_bits(VlanInfo::find(|tags_len| ctx.load(link_header_len() + tags_len).ok()))
}

/// Counts the segments of a packet if the kernel has not counted them. A global function, like [`skb_behind_tags`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn skb_segments(ctx: *mut __sk_buff, tags_len: u32) -> u32 {
    let packet = Skb::new(&TcContext::new(ctx), Vlan(tags_len as usize));
    // SAFETY: the context is a valid `__sk_buff`.
    let segment_len = unsafe { (*ctx).gso_size };
    Segmented { len: packet.extent(), header_len: header_len(&packet), segment_len }.count()
}

/// Walks past extension headers. A global function, like [`skb_behind_tags`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn skb_walk(
    ctx: *mut __sk_buff,
    tags_len: u32,
    start: u32,
    first: u32,
    available: u32,
) -> u64 {
    // Count `start` as part of the tags, so that the walk's offsets begin at 0, at the first extension header: one
    // offset takes less stack than two.
    let packet = Skb::new(&TcContext::new(ctx), Vlan((tags_len + start) as usize));
    walk(&packet, 0, first as u8, available).to_bits()
}

impl<T: Tags> PacketMut for Skb<T> {
    #[inline(always)]
    fn store_header<const N: usize, const FIRST: usize, const M: usize>(
        &mut self,
        header: &Header<T, N>,
        words: &[u32; M],
    ) -> Result<(), WriteFailed> {
        if !T::NONE {
            return self.store_words(FIRST * size_of::<u32>(), words);
        }
        // SAFETY: the frame has no tags, and the verifier makes the packet private before the program's first
        // instruction (Linux, net/core/filter.c, tc_cls_act_prologue).
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

    #[inline(always)]
    fn update_l4_checksum(
        &mut self,
        offset: usize,
        delta: u32,
        kind: ChecksumKind,
        partial: [u8; 2],
    ) -> Result<(), WriteFailed> {
        if kind != ChecksumKind::Optional {
            return self.update_by_state(offset, delta, 0);
        }
        let field = self.optional_field(offset).ok_or(WriteFailed)?;
        let new = match optional_field(field, partial, self.is_segmented()) {
            OptionalField::None => return Ok(()),
            OptionalField::ByState => {
                return self.update_by_state(offset, delta, BPF_F_MARK_MANGLED_0);
            }
            OptionalField::Partial => update_partial(field, delta),
            OptionalField::Whole => update_optional(field, delta),
        };
        // The flag updates the sum of a CHECKSUM_COMPLETE skb.
        self.context()
            .store(self.network() + offset, &new, BPF_F_RECOMPUTE_CSUM.into())
            .map_err(|_| WriteFailed)
    }

    /// Corrects the sum of a CHECKSUM_COMPLETE skb. [`Self::update_l4_checksum`] lowers the skb's sum by `delta`, as
    /// the transport checksum falls by `delta`. For IPv4, the lower sum is right, because the header checksum cancels
    /// the change of the addresses. IPv6 has no header checksum, so this method adds `delta`. The sum is then right on
    /// kernels with and without BPF_F_IPV6 (Linux 6.16, commit ead7f9b8de65), and for protocols without a checksum.
    #[inline(always)]
    fn header_sum_changed(&mut self, delta: u32) {
        // SAFETY: the context is a valid skb. In other checksum states the helper does nothing.
        unsafe { bpf_csum_update(self.skb, delta) };
    }

    #[inline(always)]
    fn swap_link_addresses(&mut self) -> Result<(), WriteFailed> {
        if link_header_len() != EthHdr::LEN {
            return Ok(());
        }
        let ctx = self.context();
        let [a, b, c, d, e, f]: [u16; 6] = ctx.load(0).map_err(|_| WriteFailed)?;
        // No flags: the sum of a CHECKSUM_COMPLETE skb starts after the link header.
        ctx.store(0, &[d, e, f, a, b, c], 0).map_err(|_| WriteFailed)
    }
}
