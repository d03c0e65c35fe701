//! Runs a client that keeps writing numbered records to the mounted volume, and measures the client's longest wait. A
//! record's number determines its bytes.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, unshare};
use testkit::wait::wait_until;

/// The length of a record in bytes.
const RECORD: usize = 4096;
/// The number of records per file.
const RECORDS: u64 = 128;
/// The number of records between two syncs to the bricks.
const RECORDS_BETWEEN_SYNCS: u64 = 16;
/// The pause of the client between two records.
const PACE: Duration = Duration::from_millis(5);
/// The client counts as alive once it has written this many more records. At least one sync is among them.
const GOES_ON: u64 = 2 * RECORDS_BETWEEN_SYNCS;

/// The client. Dropping the value ends the client.
#[derive(Debug)]
pub struct Client {
    folder: PathBuf,
    stop: Arc<AtomicBool>,
    progress: Arc<Mutex<Progress>>,
    writer: Option<JoinHandle<()>>,
}

/// The client's progress.
#[derive(Debug)]
struct Progress {
    records: u64,
    /// The time of the last record.
    last: Instant,
    longest_wait: Duration,
    failure: Option<String>,
}

impl Client {
    /// Begins to write to a new folder of the mounted volume.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn start(volume: &Path) -> Result<Self> {
        let folder = volume.join("records");
        fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let now = Instant::now();
        let progress = Arc::new(Mutex::new(Progress {
            records: 0,
            last: now,
            longest_wait: Duration::ZERO,
            failure: None,
        }));
        let (began, begins) = mpsc::channel();
        let writer = thread::spawn({
            let (folder, stop, progress) =
                (folder.clone(), Arc::clone(&stop), Arc::clone(&progress));
            move || {
                // Without its own file table, this thread would share its open file with the test's child processes,
                // and a close in a child process would wait for the volume.
                let own_files = unshare(CloneFlags::CLONE_FILES).context("have files of its own");
                let _ = began.send(());
                if let Err(error) = own_files.and_then(|()| write(&folder, &stop, &progress)) {
                    locked(&progress).failure = Some(format!("{error:#}"));
                }
            }
        });
        // Wait for the unshare, which copies the process's file table for the thread: a later copy could contain the
        // test's pipes to child processes, and keep the pipes open.
        begins.recv().context("the client did not start")?;
        Ok(Self { folder, stop, progress, writer: Some(writer) })
    }

    /// Waits until the client has written and synced more records.
    ///
    /// # Errors
    /// When a write has failed, or the client needs longer than `deadline`.
    pub fn goes_on(&self, deadline: Duration) -> Result<()> {
        let before = locked(&self.progress).records;
        wait_until("the client to go on writing", deadline, || {
            let progress = locked(&self.progress);
            if let Some(failure) = &progress.failure {
                bail!("the client met an error: {failure}");
            }
            Ok((progress.records >= before + GOES_ON).then_some(()))
        })
    }

    /// The longest time from one record to the next since the previous call.
    pub fn longest_wait(&self) -> Duration {
        let mut progress = locked(&self.progress);
        let longest = progress.longest_wait.max(progress.last.elapsed());
        progress.longest_wait = Duration::ZERO;
        longest
    }

    /// Ends the client. Returns the number of records that it has written.
    ///
    /// # Errors
    /// When a write has failed.
    pub fn stop(&mut self) -> Result<u64> {
        self.join();
        let progress = locked(&self.progress);
        match &progress.failure {
            Some(failure) => bail!("the client met an error: {failure}"),
            None => Ok(progress.records),
        }
    }

    /// Reads every record back. Returns the number of files.
    ///
    /// # Errors
    /// When a record is missing or has other bytes.
    pub fn read_back(&self, records: u64) -> Result<u64> {
        let files = records.div_ceil(RECORDS);
        let listed = fs::read_dir(&self.folder).context("list the files")?.count();
        ensure!(u64::try_from(listed)? == files, "{listed} files instead of {files}");
        for file in 0..files {
            let path = path(&self.folder, file);
            let read = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            let numbers = file * RECORDS..records.min((file + 1) * RECORDS);
            let wanted: Vec<u8> = numbers.flat_map(record).collect();
            ensure!(read == wanted, "{} is not what was written", path.display());
        }
        Ok(files)
    }

    fn join(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(Err(panic)) = self.writer.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Ignore the error: a thread that panics prints its panic.
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

fn locked(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

fn path(folder: &Path, file: u64) -> PathBuf {
    folder.join(format!("{file:06}"))
}

fn write(folder: &Path, stop: &AtomicBool, progress: &Mutex<Progress>) -> Result<()> {
    for file_number in 0.. {
        let path = path(folder, file_number);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .with_context(|| format!("create {}", path.display()))?;
        for number in file_number * RECORDS..(file_number + 1) * RECORDS {
            write_record(&mut file, number)
                .with_context(|| format!("write record {number} to {}", path.display()))?;
            let mut progress = locked(progress);
            progress.records = number + 1;
            progress.longest_wait = progress.longest_wait.max(progress.last.elapsed());
            progress.last = Instant::now();
            drop(progress);
            if stop.load(Ordering::Acquire) {
                return file.sync_all().with_context(|| format!("sync {}", path.display()));
            }
            thread::sleep(PACE);
        }
    }
    Ok(())
}

fn write_record(file: &mut File, number: u64) -> std::io::Result<()> {
    file.write_all(&record(number))?;
    if (number + 1).is_multiple_of(RECORDS_BETWEEN_SYNCS) {
        file.sync_data()?;
    }
    Ok(())
}

/// The bytes of a record: its number, and the splitmix64 sequence from that number.
fn record(number: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(RECORD);
    bytes.extend(number.to_be_bytes());
    let mut state = number;
    while bytes.len() < RECORD {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend((mixed ^ (mixed >> 31)).to_be_bytes());
    }
    bytes
}
