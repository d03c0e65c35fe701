//! What the service manager is told: sd_notify(3). Where there is none, nobody is told.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::plan::follow::Tell;

/// Tells the service manager; a failure to is no reason to stop.
pub fn tell(tell: &Tell) {
    let states = match tell {
        Tell::Ready => vec![NotifyState::Ready],
        Tell::Stopping => vec![NotifyState::Stopping],
        Tell::Status(line) => vec![NotifyState::Status(line)],
        // systemd wants to know which reload it was, from version 253 on (Type=notify-reload).
        Tell::Reloading => match NotifyState::monotonic_usec_now() {
            Ok(now) => vec![NotifyState::Reloading, now],
            Err(_) => vec![NotifyState::Reloading],
        },
    };
    send(&states);
}

/// How often the service manager wants to hear that the daemon is alive, halved so that a late word
/// is still in time.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    let asked = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())?;
    Some(asked / 2)
}

/// Says that the daemon is alive.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
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

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("the service manager was not told: {error}");
    }
}
