//! The daemon's log in the journal: priorities, and events with their fields. A socket of the test is in the journal's
//! place.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::daemon::Daemon;
use crate::scenario::{NOTHING_MORE, Scenario};

/// Gives a command a /run of its own, with the real network namespaces and records, and with the folder $2 in the
/// journal's place. $1 is an empty folder.
const WITH_JOURNAL: &str = r#"
set -e
mkdir "$1/netns" "$1/rewrite"
mount --rbind /run/netns "$1/netns"
mount --bind /run/rewrite "$1/rewrite"
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/rewrite /run/systemd/journal
mount --rbind "$1/netns" /run/netns
mount --bind "$1/rewrite" /run/rewrite
mount --bind "$2" /run/systemd/journal
shift 2
JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2)
export JOURNAL_STREAM
exec "$@"
"#;
const PATIENCE: Duration = Duration::from_secs(60);

type Fields = BTreeMap<String, String>;

/// The fields of a message in the journal's protocol (systemd, docs/JOURNAL_NATIVE_PROTOCOL.md).
fn fields(mut message: &[u8]) -> Result<Fields> {
    let mut fields = Fields::new();
    while let Some(end) = message.iter().position(|byte| *byte == b'\n') {
        let (line, rest) = (std::str::from_utf8(&message[..end])?, &message[end + 1..]);
        let (name, value);
        (name, value, message) = match line.split_once('=') {
            Some((name, value)) => (name, value, rest),
            None => {
                let (length, rest) = rest.split_first_chunk().context("no length")?;
                let length = usize::try_from(u64::from_le_bytes(*length))?;
                let (value, rest) = rest.split_at_checked(length).context("too short")?;
                (line, std::str::from_utf8(value)?, rest.get(1..).context("no end")?)
            }
        };
        fields.insert(name.to_owned(), value.to_owned());
    }
    Ok(fields)
}

/// Waits for a message with these fields.
fn wait_for(journal: &UnixDatagram, wanted: &[(&str, &str)]) -> Result<Fields> {
    let (start, mut message) = (Instant::now(), vec![0; 1 << 16]);
    let mut others = Vec::new();
    while start.elapsed() < PATIENCE {
        let Ok(length) = journal.recv(&mut message) else { break };
        let fields = fields(&message[..length])?;
        if wanted.iter().all(|(name, value)| fields.get(*name).is_some_and(|it| it == value)) {
            return Ok(fields);
        }
        others.push(fields);
    }
    bail!("no message with {wanted:?}: {others:#?}")
}

#[test]
fn messages_have_priorities_and_events_have_fields_in_the_journal() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let [folder, socket] = ["run", "journal"].map(|name| scenario.path(name));
    for path in [&folder, &socket] {
        fs::create_dir(path).context("make a folder")?;
    }
    let journal = UnixDatagram::bind(format!("{socket}/socket")).context("bind the socket")?;
    journal.set_read_timeout(Some(PATIENCE)).context("limit a read")?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", WITH_JOURNAL, "sh", &folder, &socket]);
    command.arg(scenario.rewrite.binary()).args(["--netns", host.name()]);
    let daemon = Daemon::start_command(&scenario, &mut command, NOTHING_MORE)?;
    daemon.wait_for("READY=1")?;
    let event = |name| ("REWRITE_EVENT", name);
    wait_for(&journal, &[event("attached"), ("REWRITE_INTERFACE", "eth0"), ("PRIORITY", "5")])?;

    // A command records this event.
    scenario.rewrite.run(host, &["peer", "set", "srvb", "--public", "203.0.113.8"])?;
    let moved = wait_for(&journal, &[event("peer-moved"), ("REWRITE_PEER", "srvb")])?;
    let text = "eth0: peer srvb moved from 203.0.113.2 to 203.0.113.8";
    assert_eq!(moved.get("MESSAGE").map(String::as_str), Some(text));

    scenario.file("cluster.toml", "not a cluster")?;
    let error = wait_for(&journal, &[("PRIORITY", "3")])?;
    assert!(error["MESSAGE"].contains("cluster.toml:1"), "{error:#?}");
    let (_, lines) = daemon.terminate()?;
    assert_eq!(lines, [""; 0], "plain lines beside the journal");
    Ok(())
}
