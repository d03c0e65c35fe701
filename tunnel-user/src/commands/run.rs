//! `rewrite run`: keeps an interface as the file says, until a signal comes. The dataplane also runs without this
//! daemon.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, Interval, interval, sleep_until};

use super::attach;
use super::event_thread::EventThread;
use super::metrics::{self, DaemonState, Exporter};
use crate::config::folder_beside;
use crate::dataplane::bpffs;
use crate::dataplane::instance::Instance;
use crate::dataplane::pins::Folder;
use crate::dataplane::program_changes::ProgramChanges;
use crate::error::{Context as _, Error};
use crate::host::file_changes::FileChanges;
use crate::host::freed_memory;
use crate::host::netlink::Netlink;
use crate::host::network_changes::NetworkChanges;
use crate::host::network_namespace::{self, NetworkNamespace};
use crate::host::privileges::{self, Task};
use crate::host::service_manager::{self, Feeder};
use crate::interrupt::Interrupt;
use crate::model::text::list;
use crate::ops::attach::report;
use crate::ops::attach::request::Request;
use crate::ops::drift::{self, MayFollow, Permission};
use crate::ops::{detach, events, hook_queues};
use crate::plan::events::Event as Happened;
use crate::plan::follow::{self, Action, Event, Follow, Notify, Report};
use crate::trial;

/// The maximum number of differences that one log line names.
const NAMED_MAX: usize = 8;

/// Permits a valid file, unless a file is on trial, or this file was on trial and nobody confirmed the trial.
const MAY_FOLLOW: MayFollow = |folder, content| {
    match trial::require_none(folder) {
        Ok(()) => {}
        Err(refused @ Error::Refused { .. }) => {
            return Ok(Permission::Denied(refused.to_string()));
        }
        Err(failure) => return Err(failure),
    }
    if trial::was_rolled_back(folder, content)? {
        let interface = folder.interface();
        return Ok(Permission::Denied(format!(
            "the trial of this file ended without a confirmation: change the file, or run rewrite \
             attach {interface}"
        )));
    }
    Ok(Permission::Granted)
};

/// Keeps the interface as the file says, until SIGTERM or SIGINT comes. The dataplane then stays attached. With
/// `detach_on_exit`, the daemon detaches the dataplane instead, and returns the report of the detach.
///
/// # Errors
/// If this host can't run the programs, the interface has a daemon already, or the kernel's events can't be received.
/// The daemon reports an invalid file, and waits for a valid file.
pub async fn run(
    request: &Request,
    detach_on_exit: bool,
    metrics: &metrics::Options,
    hooks: hook_queues::Options,
) -> Result<Option<detach::Report>, Error> {
    freed_memory::allocate_in_one_arena();
    privileges::require(Task::LoadPrograms)?;
    // Inside `ip netns exec`, fail at once if no bpffs is mounted: a bpffs mounted later would vanish with this
    // process. Elsewhere, the daemon waits for the mount.
    if network_namespace::of_ip_netns_exec().is_some() {
        bpffs::require()?;
    }
    let folder = Folder::of(NetworkNamespace::current()?, &request.interface);
    let Some(instance) = claim(&folder, &request.config).await? else { return Ok(None) };
    let state = DaemonState::new(&request.interface);
    // This thread comes first: its hooks see all events of this daemon.
    let _events = EventThread::start(hooks, &folder, &state)?;
    events::record(&folder, Happened::DaemonStarted { process_id: std::process::id() });
    let _exporter = Exporter::start(metrics, &folder, &state)?;
    let mut daemon = Daemon::new(request, &folder, instance, state).await?;
    let ended = daemon.run().await;
    // After a failure, detach nothing: the service manager starts the daemon again.
    ended?;
    if detach_on_exit { detach::as_its_daemon(&folder).await } else { Ok(None) }
}

/// The pause between two attempts to become the interface's daemon.
const INTERVAL: Duration = Duration::from_secs(1);

/// Becomes the interface's daemon, as soon as /run is writable. Returns `None` if a signal comes first.
async fn claim(folder: &Folder, config: &Path) -> Result<Option<Instance>, Error> {
    let listen = |kind| signal(kind).context(|| "listening for signals".into());
    let mut terminate = listen(SignalKind::terminate())?;
    let mut stop = listen(SignalKind::interrupt())?;
    // Catch SIGHUP: there is nothing to reload yet, and the default action would end this process.
    let _reload = listen(SignalKind::hangup())?;
    let mut watchdog = service_manager::watchdog().map(interval);
    let mut reported = None;
    loop {
        let why = match Instance::claim(folder, config) {
            Ok(instance) => return Ok(Some(instance)),
            Err(failure @ Error::Host { .. }) => failure.to_string(),
            Err(failure) => return Err(failure),
        };
        if reported.as_ref() != Some(&why) {
            let interface = folder.interface();
            tracing::error!("the daemon of {interface} can't start yet, waiting: {why}");
            let line = why.lines().next().unwrap_or_default();
            service_manager::notify(Notify::Status(format!("can't start yet, waiting: {line}")));
            reported = Some(why);
        }
        let again = tokio::time::sleep(INTERVAL);
        tokio::pin!(again);
        loop {
            tokio::select! {
                () = &mut again => break,
                () = alive(watchdog.as_mut()) => {}
                _ = terminate.recv() => return Ok(None),
                _ = stop.recv() => return Ok(None),
            }
        }
    }
}

/// The daemon: waits for events, passes them to [`Follow`], and executes the resulting actions.
struct Daemon<'a> {
    request: &'a Request,
    folder: &'a Folder,
    instance: Instance,
    state: Arc<DaemonState>,
    netlink: Netlink,
    began: Instant,
    follow: Follow,
    file: FileChanges,
    network: NetworkChanges,
    programs: ProgramChanges,
    interrupt: Interrupt,
    terminate: Signal,
    stop: Signal,
    reload: Signal,
    watchdog: Option<Interval>,
}

impl<'a> Daemon<'a> {
    async fn new(
        request: &'a Request,
        folder: &'a Folder,
        instance: Instance,
        state: Arc<DaemonState>,
    ) -> Result<Self, Error> {
        let listen = |kind| signal(kind).context(|| "listening for signals".into());
        Ok(Self {
            request,
            folder,
            instance,
            state,
            netlink: Netlink::connect()?,
            began: Instant::now(),
            follow: Follow::default(),
            file: FileChanges::listen_with_folder(
                &request.config,
                folder_beside(&request.config).as_deref(),
            )
            .await?,
            network: NetworkChanges::listen()?,
            programs: ProgramChanges::listen(folder),
            interrupt: Interrupt::listen()?,
            terminate: listen(SignalKind::terminate())?,
            stop: listen(SignalKind::interrupt())?,
            reload: listen(SignalKind::hangup())?,
            watchdog: service_manager::watchdog().map(interval),
        })
    }

    async fn run(&mut self) -> Result<(), Error> {
        let mut event = Event::Started;
        loop {
            if self.answer(event).await {
                return Ok(());
            }
            freed_memory::give_back();
            event = self.next_event().await?;
        }
    }

    async fn next_event(&mut self) -> Result<Event, Error> {
        loop {
            let deadline = self.began + self.follow.deadline();
            return Ok(tokio::select! {
                biased;
                () = alive(self.watchdog.as_mut()) => continue,
                _ = self.terminate.recv() => Event::Stop,
                _ = self.stop.recv() => Event::Stop,
                _ = self.reload.recv() => Event::Reload,
                // This branch precedes the events below, because a steady stream of events must not delay the search
                // for drift.
                () = sleep_until(deadline) => Event::Due,
                changed = self.file.changed() => changed.map(|()| Event::Changed)?,
                changed = self.network.changed() => changed.map(|()| Event::Changed)?,
                () = self.programs.changed() => Event::Changed,
            });
        }
    }

    /// Carries out the actions that follow from an event. True if the daemon stops.
    async fn answer(&mut self, event: Event) -> bool {
        // Feed the watchdog meanwhile: loading programs and reading maps can block this thread for longer than the
        // watchdog's interval.
        let _feeder = self.watchdog.as_ref().map(|interval| Feeder::start(interval.period()));
        let mut actions = VecDeque::from(self.follow.on(self.now(), event));
        while let Some(action) = actions.pop_front() {
            let event = match action {
                Action::FindDrift => {
                    let look = drift::find(self.request, self.folder, &self.netlink, MAY_FOLLOW);
                    // The search for drift leaves the host unchanged, so a signal may cancel the search at any point.
                    tokio::select! {
                        look = look => Event::Compared(look),
                        _ = self.terminate.recv() => Event::Stop,
                        _ = self.stop.recv() => Event::Stop,
                    }
                }
                Action::Attach(why) => {
                    let interface = &self.request.interface;
                    tracing::info!("attaching {interface}: {}", shortened(&why));
                    let attach = attach::run_until(self.request, &self.interrupt);
                    match attach.await {
                        Ok(report) => {
                            self.state.count_attach(true);
                            self.record(&report, why);
                            for left_out in &report.left_out {
                                tracing::info!("{left_out}");
                            }
                            self.programs.note();
                            Event::Attached(Ok(()))
                        }
                        // The main loop receives the signal as the next event.
                        Err(Error::Interrupted) => return false,
                        Err(failure) => {
                            self.state.count_attach(false);
                            let problem =
                                drift::problem(&failure, self.folder, &self.netlink).await;
                            Event::Attached(Err(problem))
                        }
                    }
                }
                Action::Notify(notice) => {
                    notify_service_manager(notice);
                    continue;
                }
                Action::Report(report) => {
                    self.report(&report);
                    continue;
                }
                Action::Stop => return true,
            };
            actions.extend(self.follow.on(self.now(), event));
        }
        false
    }

    /// Records an attach as an event, unless it merely took over the attached interface.
    fn record(&self, report: &report::Report, why: Vec<String>) {
        if !report.was_attached {
            events::record(self.folder, Happened::Attached);
        } else if !follow::is_take_over(&why) {
            events::record(self.folder, Happened::DriftMended { differences: why });
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn report(&mut self, report: &Report) {
        let interface = &self.request.interface;
        let problem = match report {
            Report::Follows(_) => None,
            Report::Problem(problem) => Some(problem.line()),
        };
        self.state.note_follows(problem.is_none());
        self.instance.note(problem.as_deref());
        match report {
            Report::Follows(summary) => tracing::info!("{summary}"),
            // Only a warning: the network manager will add the missing interface, address or route, and the daemon
            // then continues.
            Report::Problem(problem) if problem.awaited => {
                tracing::warn!("{interface} is {}", problem.line());
            }
            Report::Problem(problem) => tracing::error!("{interface} is {}", problem.line()),
        }
    }
}

fn notify_service_manager(notice: Notify) {
    tracing::debug!("notifying the service manager: {notice:?}");
    service_manager::notify(notice);
}

/// Waits for the next tick of the interval, and sends a keep-alive to the service manager. Never returns if there is no
/// watchdog.
async fn alive(watchdog: Option<&mut Interval>) {
    match watchdog {
        Some(interval) => {
            interval.tick().await;
            service_manager::alive();
        }
        None => std::future::pending().await,
    }
}

fn shortened(differences: &[String]) -> String {
    match differences.len().checked_sub(NAMED_MAX) {
        None | Some(0) => list(differences),
        Some(more) => format!("{}, and {more} more", list(&differences[..NAMED_MAX])),
    }
}
