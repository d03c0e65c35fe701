//! `rewrite top`: shows the peers with their rates on the whole terminal, and runs `ping`, `explain` or `trace` for the
//! selected peer below them.

mod inspection;
mod screen;
mod view;

use std::future::{Future, pending};
use std::io::{self, IsTerminal as _};
use std::pin::Pin;
use std::thread;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{self, Interval, MissedTickBehavior};
use tunnel_user::cli::TopArgs;
use tunnel_user::commands::{ping, stats};
use tunnel_user::error::{Context as _, Error};
use tunnel_user::ops::attached;

use inspection::Inspection;
use view::{Action, View};

/// The pause between two pings of all peers.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// A ping of all peers that runs beside the screen.
type Pinging<'a> = Pin<Box<dyn Future<Output = Result<Option<ping::Report>, Error>> + 'a>>;

/// Shows the screen until the operator ends it, or a signal comes.
///
/// # Errors
/// [`Error::Refused`] if stdin or stdout is no terminal, or nothing is attached; and an error if the pins can't be used.
pub async fn run(args: TopArgs, netns: Option<&str>) -> Result<(), Error> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Error::refused(
            "top needs a terminal",
            "in a pipe or a file: rewrite stats --interval 1 --json",
        ));
    }
    let interval = Duration::from_secs(args.interval.into());
    let selection =
        stats::Selection { interface: args.on.into_name(), ..stats::Selection::default() };
    let look = stats::run(&selection).await?;
    if look.stats.interfaces.is_empty() {
        return Err(attached::none_attached());
    }
    let mut terminal = ratatui::try_init().context(|| "preparing the terminal".into())?;
    let ended = show(&mut terminal, &selection, interval, args.probe, look, netns).await;
    ratatui::restore();
    ended
}

async fn show(
    terminal: &mut DefaultTerminal,
    selection: &stats::Selection,
    interval: Duration,
    probe: bool,
    mut look: stats::Look,
    netns: Option<&str>,
) -> Result<(), Error> {
    let listen = |kind| signal(kind).context(|| "listening for signals".into());
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let mut events = events();
    let mut ticks = every(interval);
    // The first tick comes at once, and the first rates need an interval.
    ticks.tick().await;
    let mut probes = every(PROBE_INTERVAL);
    let mut pinging: Option<Pinging<'_>> = None;
    let mut inspection: Option<Inspection> = None;
    let mut view = View::new(look.stats.clone(), probe);
    loop {
        let drawn = terminal.draw(|frame| {
            screen::draw(frame, &view, interval, inspection.as_ref());
        });
        drawn.context(|| "drawing on the terminal".into())?;
        tokio::select! {
            _ = ticks.tick() => {
                let now = stats::run(selection).await?;
                view.update(now.since(&look));
                look = now;
            }
            _ = probes.tick(), if probe && pinging.is_none() => {
                let all = ping::unless_gateway(selection.interface.as_deref(), &[]);
                pinging = Some(Box::pin(all));
            }
            report = done(&mut pinging) => {
                pinging = None;
                if let Some(report) = report? {
                    view.note_pings(&report);
                }
            }
            () = changed(&mut inspection) => {}
            event = events.recv() => match event {
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    match view.press(&key, inspection.is_some()) {
                        Action::None => {}
                        Action::Quit => return Ok(()),
                        Action::Close => inspection = None,
                        Action::Run(words) => inspection = Some(Inspection::start(netns, &words)?),
                    }
                }
                Some(_) => {}
                // The terminal is gone.
                None => return Ok(()),
            },
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut ticks = time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The terminal's events, which a thread of its own waits for. The thread ends with the process.
fn events() -> UnboundedReceiver<Event> {
    let (sender, events) = unbounded_channel();
    thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.send(event).is_err() {
                return;
            }
        }
    });
    events
}

async fn done<T>(work: &mut Option<Pin<Box<dyn Future<Output = T> + '_>>>) -> T {
    match work {
        Some(work) => work.as_mut().await,
        None => pending().await,
    }
}

async fn changed(inspection: &mut Option<Inspection>) {
    match inspection {
        Some(inspection) => inspection.changed().await,
        None => pending().await,
    }
}
