//! Exports metrics: once for `rewrite stats --prometheus`, and all the time for `rewrite run`, on a thread of its own:
//! the daemon's main loop never waits for a client, and a client never waits for the daemon's work.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::task::LocalSet;
use tokio::time::{interval, sleep};

use crate::dataplane::pins::Folder;
use crate::error::{Context as _, Error};
use crate::host::metrics_server::{Content, Listener, ServerAddress, serve};
use crate::ops::metrics::{read, read_with_daemon};
use crate::plan::event_counts::EventCounts;
use crate::plan::events::Event;
use crate::plan::metrics::text::CONTENT_TYPE;
use crate::plan::metrics::{DaemonReading, PeersLimit};

/// The pause between two attempts to bind the address.
const AGAIN: Duration = Duration::from_secs(1);

/// The metrics that a daemon exports. By default, none: no port is open.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The address at which the metrics are served.
    pub address: Option<ServerAddress>,
    /// The file for node_exporter.
    pub file: Option<TextFile>,
    /// The peers that have series of their own.
    pub peers: PeersLimit,
}

/// A file that node_exporter's textfile collector reads.
#[derive(Clone, Debug)]
pub struct TextFile {
    /// The path.
    pub path: PathBuf,
    /// The pause between two replacements.
    pub interval: Duration,
}

/// The metrics of all attached interfaces in this network namespace, in the Prometheus text format.
///
/// # Errors
/// If the pins can't be used.
pub async fn run(peers: PeersLimit) -> Result<String, Error> {
    read(None, peers).await?.into_text().context(|| "writing the metrics".into())
}

/// The daemon's counters, which the exporter's thread reads.
#[derive(Debug)]
pub struct DaemonState {
    interface: String,
    started: SystemTime,
    follows: AtomicBool,
    attaches: AtomicU64,
    failed_attaches: AtomicU64,
    events: Mutex<EventCounts>,
}

impl DaemonState {
    /// The state of a daemon that starts now.
    #[must_use]
    pub fn new(interface: &str) -> Arc<Self> {
        Arc::new(Self {
            interface: interface.to_owned(),
            started: SystemTime::now(),
            follows: AtomicBool::new(false),
            attaches: AtomicU64::new(0),
            failed_attaches: AtomicU64::new(0),
            events: Mutex::default(),
        })
    }

    /// Records that the interface matches the file, or does not.
    pub fn note_follows(&self, follows: bool) {
        self.follows.store(follows, Ordering::Relaxed);
    }

    /// Counts an attach.
    pub fn count_attach(&self, has_worked: bool) {
        let count = if has_worked { &self.attaches } else { &self.failed_attaches };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an event of the interface.
    pub fn count_event(&self, event: &Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).count(event);
    }

    fn reading(&self) -> DaemonReading {
        DaemonReading {
            interface: self.interface.clone(),
            started: self.started,
            is_attached: false,
            follows: self.follows.load(Ordering::Relaxed),
            attaches: self.attaches.load(Ordering::Relaxed),
            failed_attaches: self.failed_attaches.load(Ordering::Relaxed),
            events: self.events.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// The thread that exports the metrics. Dropping this value removes the thread's socket and file.
#[derive(Debug)]
pub struct Exporter {
    options: Options,
    claims: Arc<Claims>,
}

/// The socket and the file that the thread has made.
#[derive(Debug, Default)]
struct Claims {
    /// True if the thread has bound its address.
    is_bound: AtomicBool,
    /// True after the removal of the file: the thread then writes no other file.
    has_ended: Mutex<bool>,
}

impl Exporter {
    /// Starts the thread, if the options ask for metrics. It inherits this thread's network namespace.
    ///
    /// # Errors
    /// If the kernel refuses the thread.
    pub fn start(
        options: &Options,
        folder: &Folder,
        daemon: &Arc<DaemonState>,
    ) -> Result<Self, Error> {
        let exporter = Self { options: options.clone(), claims: Arc::default() };
        if options.address.is_none() && options.file.is_none() {
            return Ok(exporter);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context(|| "starting the runtime of the metrics".into())?;
        let source =
            Source { folder: folder.clone(), peers: options.peers, daemon: Arc::clone(daemon) };
        let claims = Arc::clone(&exporter.claims);
        let options = options.clone();
        thread::Builder::new()
            .name("metrics".into())
            .spawn(move || LocalSet::new().block_on(&runtime, export(options, source, claims)))
            .context(|| "starting the thread of the metrics".into())?;
        Ok(exporter)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        if let Some(ServerAddress::Unix(path)) = &self.options.address
            && self.claims.is_bound.load(Ordering::Relaxed)
        {
            let _ = fs::remove_file(path);
        }
        if let Some(file) = &self.options.file {
            *self.claims.has_ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
            let _ = fs::remove_file(&file.path);
        }
    }
}

/// The source of the metrics.
#[derive(Clone)]
struct Source {
    folder: Folder,
    peers: PeersLimit,
    daemon: Arc<DaemonState>,
}

impl Source {
    async fn content(self) -> Result<Content, Error> {
        let daemon = self.daemon.reading();
        let exposition = read_with_daemon(&self.folder, self.peers, daemon).await?;
        let text = exposition.into_text().context(|| "writing the metrics".into())?;
        Ok(Content { text, media_type: CONTENT_TYPE })
    }
}

async fn export(options: Options, source: Source, claims: Arc<Claims>) {
    let served = async {
        let Some(address) = &options.address else { return };
        let listener = bound(address).await;
        claims.is_bound.store(true, Ordering::Relaxed);
        tracing::info!("serving metrics at {address}");
        let source = source.clone();
        match serve(listener, Rc::new(move || source.clone().content())).await {}
    };
    let written = async {
        let Some(file) = &options.file else { return };
        let mut ticks = interval(file.interval);
        let mut reported = None;
        loop {
            ticks.tick().await;
            let problem =
                write(&file.path, source.clone(), &claims).await.err().map(|e| e.to_string());
            if let Some(problem) = problem.as_ref().filter(|_| problem != reported) {
                tracing::warn!("the metrics are not written to the file: {problem}");
            }
            reported = problem;
        }
    };
    tokio::join!(served, written);
}

/// Binds the address, as soon as this host has it and no other process serves it.
async fn bound(address: &ServerAddress) -> Listener {
    let mut reported = None;
    loop {
        let error = match Listener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => error.to_string(),
        };
        if reported.as_ref() != Some(&error) {
            tracing::warn!("metrics can't be served at {address} yet, waiting: {error}");
            reported = Some(error);
        }
        sleep(AGAIN).await;
    }
}

/// Replaces the file in one step. Everybody may read the new file: node_exporter runs as another user.
async fn write(path: &Path, source: Source, claims: &Claims) -> Result<(), Error> {
    let content = source.content().await?;
    let has_ended = claims.has_ended.lock().unwrap_or_else(PoisonError::into_inner);
    if *has_ended {
        return Ok(());
    }
    replace(path, &content.text).context(|| format!("writing {}", path.display()))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    // node_exporter reads the names that end in .prom.
    let mut next = tempfile::Builder::new().prefix(".rewrite-").tempfile_in(folder)?;
    next.write_all(text.as_bytes())?;
    next.as_file().set_permissions(Permissions::from_mode(0o644))?;
    next.persist(path).map_err(|failure| failure.error)?;
    Ok(())
}
