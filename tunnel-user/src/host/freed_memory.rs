//! Memory that this process has freed and its allocator keeps. An attach needs tens of megabytes for a moment, most of it
//! for the types of the kernel.
//!
//! Each thread caches some of the chunks that it frees (tcache; glibc, malloc/malloc.c). After an attach, they lie spread
//! over all of its memory, and each of them keeps a page. A cache ends with its thread.

use std::iter::repeat_with;
use std::ops::RangeInclusive;
use std::thread;

/// The sizes of cached chunks in bytes, the step from one size to the next, and the number of cached chunks of each
/// size (glibc 2.36, malloc/malloc.c, TCACHE_MAX_BINS and TCACHE_FILL_COUNT).
const CACHED_SIZES: RangeInclusive<usize> = 24..=1032;
const CACHED_SIZES_STEP: usize = 16;
const CACHED_MAX: usize = 7;

/// Makes all threads allocate from one arena (mallopt(3)): with more, [`give_back`] leaves memory in each. The
/// caller has started no thread yet.
pub fn allocate_in_one_arena() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes two numbers, and sets one of the allocator's parameters under its lock.
    unsafe {
        nix::libc::mallopt(nix::libc::M_ARENA_MAX, 1);
    }
}

/// Drops a large value on a thread of its own, so that no chunk of it stays in the cache of this thread.
pub fn drop_apart<T: Send>(value: T) {
    thread::scope(|scope| {
        scope.spawn(|| drop(value));
    });
}

/// Gives the freed memory back to the kernel (malloc_trim(3)), and the chunks in this thread's cache with it.
pub fn give_back() {
    let sizes = CACHED_SIZES.step_by(CACHED_SIZES_STEP);
    // Allocations empty the cache.
    let cached: Vec<Vec<u8>> = sizes
        .flat_map(|size| repeat_with(move || Vec::with_capacity(size)).take(CACHED_MAX))
        .collect();
    drop_apart(cached);
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, locks the allocator, and touches memory that nobody has allocated.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
