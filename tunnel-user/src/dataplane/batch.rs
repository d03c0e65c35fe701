//! Reads, writes and deletes many entries of a map in one system call, by commands that aya 0.14 does not offer:
//! BPF_MAP_LOOKUP_BATCH, BPF_MAP_UPDATE_BATCH and BPF_MAP_DELETE_BATCH (Linux 5.6, kernel/bpf/syscall.c and hashtab.c,
//! commits aa2e93b8e58e and 057996380a42; for per-CPU arrays since 5.13, commit f008d732ab18).

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::panic::resume_unwind;
use std::ptr;
use std::thread;

use aya::Pod;
use aya::maps::{HashMap, IterableMap as _, MapData, PerCpuArray};
use nix::libc;

/// The largest number of entries in one update or removal, and the first size of the buffers for a read: small enough
/// that a command notices a signal in time, and large enough to make the call's own cost negligible.
pub const BATCH: usize = 8192;
/// The number of entries whose update takes longer than the start of a thread.
const WORTH_A_THREAD: usize = 1024;

// enum bpf_cmd (Linux, include/uapi/linux/bpf.h).
const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;
const BPF_MAP_UPDATE_BATCH: libc::c_long = 26;
const BPF_MAP_DELETE_BATCH: libc::c_long = 27;

/// The part of union bpf_attr for the batch commands.
#[repr(C)]
#[derive(Default)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// True if the error means that the kernel lacks the batch command, or that the map's type does not support it.
#[must_use]
pub fn is_unsupported(error: &io::Error) -> bool {
    /// A kernel-internal error number (include/linux/errno.h) that these commands return to user space.
    const ENOTSUPP: i32 = 524;
    matches!(error.raw_os_error(), Some(libc::EINVAL | ENOTSUPP))
}

/// Adds or replaces the entries, in no particular order. Two threads share a large update, since most of its time is
/// spent waiting for memory.
///
/// # Errors
/// The kernel's errors. Some entries may already be in the map.
pub fn update<K: Pod, V: Pod>(map: &HashMap<MapData, K, V>, entries: &[(K, V)]) -> io::Result<()> {
    let (keys, values): (Vec<K>, Vec<V>) = entries.iter().copied().unzip();
    if entries.len() < WORTH_A_THREAD {
        return update_by_call(map.map(), &keys, values.as_ptr().cast());
    }
    let half = entries.len() / 2;
    let (keys, values) = (keys.split_at(half), values.split_at(half));
    let mut one = updating(map.map(), keys.0, values.0.as_ptr().cast())?;
    let mut other = updating(map.map(), keys.1, values.1.as_ptr().cast())?;
    thread::scope(|scope| {
        let other = scope.spawn(|| call(BPF_MAP_UPDATE_BATCH, &mut other));
        let one = call(BPF_MAP_UPDATE_BATCH, &mut one);
        one.and(other.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Sets values of a per-CPU array: `values` holds the values of all possible CPUs for the first key, then the values
/// for the second key, and so on.
///
/// # Errors
/// The kernel's errors; `InvalidInput` if the number of values is not keys times CPUs, or if the size of `V` is not a
/// multiple of 8 bytes, the kernel's unit for per-CPU values.
pub fn update_of_each_cpu<V: Pod>(
    map: &PerCpuArray<MapData, V>,
    cpus: usize,
    keys: &[u32],
    values: &[V],
) -> io::Result<()> {
    if !size_of::<V>().is_multiple_of(8) || values.len() != keys.len().saturating_mul(cpus) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    update_by_call(map.map(), keys, values.as_ptr().cast())
}

/// Updates the entries under `keys` in one call. `values` points to contiguous values: one for each key, or for a
/// per-CPU array, one for each key and CPU.
fn update_by_call<K: Pod>(map: &MapData, keys: &[K], values: *const u8) -> io::Result<()> {
    call(BPF_MAP_UPDATE_BATCH, &mut updating(map, keys, values)?)
}

fn updating<K: Pod>(map: &MapData, keys: &[K], values: *const u8) -> io::Result<Batch> {
    Ok(Batch { keys: keys.as_ptr() as u64, values: values as u64, ..of(map, keys.len())? })
}

/// Removes the entries under `keys`, in the order of `keys`.
///
/// # Errors
/// The kernel's errors; ENOENT at the first key without an entry. The keys after it are not processed.
pub fn delete<K: Pod, V: Pod>(map: &HashMap<MapData, K, V>, keys: &[K]) -> io::Result<()> {
    let mut batch = Batch { keys: keys.as_ptr() as u64, ..of(map.map(), keys.len())? };
    call(BPF_MAP_DELETE_BATCH, &mut batch)
}

/// All entries, in no particular order. An entry that is added or removed meanwhile may or may not be included.
///
/// # Errors
/// The kernel's errors.
pub fn entries<K: Pod, V: Pod>(map: &HashMap<MapData, K, V>) -> io::Result<Vec<(K, V)>> {
    let mut entries = Vec::new();
    for_each(map, |key, value| entries.push((key, value)))?;
    Ok(entries)
}

/// Passes each entry to `visit`, and holds one batch in memory. The order and the entries are those of [`entries`].
///
/// # Errors
/// The kernel's errors. `visit` may already have seen some entries, but none if the kernel lacks the command.
pub fn for_each<K: Pod, V: Pod>(
    map: &HashMap<MapData, K, V>,
    mut visit: impl FnMut(K, V),
) -> io::Result<()> {
    let shape = Shape { keys: BATCH, values_per_key: 1 };
    in_batches(map.map(), shape, |keys: &[K], values: &[V]| {
        keys.iter().zip(values).for_each(|(key, value)| visit(*key, *value));
    })
}

/// Passes each key of a per-CPU array, with its values of all possible CPUs, to `visit`, in the order of the keys.
///
/// # Errors
/// The kernel's errors; `InvalidInput` if the size of `V` is not a multiple of 8 bytes, the kernel's unit for per-CPU
/// values. If the kernel lacks the command, `visit` has seen no key.
pub fn for_each_of_each_cpu<V: Pod>(
    map: &PerCpuArray<MapData, V>,
    cpus: usize,
    mut visit: impl FnMut(u32, &[V]),
) -> io::Result<()> {
    if !size_of::<V>().is_multiple_of(8) || cpus == 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let shape = Shape { keys: (BATCH / cpus).max(1), values_per_key: cpus };
    in_batches(map.map(), shape, |keys: &[u32], values: &[V]| {
        keys.iter().zip(values.chunks_exact(cpus)).for_each(|(key, values)| visit(*key, values));
    })
}

/// The size of the buffers for a read.
#[derive(Clone, Copy)]
struct Shape {
    /// The number of keys in one batch.
    keys: usize,
    /// The number of values under one key: the number of possible CPUs for a per-CPU map.
    values_per_key: usize,
}

fn in_batches<K: Pod, V: Pod>(
    map: &MapData,
    shape: Shape,
    mut visit: impl FnMut(&[K], &[V]),
) -> io::Result<()> {
    // The number of entries that the buffers hold. For a hash, the kernel returns whole buckets, and fails with ENOSPC
    // if the first bucket does not fit: the loop then doubles the buffers.
    let mut room = shape.keys;
    // The number of the bucket, or the key of the array, at which the next call continues.
    let mut place: Option<u32> = None;
    loop {
        let mut keys: Vec<K> = Vec::with_capacity(room);
        let mut values: Vec<V> = Vec::with_capacity(room.saturating_mul(shape.values_per_key));
        let mut next: u32 = 0;
        let mut batch = Batch {
            in_batch: place.as_ref().map_or(0, |place| ptr::from_ref(place) as u64),
            out_batch: &raw mut next as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            ..of(map, room)?
        };
        let is_last = match call(BPF_MAP_LOOKUP_BATCH, &mut batch) {
            Ok(()) => false,
            Err(error) => match error.raw_os_error() {
                Some(libc::ENOENT) => true,
                Some(libc::ENOSPC) => {
                    room = room.saturating_mul(2);
                    continue;
                }
                _ => return Err(error),
            },
        };
        let count = usize::try_from(batch.count).unwrap_or(0).min(room);
        // SAFETY: the kernel has written `count` keys, and `values_per_key` values for each of them; `count` is at most
        // `room`, and the buffers have that capacity. Any bytes are a valid key and a valid value.
        unsafe {
            keys.set_len(count);
            values.set_len(count.saturating_mul(shape.values_per_key));
        }
        visit(&keys, &values);
        if is_last {
            return Ok(());
        }
        place = Some(next);
    }
}

fn of(map: &MapData, count: usize) -> io::Result<Batch> {
    let count = u32::try_from(count).map_err(|_| io::ErrorKind::InvalidInput)?;
    let map_fd = u32::try_from(map.fd().as_fd().as_raw_fd()).unwrap_or(u32::MAX);
    Ok(Batch { count, map_fd, ..Batch::default() })
}

fn call(command: libc::c_long, batch: &mut Batch) -> io::Result<()> {
    // SAFETY: `batch` is the struct of the batch commands, and the call passes its size. Its buffers hold `count` keys
    // and values: aya compared the sizes of both types with the map's when it opened the map. The struct and the
    // buffers outlive the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_mut(batch), size_of::<Batch>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_kernel_without_the_command_is_asked_one_by_one() {
        let is = |code| is_unsupported(&io::Error::from_raw_os_error(code));
        assert!(is(libc::EINVAL) && is(524));
        assert!(!is(libc::E2BIG) && !is(libc::ENOENT) && !is(libc::EPERM));
    }
}
