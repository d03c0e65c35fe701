//! Words of a packet where it lies in memory.
//!
//! A network header behind an Ethernet header is on no multiple of four, and Rust would take a word
//! there apart into bytes. The kernel lets programs load and store such words on the processors that
//! can (kernel/bpf/verifier.c, check_pkt_ptr_alignment, CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS), so
//! that is asked for in the machine's own instructions.

use core::arch::asm;

/// Does something with the index of each word that there can be: written out, since LLVM leaves a loop
/// over ten words one, with a comparison for each offset that an instruction can hold.
macro_rules! each_index {
    ($of:ident) => {
        $of!(0);
        $of!(1);
        $of!(2);
        $of!(3);
        $of!(4);
        $of!(5);
        $of!(6);
        $of!(7);
        $of!(8);
        $of!(9);
    };
}

/// Loads one of a packet's bounds, which `context` has as 32 bits at `OFFSET` and the verifier makes a
/// pointer of (net/core/filter.c, bpf_skb_is_valid_access, xdp_is_valid_access). LLVM would go on with it in
/// 32 bits, and what comes of that is no pointer.
///
/// # Safety
/// The context has a bound there.
#[inline(always)]
pub unsafe fn bound<C, const OFFSET: usize>(context: *const C) -> usize {
    let bound: usize;
    // SAFETY: the caller says so.
    unsafe {
        asm!(
            "{bound} = *(u32 *)({context} + {offset})",
            bound = lateout(reg) bound,
            context = in(reg) context,
            offset = const OFFSET,
            options(pure, readonly, nostack),
        )
    }
    bound
}

/// A pointer to a `V` at `start`, a pointer into a packet that ends at `end`, if the packet holds all of it.
#[inline(always)]
pub fn within<V>(start: usize, end: usize) -> Option<*mut V> {
    (start + size_of::<V>() <= end).then_some(start as *mut V)
}

/// Loads `N` words from the one with the index `FIRST` on, at most 10, of those at `place`.
///
/// # Safety
/// All of them lie within the packet.
#[inline(always)]
pub unsafe fn load<const FIRST: usize, const N: usize>(place: *const u32) -> [u32; N] {
    const { assert!(N <= 10) };
    let mut words = [0; N];
    macro_rules! load {
        ($index:literal) => {
            if let Some(word) = words.get_mut($index) {
                let value: u64;
                // SAFETY: the caller has checked that the words are there.
                unsafe {
                    asm!(
                        "{value} = *(u32 *)({place} + {offset})",
                        value = lateout(reg) value,
                        place = in(reg) place,
                        offset = const (FIRST + $index) * size_of::<u32>(),
                        options(pure, readonly, nostack),
                    )
                }
                *word = value as u32;
            }
        };
    }
    each_index!(load);
    words
}

/// Replaces `N` words from the one with the index `FIRST` on, at most 10, of those at `place`.
///
/// # Safety
/// All of them lie within the packet, which the program may write to.
#[inline(always)]
pub unsafe fn store<const FIRST: usize, const N: usize>(place: *mut u32, words: &[u32; N]) {
    const { assert!(N <= 10) };
    macro_rules! store {
        ($index:literal) => {
            if let Some(word) = words.get($index) {
                // SAFETY: the caller has checked that the place is there.
                unsafe {
                    asm!(
                        "*(u32 *)({place} + {offset}) = {value}",
                        value = in(reg) u64::from(*word),
                        place = in(reg) place,
                        offset = const (FIRST + $index) * size_of::<u32>(),
                        options(nostack),
                    )
                }
            }
        };
    }
    each_index!(store);
}
