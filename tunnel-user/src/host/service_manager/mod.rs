//! Sends notices to the service manager by sd_notify(3). Without a service manager, a notice has no effect.

mod outbox;

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use self::outbox::Message;
use crate::plan::follow::Notify;

/// Sends a notice to the service manager, without a wait for the delivery, and ignores a failure. After the daemon's
/// last notice, waits up to `LAST_WORD` for the delivery.
pub fn notify(notice: Notify) {
    let is_last = notice == Notify::Stopping;
    outbox::put(Message::Notify(notice));
    if is_last {
        outbox::wait_until_empty(LAST_WORD);
    }
}

/// The longest wait for the delivery of the last notice.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Half of the service manager's watchdog interval, so that a late message still arrives in time; `None` if the
/// service manager sets no watchdog.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    let asked = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())?;
    Some(asked / 2)
}

/// Tells the service manager that the daemon is alive.
pub fn alive() {
    outbox::put(Message::Alive);
}

/// The longest time for which the daemon counts as alive while a step blocks the daemon's own messages.
const PATIENCE: Duration = Duration::from_secs(300);

/// A thread that reports the daemon as alive during a long step, until this value is dropped or the step has taken
/// longer than `PATIENCE`.
#[derive(Debug)]
pub struct Feeder {
    /// Dropping the sender closes the channel, which ends the thread.
    _end: Sender<()>,
}

impl Feeder {
    /// Starts a thread that reports once every `interval`.
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
