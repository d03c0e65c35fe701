//! Returns to the kernel the memory that this process has freed and the allocator keeps. An attach briefly needs tens
//! of megabytes, mostly for the kernel's type information (BTF).

/// Makes all threads allocate from one arena (mallopt(3)): with more arenas, [`give_back`] leaves memory in each
/// arena. Call this function before starting any thread.
pub fn allocate_in_one_arena() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `mallopt` takes two numbers, and sets a parameter of the allocator under the allocator's lock.
    unsafe {
        nix::libc::mallopt(nix::libc::M_ARENA_MAX, 1);
    }
}

/// Returns the freed memory to the kernel (malloc_trim(3)). Each thread keeps the chunks in its cache (tcache; glibc,
/// malloc/malloc.c), and each cached chunk keeps a whole page in memory: the systemd unit switches these caches off.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` takes a number, locks the allocator, and touches unallocated memory only.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
