//! Loads and stores a packet's words in place.
//!
//! A network header after an Ethernet header is not aligned to four bytes, and Rust would split its words into bytes.
//! The kernel lets programs load and store such words on processors with efficient unaligned access
//! (kernel/bpf/verifier.c, check_pkt_ptr_alignment, CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS), so this module uses the
//! machine's own instructions.

use core::arch::asm;

/// Invokes a macro with the index of each possible word. The calls are written out, because the offset in an
/// instruction is a constant. LLVM does not unroll a loop over ten words: in each round, it would compare the index
/// with every possible offset.
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

/// Loads one of a packet's bounds: a 32-bit field of `context` at `OFFSET`, which the verifier turns into a pointer
/// (net/core/filter.c, bpf_skb_is_valid_access, xdp_is_valid_access). With a plain Rust read, LLVM would compute with
/// the field in 32 bits, and the result would not be a pointer.
///
/// # Safety
/// `context` has a bound at `OFFSET`.
#[inline(always)]
pub unsafe fn bound<C, const OFFSET: usize>(context: *const C) -> usize {
    let bound: usize;
    // SAFETY: the caller guarantees that `context` has a bound at `OFFSET`.
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

/// A pointer to a `V` at `start`, if the packet, which ends at `end`, holds all of the `V`. `start` and `end` are
/// pointers into the packet.
#[inline(always)]
pub fn within<V>(start: usize, end: usize) -> Option<*mut V> {
    (start + size_of::<V>() <= end).then_some(start as *mut V)
}

/// Loads `N` words, at most 10, from index `FIRST` of `place` on.
///
/// # Safety
/// All of the words lie within the packet.
#[inline(always)]
pub unsafe fn load<const FIRST: usize, const N: usize>(place: *const u32) -> [u32; N] {
    const { assert!(N <= 10) };
    let mut words = [0; N];
    macro_rules! load {
        ($index:literal) => {
            if let Some(word) = words.get_mut($index) {
                let value: u64;
                // SAFETY: the caller has checked that the words lie within the packet.
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

/// Replaces `N` words, at most 10, from index `FIRST` of `place` on.
///
/// # Safety
/// All of the words lie within the packet, which the program may write to.
#[inline(always)]
pub unsafe fn store<const FIRST: usize, const N: usize>(place: *mut u32, words: &[u32; N]) {
    const { assert!(N <= 10) };
    macro_rules! store {
        ($index:literal) => {
            if let Some(word) = words.get($index) {
                // SAFETY: the caller has checked that the words lie within the packet.
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
