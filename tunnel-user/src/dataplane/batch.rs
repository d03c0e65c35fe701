//! Many entries of a map by one system call, which aya 0.14 does not offer: BPF_MAP_LOOKUP_BATCH,
//! BPF_MAP_UPDATE_BATCH and BPF_MAP_DELETE_BATCH (Linux 5.6, kernel/bpf/syscall.c and hashtab.c, commits
//! aa2e93b8e58e and 057996380a42; for per-CPU arrays since 5.13, commit f008d732ab18).

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::panic::resume_unwind;
use std::ptr;
use std::thread;

use aya::Pod;
use aya::maps::{HashMap, IterableMap as _, MapData, PerCpuArray};
use nix::libc;

/// The most entries of one call: few enough to notice a signal in time, and enough to make the cost of the call
/// itself negligible.
pub const BATCH: usize = 8192;
/// The number of entries that takes longer than the start of a thread.
const WORTH_A_THREAD: usize = 1024;

// enum bpf_cmd (Linux, include/uapi/linux/bpf.h).
const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;
const BPF_MAP_UPDATE_BATCH: libc::c_long = 26;
const BPF_MAP_DELETE_BATCH: libc::c_long = 27;

/// The part of union bpf_attr for these commands.
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

/// True if the error says that the kernel has no such command, or the map's type does not know it.
#[must_use]
pub fn is_unsupported(error: &io::Error) -> bool {
    /// One of the kernel's own errors (include/linux/errno.h), which programs see here.
    const ENOTSUPP: i32 = 524;
    matches!(error.raw_os_error(), Some(libc::EINVAL | ENOTSUPP))
}

/// Adds or replaces the entries, in no order. Two processors share many entries, since an entry mostly waits for
/// memory.
///
/// # Errors
/// The kernel's. Some entries may be in the map then.
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

/// Sets values of a per-CPU array: `values` holds the values of all possible CPUs for the first key, then for the
/// next.
///
/// # Errors
/// The kernel's; EINVAL if there are not as many values as keys times CPUs, or if `V` is not as long as
/// the kernel has it, in multiples of 8 bytes.
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

/// `values` points to one value for each of `keys`, each as long as the map's values, one behind the other.
fn update_by_call<K: Pod>(map: &MapData, keys: &[K], values: *const u8) -> io::Result<()> {
    call(BPF_MAP_UPDATE_BATCH, &mut updating(map, keys, values)?)
}

fn updating<K: Pod>(map: &MapData, keys: &[K], values: *const u8) -> io::Result<Batch> {
    Ok(Batch { keys: keys.as_ptr() as u64, values: values as u64, ..of(map, keys.len())? })
}

/// Removes the entries under `keys`, in their order.
///
/// # Errors
/// The kernel's; ENOENT for the first key that has no entry, and goes no further.
pub fn delete<K: Pod, V: Pod>(map: &HashMap<MapData, K, V>, keys: &[K]) -> io::Result<()> {
    let mut batch = Batch { keys: keys.as_ptr() as u64, ..of(map.map(), keys.len())? };
    call(BPF_MAP_DELETE_BATCH, &mut batch)
}

/// All entries, in no order. One that is added or removed meanwhile may be among them or not.
///
/// # Errors
/// The kernel's.
pub fn entries<K: Pod, V: Pod>(map: &HashMap<MapData, K, V>) -> io::Result<Vec<(K, V)>> {
    let mut entries = Vec::new();
    // The kernel hands out whole buckets, and fails with ENOSPC if not even one has room.
    let mut room = BATCH;
    // The number of the bucket to go on with.
    let mut place: Option<u32> = None;
    loop {
        let mut keys: Vec<K> = Vec::with_capacity(room);
        let mut values: Vec<V> = Vec::with_capacity(room);
        let mut next: u32 = 0;
        let mut batch = Batch {
            in_batch: place.as_ref().map_or(0, |place| ptr::from_ref(place) as u64),
            out_batch: &raw mut next as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            ..of(map.map(), room)?
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
        // SAFETY: the kernel has written `count` keys and values, for which there was room; both may
        // hold any bytes.
        unsafe {
            keys.set_len(count);
            values.set_len(count);
        }
        entries.extend(keys.into_iter().zip(values));
        if is_last {
            return Ok(entries);
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
    // SAFETY: `batch` is the struct of these commands, of the size that is given, and has room for as many keys and
    // values as it says: aya compared their sizes with the map's when it opened the map. All of it outlives the
    // call.
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
