//! Reads a packet's own IP header: in place, or, if the frame has tags, from a copy.

use core::marker::PhantomData;
use core::ptr;

use tunnel_ebpf::packet::HeaderRef;

use crate::dispatch::Tags;
use crate::unaligned;

/// `N` words of the IP header in a frame with tags `T`. Without tags, the program accesses the words in place: the
/// verifier can follow their offset, which is known at load time. The offset after tags is not known then, so the
/// program copies the words.
#[derive(Clone, Copy)]
pub struct Header<T, const N: usize> {
    /// The place of the words in a frame without tags: all words lie within the packet.
    place: *mut u32,
    /// A copy of the words in a frame with tags.
    copy: [u32; N],
    tags: PhantomData<T>,
}

impl<T: Tags, const N: usize> Header<T, N> {
    /// The header of a frame without tags.
    #[inline(always)]
    pub const fn at(place: *mut [u32; N]) -> Self {
        Self { place: place.cast(), copy: [0; N], tags: PhantomData }
    }

    /// The header of a frame with tags.
    #[inline(always)]
    pub const fn copied(copy: [u32; N]) -> Self {
        Self { place: ptr::null_mut(), copy, tags: PhantomData }
    }

    /// Replaces words of a frame without tags, from index `FIRST` on.
    ///
    /// # Safety
    /// The frame has no tags, and the program may write to it.
    #[inline(always)]
    pub unsafe fn replace<const FIRST: usize, const M: usize>(&self, words: &[u32; M]) {
        const { assert!(FIRST + M <= N) };
        // SAFETY: the words belong to the header.
        unsafe { unaligned::store::<FIRST, M>(self.place, words) };
    }
}

impl<T: Tags, const N: usize> HeaderRef<N> for Header<T, N> {
    #[inline(always)]
    fn words<const FIRST: usize, const M: usize>(&self) -> [u32; M] {
        const { assert!(FIRST + M <= N) };
        if T::NONE {
            // SAFETY: the words belong to the header.
            return unsafe { unaligned::load::<FIRST, M>(self.place) };
        }
        let mut words = [0; M];
        for (word, copy) in words.iter_mut().zip(self.copy.iter().skip(FIRST)) {
            *word = *copy;
        }
        words
    }
}
