//! A client that does one thing after the other on a thread of its own, and is measured: for how
//! long was it kept waiting?

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use testkit::wait::wait_until;

/// The pause of the client between two things.
const PACE: Duration = Duration::from_millis(5);
/// So many more things done mean that the client goes on.
const GOES_ON: u64 = 10;

/// The client. Dropping it ends it.
#[derive(Debug)]
pub struct Worker<S> {
    what: &'static str,
    stop: Arc<AtomicBool>,
    progress: Arc<Mutex<Progress>>,
    thread: Option<JoinHandle<S>>,
}

/// The progress of an episode.
#[derive(Debug)]
struct Progress {
    done: u64,
    /// When the last thing was done.
    last: Instant,
    longest_wait: Duration,
    failure: Option<String>,
}

impl<S: Send + 'static> Worker<S> {
    /// Begins to call `step` with the state and with 0, 1, 2 and so on, until it fails.
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

    /// Waits until it has done more from now on.
    ///
    /// # Errors
    /// When it has failed, or was kept waiting for longer than `allowed`.
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

    /// The longest time from one thing to the next.
    pub fn longest_wait(&self) -> Duration {
        locked(&self.progress).longest_wait
    }

    /// Ends it; returns its state, and how many things it has done.
    ///
    /// # Errors
    /// When it has failed.
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
        // One that panicked has said so.
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
