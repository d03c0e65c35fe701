//! Watches over the peers of a daemon's interface, and records the silent ones and the ones that are heard again: on a
//! thread of its own, because reading the counters of a million peers takes a while.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::dataplane::pins::Folder;
use crate::error::{Context as _, Error};
use crate::ops::events;
use crate::ops::silent_peers::changes;
use crate::plan::peer_watch::PeerWatch;

/// The shortest pause between two looks. A peer counts as silent after ten seconds.
const INTERVAL: Duration = Duration::from_secs(5);
/// The pause after a look is so many times longer than the look.
const SHARE: u32 = 100;

/// The watching thread. Dropping this value ends the thread.
#[derive(Debug)]
pub struct PeerWatcher {
    _end: Sender<()>,
}

impl PeerWatcher {
    /// Starts the thread for the interface in `folder`.
    ///
    /// # Errors
    /// If the kernel refuses the thread.
    pub fn start(folder: &Folder) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .context(|| "starting the runtime of the watch over the peers".into())?;
        let (sender, ended) = channel();
        let folder = folder.clone();
        let watch = move || {
            let mut watch = PeerWatch::default();
            let mut pause = INTERVAL;
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let start = Instant::now();
                match runtime.block_on(changes(&folder, &mut watch)) {
                    Ok(found) => found.into_iter().for_each(|event| events::record(&folder, event)),
                    Err(failure) => tracing::debug!("watching over the peers failed: {failure}"),
                }
                pause = INTERVAL.max(start.elapsed().saturating_mul(SHARE));
            }
        };
        thread::Builder::new()
            .name("peers".into())
            .spawn(watch)
            .context(|| "starting the watch over the peers".into())?;
        Ok(Self { _end: sender })
    }
}
