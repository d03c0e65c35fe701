//! A socket buffer as a packet: direct access to the IPv4 header, which every packet pays for, and
//! the kernel's helpers for what lies behind it at offsets that only the packet knows.

use aya_ebpf::bindings::{BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR};
use aya_ebpf::programs::TcContext;
use network_types::eth::EthHdr;
use network_types::ip::Ipv4Hdr;
use tunnel_common::counters::Count;
use tunnel_ebpf::packet::{Packet, PacketMut, WriteFailed, ZeroChecksum};
use tunnel_ebpf::parse::ipv4::{CHECKSUM_OFFSET, HEADER_LEN};

/// Bytes before the network header: tc shows the frame with its Ethernet header.
const LINK_HEADER_LEN: usize = EthHdr::LEN;

/// `ETH_P_IP` in network order, as `__sk_buff::protocol` holds it.
const ETH_P_IP: u32 = 0x0800u16.to_be() as u32;

/// A packet that tc hands to a program.
pub struct Skb<'a> {
    ctx: &'a TcContext,
}

impl<'a> Skb<'a> {
    /// The packet, if its ethertype says IPv4 and it is of no VLAN: that is another interface's.
    #[inline(always)]
    pub fn ipv4(ctx: &'a TcContext) -> Option<Self> {
        let skb = Self { ctx };
        if ctx.skb.protocol() != ETH_P_IP || skb.has_vlan_tag() {
            return None;
        }
        if skb.pointer::<Ipv4Hdr>(0).is_none() {
            // A failure is found by the read that needs the header.
            let _ = ctx.pull_data((LINK_HEADER_LEN + HEADER_LEN) as u32);
        }
        Some(skb)
    }

    /// Whether the tag of a VLAN was taken out of the frame and is kept beside it.
    #[inline(always)]
    fn has_vlan_tag(&self) -> bool {
        // SAFETY: the context of a tc program is a valid `__sk_buff` for as long as it runs.
        unsafe { (*self.ctx.skb.skb).vlan_present != 0 }
    }

    /// What this packet adds to a counter.
    #[inline(always)]
    pub fn count(&self) -> Count {
        let packets = match self.segments() {
            0 => 1,
            segments => u64::from(segments),
        };
        Count { packets, bytes: u64::from(self.ctx.len()) }
    }

    /// A pointer to a `T` within the first IPv4 header, if the linear part holds all of it.
    ///
    /// Only for offsets that are known when this is compiled: with others, LLVM may add them up in
    /// another order than the check did, and the verifier does not follow.
    #[inline(always)]
    fn pointer<T>(&self, offset: usize) -> Option<*mut T> {
        let start = self.ctx.data() + LINK_HEADER_LEN + offset;
        if start + size_of::<T>() > self.ctx.data_end() {
            return None;
        }
        Some(start as *mut T)
    }
}

impl Packet for Skb<'_> {
    #[inline(always)]
    fn extent(&self) -> u32 {
        self.ctx.len().saturating_sub(LINK_HEADER_LEN as u32)
    }

    #[inline(always)]
    fn segments(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.ctx.skb.skb).gso_segs }
    }

    #[inline(always)]
    fn header(&self) -> Option<Ipv4Hdr> {
        // SAFETY: `pointer` has checked that all of it lies within the packet; Ipv4Hdr is made of
        // bytes, so that it has no alignment and every bit pattern is a value.
        self.pointer(0).map(|header: *mut Ipv4Hdr| unsafe { *header })
    }

    #[inline(always)]
    fn quoted_header(&self, offset: usize) -> Option<Ipv4Hdr> {
        self.ctx.load(LINK_HEADER_LEN + offset).ok()
    }

    #[inline(always)]
    fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.ctx.load(LINK_HEADER_LEN + offset).ok()
    }
}

impl PacketMut for Skb<'_> {
    #[inline(always)]
    fn store_header(&mut self, bytes: &[u8; 10]) -> Result<(), WriteFailed> {
        let place: *mut [u8; 10] = self.pointer(CHECKSUM_OFFSET).ok_or(WriteFailed)?;
        // SAFETY: as above; the verifier makes the packet private before the program's first
        // instruction (Linux, net/core/filter.c, tc_cls_act_prologue).
        unsafe { *place = *bytes };
        Ok(())
    }

    #[inline(always)]
    fn store<const N: usize>(&mut self, offset: usize, bytes: &[u8; N]) -> Result<(), WriteFailed> {
        // No flags: as the sum over all stores is the same, so is that of a CHECKSUM_COMPLETE skb.
        self.ctx.store(LINK_HEADER_LEN + offset, bytes, 0).map_err(|_| WriteFailed)
    }

    /// Through the kernel, since only it knows the skb's checksum state: PARTIAL holds the sum of
    /// the pseudo-header and not its complement, and COMPLETE has a sum over the packet that must
    /// follow (Linux, net/core/utils.c, inet_proto_csum_replace_by_diff).
    #[inline(always)]
    fn mend_transport_checksum(
        &mut self,
        offset: usize,
        difference: u32,
        zero: ZeroChecksum,
    ) -> Result<(), WriteFailed> {
        let flags = match zero {
            ZeroChecksum::IsASum => BPF_F_PSEUDO_HDR,
            ZeroChecksum::MeansNone => BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0,
        };
        // From 0 to a difference, with a size of 0 in the flags: the helper adds it as it is.
        self.ctx
            .l4_csum_replace(LINK_HEADER_LEN + offset, 0, u64::from(difference), flags.into())
            .map_err(|_| WriteFailed)
    }
}
