//! `stats --watch` prints the counters every second, and the programs' messages with --verbose. `stats --interval`
//! prints the rates over each interval.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use aya_log::EbpfLogger;
use tokio::signal::unix::{SignalKind, signal};
use tunnel_user::commands::stats;
use tunnel_user::dataplane::hook;
use tunnel_user::error::{Context as _, Error};
use tunnel_user::ops::attached;
use tunnel_user::plan::attach_point::Program;

use super::as_json;
use super::bpf_log::DescribedLog;

/// The pause between two outputs of `--watch`.
const INTERVAL: Duration = Duration::from_secs(1);
/// Moves the cursor home and clears the screen. The terminal's scrollback keeps the earlier text.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// The values of each output.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// The counters, every second.
    Totals,
    /// The rates over each interval.
    Rates(Duration),
}

/// Prints until a signal comes or stdout is closed. On a terminal, each output replaces the previous output.
pub async fn stats(
    values: Values,
    selection: &stats::Selection,
    json: bool,
    verbose: bool,
) -> Result<(), Error> {
    let mut messages = if verbose { messages(selection)? } else { Vec::new() };
    let in_place = io::stdout().is_terminal() && !json && !verbose;
    let listen = |kind| signal(kind).context(|| "listening for signals".into());
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let mut ticks = tokio::time::interval(match values {
        Values::Totals => INTERVAL,
        Values::Rates(interval) => interval,
    });
    let mut before = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        }
        messages.iter_mut().for_each(EbpfLogger::flush);
        let look = stats::run(selection).await?;
        let stats = match values {
            Values::Totals => look.stats,
            Values::Rates(_) => {
                let stats = before.as_ref().map(|before| look.since(before));
                before = Some(look);
                let Some(stats) = stats else { continue };
                stats
            }
        };
        let all = !selection.reasons.is_empty();
        let text = if json { as_json(&stats)? } else { super::stats::text(&stats, all) };
        let mut stdout = io::stdout().lock();
        let clear = if in_place { CLEAR } else { "" };
        if write!(stdout, "{clear}{text}").and_then(|()| stdout.flush()).is_err() {
            return Ok(());
        }
    }
}

/// The readers that copy the programs' messages to the log. Only programs attached with --verbose have messages.
fn messages(selection: &stats::Selection) -> Result<Vec<EbpfLogger<DescribedLog>>, Error> {
    let mut loggers = Vec::new();
    for running in attached::selected(selection.interface.as_deref())? {
        let interface = running.folder.interface();
        if running.attachment.verbose == 0 {
            tracing::warn!(
                "the programs of {interface} log no messages: attach it again with --verbose"
            );
            continue;
        }
        // Both programs write to one ring buffer, so the egress program gives access to all messages.
        let program = hook::program(&running.folder, Program::Egress)?;
        let logger = EbpfLogger::init_from_id_with_logger(program, DescribedLog)
            .context(|| format!("reading the messages of {interface}"))?;
        loggers.push(logger);
    }
    Ok(loggers)
}
