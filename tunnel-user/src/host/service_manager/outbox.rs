//! Queues messages to the service manager, and sends them on a separate thread: when the queue of the service manager's
//! socket is full, a send blocks until the service manager reads a message. The queue's length is
//! net.unix.max_dgram_qlen, by default ten messages.

use std::collections::VecDeque;
use std::env;
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::plan::follow::Notify;

/// A message to the service manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A notice.
    Notify(Notify),
    /// The daemon is alive.
    Alive,
}

/// The waiting messages, in their order. A new status replaces a waiting status, and a new `Alive` replaces a waiting
/// `Alive`.
#[derive(Debug)]
struct Outbox {
    waiting: VecDeque<Message>,
    /// True while the thread sends a message that it has taken from the queue.
    is_sending: bool,
}

impl Outbox {
    fn put(&mut self, message: Message) {
        match message {
            Message::Alive => self.waiting.retain(|waiting| *waiting != Message::Alive),
            Message::Notify(Notify::Status(_)) => {
                self.waiting
                    .retain(|waiting| !matches!(waiting, Message::Notify(Notify::Status(_))));
            }
            Message::Notify(_) => {}
        }
        self.waiting.push_back(message);
    }
}

static OUTBOX: Mutex<Outbox> = Mutex::new(Outbox { waiting: VecDeque::new(), is_sending: false });
static CHANGED: Condvar = Condvar::new();
static STARTED: Once = Once::new();

fn outbox() -> MutexGuard<'static, Outbox> {
    OUTBOX.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Queues a message, without waiting for its delivery.
pub fn put(message: Message) {
    if env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    STARTED.call_once(|| {
        thread::spawn(send_all);
    });
    outbox().put(message);
    CHANGED.notify_all();
}

/// Waits until the thread has sent all messages, for `patience` at most.
pub fn wait_until_empty(patience: Duration) {
    let is_full = |outbox: &mut Outbox| outbox.is_sending || !outbox.waiting.is_empty();
    drop(CHANGED.wait_timeout_while(outbox(), patience, is_full));
}

/// Sends each queued message in turn, for ever.
fn send_all() {
    loop {
        let is_empty = |outbox: &mut Outbox| outbox.waiting.is_empty();
        let mut guard =
            CHANGED.wait_while(outbox(), is_empty).unwrap_or_else(PoisonError::into_inner);
        let next = guard.waiting.pop_front();
        guard.is_sending = true;
        drop(guard);
        if let Some(message) = next {
            send(&message);
        }
        outbox().is_sending = false;
        CHANGED.notify_all();
    }
}

fn send(message: &Message) {
    let states = match message {
        Message::Alive => vec![NotifyState::Watchdog],
        Message::Notify(Notify::Ready) => vec![NotifyState::Ready],
        Message::Notify(Notify::Stopping) => vec![NotifyState::Stopping],
        Message::Notify(Notify::Status(line)) => vec![NotifyState::Status(line)],
        // systemd 253 and later identifies a reload by its time (Type=notify-reload).
        Message::Notify(Notify::Reloading) => match NotifyState::monotonic_usec_now() {
            Ok(now) => vec![NotifyState::Reloading, now],
            Err(_) => vec![NotifyState::Reloading],
        },
    };
    if let Err(error) = sd_notify::notify(&states) {
        tracing::debug!("notifying the service manager failed: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_status_and_one_sign_of_life_wait_behind_all_that_came_before() {
        let status = |line: &str| Message::Notify(Notify::Status(line.into()));
        let mut outbox = Outbox { waiting: VecDeque::new(), is_sending: false };
        for message in [
            status("first"),
            Message::Alive,
            Message::Notify(Notify::Ready),
            status("second"),
            Message::Alive,
            Message::Notify(Notify::Reloading),
            Message::Notify(Notify::Ready),
            status("third"),
        ] {
            outbox.put(message);
        }
        let waiting: Vec<_> = outbox.waiting.into();
        assert_eq!(
            waiting,
            [
                Message::Notify(Notify::Ready),
                Message::Alive,
                Message::Notify(Notify::Reloading),
                Message::Notify(Notify::Ready),
                status("third"),
            ]
        );
    }
}
