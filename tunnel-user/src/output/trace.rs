//! Prints the packets of `rewrite trace`, as lines, as JSON, or into a file for Wireshark.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;

use serde::Serialize;
use tunnel_common::outcome::Verdict;
use tunnel_user::commands::trace::{Request, Seen, Trace};
use tunnel_user::error::{Context as _, Error};
use tunnel_user::plan::packet_summary::PacketSummary;
use tunnel_user::plan::traced_packet::{Captured, TracedOutcome};

use super::pcapng::Capture;
use super::text::counted;

/// The place of the packets' output.
#[derive(Clone, Copy, Debug)]
pub enum Destination<'a> {
    /// Lines on stdout.
    Lines,
    /// One JSON object for each packet, on stdout.
    Json,
    /// A pcapng file; stdout if the path is `-`.
    File(&'a Path),
}

/// Prints packets until a signal comes, `count` packets were printed, stdout is closed, or the interface is detached.
/// Then, if stderr is a terminal or packets were lost, prints the numbers of seen and lost packets to stderr.
pub async fn run(
    request: &Request,
    destination: Destination<'_>,
    count: Option<u64>,
) -> Result<(), Error> {
    let mut trace = Trace::begin(request).await?;
    let interface = trace.interface().to_owned();
    let is_terminal = io::stderr().is_terminal();
    let mut capture = match destination {
        Destination::File(path) => {
            let capture = Capture::begin(to(path)?, &interface, trace.link_header_len);
            Some(capture.context(|| writing(path))?)
        }
        Destination::Lines | Destination::Json => None,
    };
    if is_terminal {
        eprintln!("tracing {interface}; Ctrl-C ends the trace");
    }
    let mut seen_packets = 0;
    while count.is_none_or(|count| seen_packets < count) {
        let Some(seen) = trace.next().await? else { break };
        let written = match (&mut capture, destination) {
            (Some(capture), _) => capture.packet(&seen),
            (None, Destination::Json) => json(&seen, &interface),
            (None, _) => writeln!(io::stdout(), "{}", line(&seen)),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            written => written.context(|| "writing a packet".into())?,
        }
        seen_packets += 1;
    }
    let lost = trace.lost()?;
    if is_terminal || lost > 0 {
        eprintln!("{}, {lost} more came too fast", counted(seen_packets, "packet"));
    }
    Ok(())
}

fn to(path: &Path) -> Result<Box<dyn Write>, Error> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    Ok(Box::new(File::create(path).context(|| writing(path))?))
}

fn writing(path: &Path) -> String {
    format!("writing {}", path.display())
}

/// One packet on one line: the packet as this host's software sees it, and its addresses on the wire.
fn line(seen: &Seen) -> String {
    let packet = &seen.packet;
    let time = humantime::format_rfc3339_micros(seen.at).to_string();
    let time = time.split_once('T').map_or(time.as_str(), |(_, time)| time);
    let peer = seen.peer.as_ref().map_or("-", |peer| peer.as_str());
    let (direction, bytes) = (packet.direction.name(), packet.before.len);
    let host = packet.on_host().summary.as_ref();
    let host = host.map_or_else(|| "not an IP packet".into(), PacketSummary::to_string);
    let what = describe_outcome(seen);
    format!("{time} {direction:7} {peer}  {host}, {bytes} bytes: {what}")
}

/// The program's effect on the packet, in words.
pub fn describe_outcome(seen: &Seen) -> String {
    match seen.packet.outcome {
        TracedOutcome::Rewritten => {
            let wire = seen.packet.on_wire().summary.as_ref();
            let wire = wire.map(|wire| format!("{} > {}", wire.source, wire.destination));
            format!("on the wire {}", wire.as_deref().unwrap_or("unreadable"))
        }
        TracedOutcome::Stamped => {
            "a path probe, or a ping of a host that is no peer, stamped".into()
        }
        TracedOutcome::NotRewritten(reason) => {
            let verb = match reason.verdict() {
                Verdict::Drop => "dropped",
                Verdict::Pass => "not rewritten",
                Verdict::Redirect => "sent back",
            };
            format!("{verb}, {}: {}", reason.name(), reason.description())
        }
    }
}

/// One packet in JSON (docs/json.md).
#[derive(Serialize)]
struct Packet<'a> {
    at: String,
    interface: &'a str,
    direction: &'static str,
    peer: Option<&'a str>,
    outcome: &'static str,
    reason: Option<&'static str>,
    bytes: u32,
    on_host: Option<Headers>,
    on_wire: Option<Headers>,
}

/// The headers of one side.
#[derive(Serialize)]
struct Headers {
    source: String,
    destination: String,
    protocol: String,
    ports: Option<[u16; 2]>,
    flags: String,
}

impl Headers {
    fn of(side: &Captured) -> Option<Self> {
        let PacketSummary { source, destination, transport, .. } = side.summary.as_ref()?;
        Some(Self {
            source: source.to_string(),
            destination: destination.to_string(),
            protocol: transport.protocol(),
            ports: transport.ports(),
            flags: transport.flags().to_owned(),
        })
    }
}

/// Writes one packet on one line.
fn json(seen: &Seen, interface: &str) -> io::Result<()> {
    let packet = &seen.packet;
    let object = Packet {
        at: humantime::format_rfc3339_nanos(seen.at).to_string(),
        interface,
        direction: packet.direction.name(),
        peer: seen.peer.as_ref().map(|peer| peer.as_str()),
        outcome: packet.outcome.name(),
        reason: packet.outcome.reason().map(|reason| reason.name()),
        bytes: packet.before.len,
        on_host: Headers::of(packet.on_host()),
        on_wire: Headers::of(packet.on_wire()),
    };
    writeln!(io::stdout(), "{}", serde_json::to_string(&object)?)
}
