//! Memory that this process has freed and its allocator keeps. An attach needs tens of megabytes for a moment, most of it
//! for the types of the kernel.

use std::thread;

/// Drops a large value on a thread of its own. A thread's cache (tcache; glibc, malloc/malloc.c) keeps some of the chunks
/// that the thread frees, spread over all memory of the value, and later allocations pin that memory. The cache ends with
/// its thread.
pub fn drop_apart<T: Send>(value: T) {
    thread::scope(|scope| {
        scope.spawn(|| drop(value));
    });
}

/// Makes all threads allocate from one arena (mallopt(3)): with more, [`give_back`] leaves memory in each. The
/// caller has started no thread yet.
pub fn allocate_in_one_arena() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes two numbers, and sets one of the allocator's parameters under its lock.
    unsafe {
        nix::libc::mallopt(nix::libc::M_ARENA_MAX, 1);
    }
}

/// Gives the freed memory back to the kernel (malloc_trim(3)).
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, locks the allocator, and touches memory that nobody has allocated.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
