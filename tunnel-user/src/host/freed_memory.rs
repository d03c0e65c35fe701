//! Memory that this process has freed and its allocator keeps. An attach needs tens of megabytes for a moment, most of it
//! for the types of the kernel.

/// Makes all threads allocate from one arena (mallopt(3)): with more, [`give_back`] leaves memory in each. The
/// caller has started no thread yet.
pub fn allocate_in_one_arena() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes two numbers, and sets one of the allocator's parameters under its lock.
    unsafe {
        nix::libc::mallopt(nix::libc::M_ARENA_MAX, 1);
    }
}

/// Gives the freed memory back to the kernel (malloc_trim(3)). Each thread keeps the chunks in its cache (tcache; glibc,
/// malloc/malloc.c), and every one of them keeps a page: the systemd unit switches these caches off.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, locks the allocator, and touches memory that nobody has allocated.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
