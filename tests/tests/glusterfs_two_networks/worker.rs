//! Runs a client that does one step after the other on its own thread, and measures the client's longest wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use testkit::wait::wait_until;

/// The client's pause between two steps.
const PACE: Duration = Duration::from_millis(5);
/// The number of further steps that prove the client alive.
const GOES_ON: u64 = 10;

/// The client. Dropping the value ends the client.
#[derive(Debug)]
pub struct Worker<S> {
    what: &'static str,
    stop: Arc<AtomicBool>,
    progress: Arc<Mutex<Progress>>,
    thread: Option<JoinHandle<S>>,
}

/// The client's progress.
#[derive(Debug)]
struct Progress {
    done: u64,
    /// The time of the last step.
    last: Instant,
    longest_wait: Duration,
    failure: Option<String>,
}

impl<S: Send + 'static> Worker<S> {
    /// Starts a thread that calls `step` with the state and with 0, 1, 2 and so on, until `step` fails or the client
    /// must end.
    pub fn start(
        what: &'static str,
        mut state: S,
        mut step: impl FnMut(&mut S, u64) -> Result<()> + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let progress = Arc::new(Mutex::new(Progress {
            done: 0,
            last: Instant::now(),
            longest_wait: Duration::ZERO,
            failure: None,
        }));
        let thread = thread::spawn({
            let (stop, progress) = (Arc::clone(&stop), Arc::clone(&progress));
            move || {
                if let Err(error) = work(&stop, &progress, |number| step(&mut state, number)) {
                    locked(&progress).failure = Some(format!("{error:#}"));
                }
                state
            }
        });
        Self { what, stop, progress, thread: Some(thread) }
    }

    /// Waits until the client has done more steps.
    ///
    /// # Errors
    /// When the client has failed, or has waited longer than `allowed`.
    pub fn goes_on(&self, allowed: Duration) -> Result<()> {
        let before = locked(&self.progress).done;
        wait_until(self.what, allowed, || {
            let progress = locked(&self.progress);
            if let Some(failure) = &progress.failure {
                bail!("{} met an error: {failure}", self.what);
            }
            Ok((progress.done >= before + GOES_ON).then_some(()))
        })?;
        let longest = locked(&self.progress).longest_wait;
        if longest > allowed {
            bail!("{} was kept waiting for {longest:?}", self.what);
        }
        Ok(())
    }

    /// The longest time from one step to the next.
    pub fn longest_wait(&self) -> Duration {
        locked(&self.progress).longest_wait
    }

    /// Ends the client. Returns its state, and the number of steps done.
    ///
    /// # Errors
    /// When the client has failed.
    pub fn stop(mut self) -> Result<(S, u64)> {
        self.stop.store(true, Ordering::Release);
        let thread = self.thread.take().context("it has ended already")?;
        let state = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let progress = locked(&self.progress);
        match &progress.failure {
            Some(failure) => bail!("{} met an error: {failure}", self.what),
            None => Ok((state, progress.done)),
        }
    }
}

impl<S> Drop for Worker<S> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Ignore the error: a thread that panics prints its panic.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn locked(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

fn work(
    stop: &AtomicBool,
    progress: &Mutex<Progress>,
    mut step: impl FnMut(u64) -> Result<()>,
) -> Result<()> {
    for number in 0.. {
        step(number)?;
        let mut progress = locked(progress);
        progress.done = number + 1;
        progress.longest_wait = progress.longest_wait.max(progress.last.elapsed());
        progress.last = Instant::now();
        drop(progress);
        if stop.load(Ordering::Acquire) {
            return Ok(());
        }
        thread::sleep(PACE);
    }
    Ok(())
}
