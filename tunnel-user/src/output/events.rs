//! `events` prints one line for each event; with --follow, until a signal comes.

use tokio::signal::unix::{SignalKind, signal};
use tunnel_user::commands::events::{self, Events};
use tunnel_user::error::{Context as _, Error};

use super::print;

/// The text for an interface without events.
const NOTHING: &str = "no events since the boot\n";

/// Prints the recorded events. With `follow`, prints the next ones as they come, until a signal comes.
pub async fn run(interface: Option<&str>, follow: bool, json: bool) -> Result<(), Error> {
    let mut events = Events::new(interface)?;
    if !follow {
        let text = text(&mut events, json)?;
        return print(if text.is_empty() && !json { NOTHING } else { &text });
    }
    let listen = |kind| signal(kind).context(|| "listening for signals".into());
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    // Listen first: an event between the read and the wait is then no event missed.
    let mut changes = events::changes().await?;
    loop {
        print(&text(&mut events, json)?)?;
        tokio::select! {
            changed = changes.changed() => changed?,
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        }
    }
}

fn text(events: &mut Events, json: bool) -> Result<String, Error> {
    let lines = events.unread()?.into_iter().map(|(record, line)| match json {
        true => line + "\n",
        false => format!("{record}\n"),
    });
    Ok(lines.collect())
}
