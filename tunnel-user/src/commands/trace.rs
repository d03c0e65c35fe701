//! `rewrite trace`: shows live packets of the peers, before and after the programs.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use aya::programs::ProgramInfo;
use nix::time::{ClockId, clock_gettime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tunnel_common::outcome::{Direction, Reason};
use tunnel_common::trace::Record;

use crate::dataplane::pins::Folder;
use crate::dataplane::tracer::Tracer;
use crate::error::{Context as _, Error};
use crate::host::netlink::Netlink;
use crate::host::privileges::{self, Task};
use crate::model::MemberName;
use crate::ops::attached::{self, Running};
use crate::plan::attach_point::{AttachPoint, BOTH};
use crate::plan::peers::no_such_peer;
use crate::plan::running_peers::RunningPeer;
use crate::plan::traced_packet::{Filter, TracedPacket};

/// The pause between two checks of the programs, which an attach may replace.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The wanted packets.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The interface; the only attached one by default.
    pub interface: Option<String>,
    /// Only packets of these peers, by name or private address; of all peers if empty.
    pub peers: Vec<String>,
    /// Only packets with this port, at either end.
    pub port: Option<u16>,
    /// Only packets that this reason kept from being rewritten.
    pub reason: Option<Reason>,
    /// Only packets of this direction.
    pub direction: Option<Direction>,
}

/// One packet, with its peer and its time of day.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The time of day.
    pub at: SystemTime,
    /// The peer's name; `None` if no peer has one of the packet's addresses.
    pub peer: Option<MemberName>,
    /// The packet.
    pub packet: TracedPacket,
}

/// A running trace. Dropping the value ends the trace.
pub struct Trace {
    folder: Folder,
    /// The bytes before the network header of the interface's packets.
    pub link_header_len: u8,
    filter: Filter,
    peers: Vec<RunningPeer>,
    /// True if the peers were read since the last check of the programs.
    peers_are_fresh: bool,
    programs: Vec<u32>,
    tracer: Tracer,
    /// The former tracer's records that the command has not returned yet.
    pending: VecDeque<Record>,
    /// The number of packets that earlier tracers lost.
    lost_before: u64,
    ticks: Interval,
    signals: [Signal; 2],
    boot: SystemTime,
}

impl Trace {
    /// Starts to trace.
    ///
    /// # Errors
    /// [`Error::Refused`] if the interface is not attached, or no peer has a wanted name; [`Error::Host`] if the kernel
    /// can't trace programs; and an error if the maps can't be used.
    pub async fn begin(request: &Request) -> Result<Self, Error> {
        privileges::require(Task::TestPrograms)?;
        let folder = attached::choose(attached::visible()?, request.interface.as_deref())?;
        let running = Running::open(folder)?;
        let (peers, _) = running.peers()?;
        let filter = Filter {
            peers: wanted(&peers, &request.peers)?,
            port: request.port,
            reason: request.reason,
            direction: request.direction,
        };
        let link_header_len = link_header_len(running.folder.interface()).await?;
        let (tracer, programs) = attach(&running)?;
        let mut ticks = interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let listen = |kind| signal(kind).context(|| "listening for signals".into());
        Ok(Self {
            folder: running.folder,
            link_header_len,
            filter,
            peers,
            peers_are_fresh: true,
            programs,
            tracer,
            pending: VecDeque::new(),
            lost_before: 0,
            ticks,
            signals: [listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?],
            boot: boot()?,
        })
    }

    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> &str {
        self.folder.interface()
    }

    /// Waits for the next wanted packet. `None` after SIGINT or SIGTERM, and after the interface was detached.
    ///
    /// # Errors
    /// If the kernel refuses to trace a program that has replaced the former one.
    pub async fn next(&mut self) -> Result<Option<Seen>, Error> {
        loop {
            while let Some(record) = self.pending.pop_front().or_else(|| self.tracer.take()) {
                if let Some(seen) = self.seen(&record) {
                    return Ok(Some(seen));
                }
            }
            let [interrupt, terminate] = &mut self.signals;
            tokio::select! {
                ready = self.tracer.ready() => ready?,
                _ = self.ticks.tick() => if !self.follow()? { return Ok(None) },
                _ = interrupt.recv() => return Ok(None),
                _ = terminate.recv() => return Ok(None),
            }
        }
    }

    /// The number of packets that came too fast to be seen. After a change of the programs, packets of up to a second
    /// are not seen, and not counted.
    ///
    /// # Errors
    /// If the number can't be read.
    pub fn lost(&self) -> Result<u64, Error> {
        Ok(self.lost_before + self.tracer.lost()?)
    }

    fn seen(&mut self, record: &Record) -> Option<Seen> {
        let packet = TracedPacket::of(record, self.link_header_len);
        // The packet may belong to a peer that is new. While a command changes the pins, the former peers stay.
        if packet.peer(&self.peers).is_none() && !self.peers_are_fresh {
            let peers = Running::open(self.folder.clone()).and_then(|running| running.peers());
            if let Ok((peers, _)) = peers {
                self.peers = peers;
            }
            self.peers_are_fresh = true;
        }
        let peer = packet.peer(&self.peers);
        if !self.filter.selects(&packet, peer) {
            return None;
        }
        let at = self.boot + Duration::from_nanos(packet.time);
        Some(Seen { at, peer: peer.cloned(), packet })
    }

    /// Traces the programs that have replaced the traced ones. False if the interface is no longer attached.
    fn follow(&mut self) -> Result<bool, Error> {
        self.peers_are_fresh = false;
        if !self.folder.exists() {
            return Ok(false);
        }
        let Ok(running) = Running::open(self.folder.clone()) else {
            // A command changes the pins at this moment, or has removed them: look again later.
            return Ok(true);
        };
        if programs(&running).is_some_and(|programs| programs != self.programs) {
            let (tracer, programs) = attach(&running)?;
            self.pending.extend(std::iter::from_fn(|| self.tracer.take()));
            self.lost_before = self.lost()?;
            (self.tracer, self.programs) = (tracer, programs);
            (self.peers, _) = running.peers()?;
        }
        Ok(true)
    }
}

fn attach(running: &Running) -> Result<(Tracer, Vec<u32>), Error> {
    let interface = running.folder.interface();
    let (Some(place), Some(programs)) = (place(running), programs(running)) else {
        return Err(Error::refused(
            format!("{interface} is not attached completely"),
            format!("attach it again: rewrite attach {interface}"),
        ));
    };
    let tracer = Tracer::attach(&running.folder, place)?;
    tracing::debug!("tracing the programs of {interface}: {programs:?}");
    Ok((tracer, programs))
}

fn place(running: &Running) -> Option<AttachPoint> {
    AttachPoint::from_codes(running.attachment.hook, running.attachment.ingress)
}

/// The ids of the programs of both directions.
fn programs(running: &Running) -> Option<Vec<u32>> {
    let place = place(running)?;
    let id = |direction| {
        let pin = running.folder.program(place.program(direction));
        ProgramInfo::from_pin(pin).ok().map(|info| info.id())
    };
    BOTH.into_iter().map(id).collect()
}

/// The names of the peers that the words select.
fn wanted(peers: &[RunningPeer], words: &[String]) -> Result<Vec<MemberName>, Error> {
    let name = |word: &String| {
        let found = peers.iter().find(|running| running.peer.is_called(word));
        found.map(|running| running.peer.name.clone()).ok_or_else(|| no_such_peer(word))
    };
    words.iter().map(name).collect()
}

async fn link_header_len(interface: &str) -> Result<u8, Error> {
    let links = Netlink::connect()?.links().await?;
    let link = links.into_iter().find(|link| link.name == interface);
    link.and_then(|link| link.header_len).ok_or_else(|| {
        Error::refused(
            format!("{interface} is gone, or has another type than at the attach"),
            format!("attach it again: rewrite attach {interface}"),
        )
    })
}

/// The time of day at which CLOCK_MONOTONIC was 0.
fn boot() -> Result<SystemTime, Error> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).context(|| "reading the clock".into())?;
    Ok(SystemTime::now() - Duration::from(now))
}
