//! Words of a packet where it lies in memory.
//!
//! A network header behind an Ethernet header is on no multiple of four, and Rust would take a word
//! there apart into bytes. The kernel lets programs load and store such words on the processors that
//! can (kernel/bpf/verifier.c, check_pkt_ptr_alignment, CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS), so
//! that is asked for in the machine's own instructions.

use core::arch::asm;

/// One instruction on the word of this index, which is a constant once the loop around it is
/// unrolled: an instruction holds its offset.
macro_rules! with_offset {
    ($index:expr, $at:ident) => {
        match $index {
            0 => $at!("0"),
            1 => $at!("4"),
            2 => $at!("8"),
            3 => $at!("12"),
            4 => $at!("16"),
            5 => $at!("20"),
            6 => $at!("24"),
            7 => $at!("28"),
            8 => $at!("32"),
            _ => $at!("36"),
        }
    };
}

/// Loads `N` words from `place`, at most 10.
///
/// # Safety
/// All of them lie within the packet.
#[inline(always)]
pub unsafe fn load<const N: usize>(place: *const [u32; N]) -> [u32; N] {
    const { assert!(N <= 10) };
    let mut words = [0; N];
    for (index, word) in words.iter_mut().enumerate() {
        let value: u64;
        macro_rules! at {
            ($offset:literal) => {
                // SAFETY: the caller has checked that the words are there.
                unsafe {
                    asm!(
                        concat!("{value} = *(u32 *)({place} + ", $offset, ")"),
                        value = lateout(reg) value,
                        place = in(reg) place,
                        options(pure, readonly, nostack),
                    )
                }
            };
        }
        with_offset!(index, at);
        *word = value as u32;
    }
    words
}

/// Stores `N` words to `place`, at most 10.
///
/// # Safety
/// All of them lie within the packet, which the program may write to.
#[inline(always)]
pub unsafe fn store<const N: usize>(place: *mut [u32; N], words: &[u32; N]) {
    const { assert!(N <= 10) };
    for (index, word) in words.iter().enumerate() {
        let value = u64::from(*word);
        macro_rules! at {
            ($offset:literal) => {
                // SAFETY: the caller has checked that the place is there.
                unsafe {
                    asm!(
                        concat!("*(u32 *)({place} + ", $offset, ") = {value}"),
                        value = in(reg) value,
                        place = in(reg) place,
                        options(nostack),
                    )
                }
            };
        }
        with_offset!(index, at);
    }
}
