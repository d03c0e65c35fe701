//! `stats --watch`: the counters every second, with the programs' messages if asked for.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use aya_log::EbpfLogger;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};
use tunnel_common::outcome::Direction;
use tunnel_user::commands::{running, stats};
use tunnel_user::dataplane::hook::{self, Hook};
use tunnel_user::failure::{Context as _, Failure};

use crate::{as_json, print};

const INTERVAL: Duration = Duration::from_secs(1);
/// Cursor home, clear to the end: what was there before scrolls away once and is not lost.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Prints until a signal comes or the reader goes away. On a terminal, in place.
pub async fn stats(json: bool, verbose: bool) -> Result<(), Failure> {
    if verbose {
        follow_messages()?;
    }
    let in_place = io::stdout().is_terminal() && !json && !verbose;
    let listen = |kind| signal(kind).doing(|| "listening for signals".into());
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        }
        let stats = stats::run()?;
        let text = if json { as_json(&stats)? } else { print::stats(&stats) };
        let mut stdout = io::stdout().lock();
        let clear = if in_place { CLEAR } else { "" };
        if write!(stdout, "{clear}{text}").and_then(|()| stdout.flush()).is_err() {
            return Ok(());
        }
    }
}

/// Writes the programs' messages to the log as they come.
fn follow_messages() -> Result<(), Failure> {
    for running in running::all()? {
        let Some(hook) = Hook::from_code(running.attachment.hook) else { continue };
        // Both programs write to one ring.
        let program = hook::running(&running.folder, hook, Direction::Egress)?.program;
        let logger = match EbpfLogger::init_from_id(program) {
            Ok(logger) => logger,
            Err(error) => {
                tracing::warn!(
                    "{} has no messages ({error}): attach it again with --verbose",
                    running.folder.interface()
                );
                continue;
            }
        };
        let mut messages =
            AsyncFd::register(logger).doing(|| "listening to the programs' messages".into())?;
        tokio::spawn(async move {
            while let Ok(mut ready) = messages.readable_mut().await {
                ready.get_inner_mut().flush();
                ready.clear_ready();
            }
        });
    }
    Ok(())
}
