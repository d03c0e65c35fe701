//! Pings peers, all at the same time: sends the requests, and collects the answers and the errors.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use nix::errno::Errno;
use tokio::time::Instant;

use crate::host::ping_socket::{PathError, PingSocket, Received};
use crate::model::Family;
use crate::plan::path_mtu::PathMtu;
use crate::plan::ping::{Failure, Observed};
use crate::plan::ping_message::{self, Kind, Nonce, answer, quoted_sequence, request, size_min};

/// The pause between two requests to one peer.
const INTERVAL: Duration = Duration::from_millis(100);
/// The time that the last small request has for its answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same time for a peer that has not answered yet: a router reports an unreachable host after three unanswered
/// requests for the host's link address, one second apart (Linux, net/core/neighbour.c, mcast_solicit and
/// retrans_time_ms).
const PATIENCE_WITH_SILENT: Duration = Duration::from_millis(3_500);
/// The least time that a large request has for its answer; a slow peer has four times its usual time.
const LARGE_PATIENCE: Duration = Duration::from_millis(250);
/// The longest wait between two checks of the sockets' error queues.
const TICK: Duration = Duration::from_millis(10);

/// The number of peers to which this host sends before it receives. The answers of these peers fit into the receive
/// buffer.
const AT_ONCE: usize = 64;

/// A peer's address to ping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The kind of the requests.
    pub kind: Kind,
    /// This host's private address; for a path probe, its underlay address.
    pub from: IpAddr,
    /// The peer's private address; for a path probe, its public address.
    pub to: IpAddr,
    /// The only interface for requests and answers; `None` if the kernel's routes decide.
    pub device: Option<String>,
    /// The MTU of the interface to the peer, in bytes.
    pub mtu: u16,
}

/// Pings `targets` with `count` small requests each, then searches for the path MTU of each target that answers.
/// Returns an observation for each target, in the same order.
///
/// # Errors
/// If a socket can't be opened.
pub async fn exchange(targets: &[Target], count: u32, nonce: Nonce) -> io::Result<Vec<Observed>> {
    let mut sockets: Vec<(SocketKey<'_>, PingSocket)> = Vec::new();
    let start = Instant::now();
    let mut peers = Vec::new();
    let mut by_address = BTreeMap::new();
    for (index, target) in targets.iter().enumerate() {
        let key = (target.from, target.device.as_deref());
        let socket = match sockets.iter().position(|(other, _)| *other == key) {
            Some(socket) => socket,
            None => {
                sockets.push((key, PingSocket::bound(key.0, key.1)?));
                sockets.len() - 1
            }
        };
        by_address.insert(target.to, index);
        peers.push(Exchange::new(target, socket, start));
    }
    loop {
        let now = Instant::now();
        for first in (0..peers.len()).step_by(AT_ONCE) {
            for peer in peers.iter_mut().skip(first).take(AT_ONCE) {
                if let Some((_, socket)) = sockets.get(peer.socket) {
                    peer.act(socket, count, nonce, now);
                }
            }
            receive(&mut sockets, &by_address, &mut peers, nonce)?;
        }
        let Some(next) = peers.iter().filter_map(|peer| peer.due(count)).min() else { break };
        tokio::select! {
            ready = any_readable(&sockets) => ready?,
            () = tokio::time::sleep_until(next.min(now + TICK)) => {}
        }
        receive(&mut sockets, &by_address, &mut peers, nonce)?;
    }
    Ok(peers.into_iter().map(Exchange::observed).collect())
}

/// The address and the interface of a socket.
type SocketKey<'a> = (IpAddr, Option<&'a str>);

/// Passes all received messages and errors to the exchanges.
fn receive(
    sockets: &mut [(SocketKey<'_>, PingSocket)],
    by_address: &BTreeMap<IpAddr, usize>,
    peers: &mut [Exchange],
    nonce: Nonce,
) -> io::Result<()> {
    for (_, socket) in sockets {
        while let Some(received) = socket.receive()? {
            let now = Instant::now();
            let address = match &received {
                Received::Message { from, .. } => from,
                Received::Error { to, .. } => to,
            };
            let place = by_address.get(address);
            if let Some(peer) = place.and_then(|index| peers.get_mut(*index)) {
                peer.received(&received, nonce, now);
            }
        }
    }
    Ok(())
}

async fn any_readable<K>(sockets: &[(K, PingSocket)]) -> io::Result<()> {
    let waits = sockets.iter().map(|(_, socket)| Box::pin(socket.readable()));
    futures_util::future::select_all(waits).await.0
}

/// The exchange with one peer.
struct Exchange {
    kind: Kind,
    to: IpAddr,
    family: Family,
    mtu: u16,
    /// The index of the socket.
    socket: usize,
    sequence: u16,
    /// The unanswered requests: their sizes and the times at which they were sent.
    pending: BTreeMap<u16, (u16, Instant)>,
    /// The time of the next small request, or of the end of the wait for the last one.
    next: Instant,
    search: Option<PathMtu>,
    /// The earliest time for the next large request.
    retry: Instant,
    /// The sequence number of the large request on its way, and the end of the wait for its answer.
    large: Option<(u16, Instant)>,
    observed: Observed,
}

impl Exchange {
    fn new(target: &Target, socket: usize, start: Instant) -> Self {
        let family = match target.to {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        };
        Self {
            kind: target.kind,
            to: target.to,
            family,
            mtu: target.mtu,
            socket,
            sequence: 0,
            pending: BTreeMap::new(),
            next: start,
            search: None,
            retry: start,
            large: None,
            observed: Observed::default(),
        }
    }

    /// The time at which this exchange has something to do; `None` if it is over.
    fn due(&self, count: u32) -> Option<Instant> {
        let asks = self.observed.sent < count;
        let waits = self.has_small_pending();
        let small = (asks || waits).then_some(self.next);
        let searches = self.search.as_ref().is_some_and(|search| search.next().is_some());
        let large = searches.then(|| self.large.map_or(self.retry, |(_, until)| until));
        [small, large].into_iter().flatten().min()
    }

    fn has_small_pending(&self) -> bool {
        let smallest = self.smallest();
        self.pending.values().any(|(size, _)| *size == smallest)
    }

    fn smallest(&self) -> u16 {
        u16::try_from(size_min(self.family)).unwrap_or(u16::MAX)
    }

    fn act(&mut self, socket: &PingSocket, count: u32, nonce: Nonce, now: Instant) {
        if now >= self.next && self.observed.sent < count {
            self.observed.sent += 1;
            self.next = now
                + match self.observed {
                    Observed { sent, .. } if sent < count => INTERVAL,
                    Observed { ref times, .. } if times.is_empty() => PATIENCE_WITH_SILENT,
                    Observed { .. } => PATIENCE,
                };
            match self.send(socket, self.smallest(), nonce, now) {
                Ok(_) => {}
                Err(error) if is_full(&error) => {
                    self.observed.sent -= 1;
                    self.next = now + TICK;
                }
                Err(error) => self.observed.error = Some(local_failure(&error)),
            }
        } else if now >= self.next && self.observed.sent >= count {
            let smallest = self.smallest();
            self.pending.retain(|_, (size, _)| *size != smallest);
        }
        self.search_on(socket, nonce, now);
    }

    /// Sends the next large request, if none is on its way.
    fn search_on(&mut self, socket: &PingSocket, nonce: Nonce, now: Instant) {
        if let Some((_, until)) = self.large {
            if now < until {
                return;
            }
            // The request stays pending: a late answer counts.
            self.large = None;
            self.search.iter_mut().for_each(PathMtu::timed_out);
        }
        let Some(size) = self.search.as_ref().and_then(PathMtu::next) else { return };
        if now < self.retry {
            return;
        }
        match self.send(socket, size, nonce, now) {
            Ok(sequence) => {
                let usual = self.observed.times.iter().max().copied().unwrap_or_default();
                self.large = Some((sequence, now + LARGE_PATIENCE.max(usual * 4)));
            }
            Err(error) if error.raw_os_error() == Some(Errno::EMSGSIZE as i32) => {
                self.search.iter_mut().for_each(|search| search.was_reported(size, 0));
            }
            Err(error) if is_full(&error) => self.retry = now + TICK,
            Err(_) => self.search = None,
        }
    }

    fn send(
        &mut self,
        socket: &PingSocket,
        size: u16,
        nonce: Nonce,
        now: Instant,
    ) -> io::Result<u16> {
        self.sequence = self.sequence.wrapping_add(1);
        let message = request(self.kind, self.family, self.sequence, nonce, size.into());
        self.pending.insert(self.sequence, (size, now));
        let sent = socket.send(self.to, &message);
        if sent.is_err() {
            self.pending.remove(&self.sequence);
        }
        sent.map(|()| self.sequence)
    }

    fn received(&mut self, received: &Received, nonce: Nonce, now: Instant) {
        match received {
            Received::Message { message, fragment, .. } => {
                let Some(answer) = answer(self.kind, self.family, message, nonce) else { return };
                let Some((size, sent)) = self.pending.remove(&answer.sequence) else { return };
                self.answered(answer, size, *fragment, now - sent);
            }
            Received::Error { request, error, .. } => {
                let sequence = quoted_sequence(self.kind, self.family, request, nonce);
                let Some(sequence) = sequence else { return };
                let Some((size, _)) = self.pending.remove(&sequence) else { return };
                self.failed(sequence, size, error);
            }
        }
    }

    fn answered(
        &mut self,
        answer: ping_message::Answer,
        size: u16,
        fragment: Option<u16>,
        time: Duration,
    ) {
        self.observed.answers += 1;
        match answer.stamp {
            Some(stamp) => self.observed.stamp = Some(stamp),
            None => self.observed.is_unstamped = true,
        }
        if size == self.smallest() {
            self.observed.times.push(time);
            let mtu = self.mtu;
            self.search.get_or_insert_with(|| PathMtu::new(size, mtu));
        } else {
            self.large = self.large.filter(|(sequence, _)| *sequence != answer.sequence);
            self.search.iter_mut().for_each(|search| search.came_back(size, fragment));
        }
    }

    fn failed(&mut self, sequence: u16, size: u16, error: &PathError) {
        if size == self.smallest() {
            self.observed.error = Some(failure(error));
            return;
        }
        self.large = self.large.filter(|(pending, _)| *pending != sequence);
        self.search.iter_mut().for_each(|search| search.was_reported(size, error.mtu));
    }

    fn observed(self) -> Observed {
        let sizes = self.search.map(|search| search.found());
        Observed { sizes, ..self.observed }
    }
}

/// True if the socket's send queue or the interface's queue is full.
fn is_full(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::ENOBUFS | Errno::EAGAIN))
}

fn failure(error: &PathError) -> Failure {
    Failure {
        reporter: error.reporter,
        what: Errno::from_raw(error.errno).desc().to_lowercase(),
        is_local: false,
    }
}

fn local_failure(error: &io::Error) -> Failure {
    let errno = error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw);
    Failure { reporter: None, what: errno.desc().to_lowercase(), is_local: true }
}
