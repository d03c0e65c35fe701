//! The notices to the service manager: sd_notify(3). Without one, they go nowhere.

mod outbox;

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use self::outbox::Message;
use crate::plan::follow::Notify;

/// Tells the service manager. One that does not read holds nobody up, and a failure is no reason to stop. The last
/// word of a daemon has a moment to get there.
pub fn notify(notice: Notify) {
    let is_last = notice == Notify::Stopping;
    outbox::put(Message::Notify(notice));
    if is_last {
        outbox::wait_until_empty(LAST_WORD);
    }
}

/// The time that the last word has.
const LAST_WORD: Duration = Duration::from_secs(1);

/// The interval in which the service manager wants to hear of the daemon, halved so that a late word
/// is still in time.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    let asked = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())?;
    Some(asked / 2)
}

/// Says that the daemon is alive.
pub fn alive() {
    outbox::put(Message::Alive);
}

/// The longest time for which a step that keeps the daemon from speaking for itself counts as alive.
const PATIENCE: Duration = Duration::from_secs(300);

/// A thread that says that the daemon is alive, until it is dropped, or the step that it is for has hung.
#[derive(Debug)]
pub struct Feeder {
    /// Hangs up when it is dropped.
    _end: Sender<()>,
}

impl Feeder {
    /// Says so every `interval` from now on.
    #[must_use]
    pub fn start(interval: Duration) -> Self {
        let (sender, ended) = channel();
        thread::spawn(move || {
            let start = Instant::now();
            while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout)
                && start.elapsed() < PATIENCE
            {
                alive();
            }
        });
        Self { _end: sender }
    }
}
