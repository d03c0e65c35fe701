//! Memory that this process has freed and its allocator keeps.

/// Gives it back to the kernel. An attach needs tens of megabytes for a moment, most of it for the types of the kernel,
/// and glibc keeps that for each thread which allocated some of it (malloc_trim(3)).
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, locks the allocator, and touches memory that nobody has allocated.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
