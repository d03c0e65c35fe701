//! The notices to the service manager: sd_notify(3). Without a service manager, they go nowhere.

mod outbox;

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use self::outbox::Message;
use crate::plan::follow::Notify;

/// Sends a notice to the service manager, without waiting for it to read; a failure stops nothing. Only the
/// daemon's last notice waits a moment for its delivery.
pub fn notify(notice: Notify) {
    let is_last = notice == Notify::Stopping;
    outbox::put(Message::Notify(notice));
    if is_last {
        outbox::wait_until_empty(LAST_WORD);
    }
}

/// The longest wait for the delivery of the last notice.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Half of the interval that the service manager demands for signs of life, so that a late message is still in
/// time.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    let asked = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())?;
    Some(asked / 2)
}

/// Says that the daemon is alive.
pub fn alive() {
    outbox::put(Message::Alive);
}

/// The longest time for which a step that blocks the daemon's own messages counts as alive.
const PATIENCE: Duration = Duration::from_secs(300);

/// A thread that reports the daemon as alive during a long step, until this value is dropped or the step has hung.
#[derive(Debug)]
pub struct Feeder {
    /// Its drop closes the channel, which ends the thread.
    _end: Sender<()>,
}

impl Feeder {
    /// Reports every `interval` from now on.
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
