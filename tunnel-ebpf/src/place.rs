//! Words of a packet where it lies in memory.
//!
//! A network header behind an Ethernet header is on no multiple of four, and Rust would take a word
//! there apart into bytes. The kernel lets programs load and store such words on the processors that
//! can (kernel/bpf/verifier.c, check_pkt_ptr_alignment, CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS), so
//! that is asked for in the machine's own instructions.

use core::arch::asm;

/// Loads `N` words from `place`.
///
/// # Safety
/// All of them lie within the packet.
#[inline(always)]
pub unsafe fn load<const N: usize>(place: *const [u32; N]) -> [u32; N] {
    let mut words = [0; N];
    for (index, word) in words.iter_mut().enumerate() {
        let value: u64;
        // SAFETY: the caller has checked that the words are there.
        unsafe {
            asm!(
                "{value} = *(u32 *)({place} + 0)",
                value = out(reg) value,
                place = in(reg) place.cast::<u32>().wrapping_add(index),
                options(readonly, nostack),
            );
        }
        *word = value as u32;
    }
    words
}

/// Stores `N` words to `place`.
///
/// # Safety
/// All of them lie within the packet, which the program may write to.
#[inline(always)]
pub unsafe fn store<const N: usize>(place: *mut [u32; N], words: &[u32; N]) {
    for (index, word) in words.iter().enumerate() {
        // SAFETY: the caller has checked that the place is there.
        unsafe {
            asm!(
                "*(u32 *)({place} + 0) = {value}",
                value = in(reg) u64::from(*word),
                place = in(reg) place.cast::<u32>().wrapping_add(index),
                options(nostack),
            );
        }
    }
}
