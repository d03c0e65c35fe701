//! Reads and changes hash maps with many entries: in batches where the kernel supports them, otherwise one by one.

use std::cell::Cell;
use std::io;

use aya::Pod;
use aya::maps::{HashMap, Map, MapData, MapError};
use aya::sys::SyscallError;

use super::batch::{self, BATCH};

/// The method by which a table reads and changes entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSupport {
    /// Many entries in one system call, until the kernel turns out to lack batches.
    Batches,
    /// One entry in each system call: before Linux 5.6.
    OneByOne,
}

/// A hash map, with or without LRU eviction.
pub struct Table<K, V> {
    map: HashMap<MapData, K, V>,
    probe: Probe,
}

impl<K: Pod, V: Pod> TryFrom<Map> for Table<K, V> {
    type Error = MapError;

    fn try_from(map: Map) -> Result<Self, MapError> {
        HashMap::try_from(map).map(|map| Self::of(map, BatchSupport::Batches))
    }
}

impl<K: Pod, V: Pod> Table<K, V> {
    /// A table over `map`. The table begins with the method `support`.
    #[must_use]
    pub const fn of(map: HashMap<MapData, K, V>, support: BatchSupport) -> Self {
        Self { map, probe: Probe(Cell::new(support)) }
    }

    /// The table's current method.
    #[must_use]
    pub const fn batch_support(&self) -> BatchSupport {
        self.probe.0.get()
    }

    /// All entries, in no particular order.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn entries(&self) -> Result<Vec<(K, V)>, MapError> {
        match self.probe.by_batch("bpf_map_lookup_batch", || batch::entries(&self.map)) {
            Some(result) => result,
            None => self.map.iter().collect(),
        }
    }

    /// Passes each entry to `visit`, in no particular order, without a copy of all entries in memory.
    ///
    /// # Errors
    /// If the kernel refuses. `visit` may already have seen some entries.
    pub fn for_each(&self, mut visit: impl FnMut(K, V)) -> Result<(), MapError> {
        let batch =
            self.probe.by_batch("bpf_map_lookup_batch", || batch::for_each(&self.map, &mut visit));
        match batch {
            Some(result) => result,
            None => {
                self.map.iter().try_for_each(|entry| entry.map(|(key, value)| visit(key, value)))
            }
        }
    }

    /// Adds or replaces entries, in no particular order.
    ///
    /// # Errors
    /// If the kernel refuses. Some entries may already be in the map.
    pub fn set(&mut self, entries: &[(K, V)]) -> Result<(), MapError> {
        for entries in entries.chunks(BATCH) {
            // For a single entry, a plain call costs less than the copies for a batch.
            let batch = if let [_] = entries {
                None
            } else {
                self.probe.by_batch("bpf_map_update_batch", || batch::update(&self.map, entries))
            };
            match batch {
                Some(result) => result?,
                None => {
                    entries.iter().try_for_each(|(key, value)| self.map.insert(key, value, 0))?
                }
            }
        }
        Ok(())
    }

    /// Removes the entries under `keys`, in the order of `keys`. A missing entry is not an error: another process
    /// removed it first.
    ///
    /// # Errors
    /// If the kernel refuses. The first entries may already be removed.
    pub fn remove(&mut self, keys: &[K]) -> Result<(), MapError> {
        for keys in keys.chunks(BATCH) {
            match self.probe.by_batch("bpf_map_delete_batch", || batch::delete(&self.map, keys)) {
                Some(Err(error)) if is_not_found(&error) => self.remove_each(keys)?,
                Some(result) => result?,
                None => self.remove_each(keys)?,
            }
        }
        Ok(())
    }

    fn remove_each(&mut self, keys: &[K]) -> Result<(), MapError> {
        keys.iter().try_for_each(|key| if_there(self.map.remove(key)))
    }

    /// The value under `key`.
    ///
    /// # Errors
    /// [`MapError::KeyNotFound`], or if the kernel refuses.
    pub fn get(&self, key: &K) -> Result<V, MapError> {
        self.map.get(key, 0)
    }
}

/// The result of a removal, with a missing entry as success.
pub(super) fn if_there(removed: Result<(), MapError>) -> Result<(), MapError> {
    match removed {
        Err(error) if is_not_found(&error) => Ok(()),
        result => result,
    }
}

fn is_not_found(error: &MapError) -> bool {
    match error {
        MapError::KeyNotFound => true,
        MapError::SyscallError(error) => error.io_error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// The method to try next, which becomes `OneByOne` once the kernel turns out to lack batches.
struct Probe(Cell<BatchSupport>);

impl Probe {
    /// The result of `call`, a batch call with the name `name`. `None` if the kernel lacks batch calls; the probe then
    /// records this.
    fn by_batch<T>(
        &self,
        name: &'static str,
        call: impl FnOnce() -> io::Result<T>,
    ) -> Option<Result<T, MapError>> {
        if self.0.get() == BatchSupport::OneByOne {
            return None;
        }
        match call() {
            Err(error) if batch::is_unsupported(&error) => {
                self.0.set(BatchSupport::OneByOne);
                None
            }
            Err(io_error) => Some(Err(SyscallError { call: name, io_error }.into())),
            Ok(done) => Some(Ok(done)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_knows_no_batches_is_asked_once() {
        let probe = Probe(Cell::new(BatchSupport::Batches));
        let code = |code| move || Err::<(), _>(io::Error::from_raw_os_error(code));
        assert!(matches!(probe.by_batch("a call", || Ok(7)), Some(Ok(7))));
        // E2BIG: the map is full, and the kernel supports batches.
        let full = probe.by_batch("a call", code(7));
        assert!(matches!(full, Some(Err(MapError::SyscallError(_)))), "{full:?}");
        assert_eq!(probe.0.get(), BatchSupport::Batches);
        // EINVAL: the kernel lacks batches.
        assert!(probe.by_batch("a call", code(22)).is_none());
        assert_eq!(probe.0.get(), BatchSupport::OneByOne);
        assert!(probe.by_batch("a call", || -> io::Result<()> { panic!("asked again") }).is_none());
    }
}
