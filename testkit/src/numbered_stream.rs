//! Sends numbered datagrams at a steady rate between two hosts, and shows every loss.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};

use crate::lab::{A_PRIVATE, B_PRIVATE, Lab};
use crate::netns::Namespace;
use crate::wait::retry_eintr;

/// The ports of the first pair of hosts.
const PORTS: Ports = Ports { receiving: 5001, sending: 5002 };
/// The number of datagrams a second in each direction, of all pairs together.
pub const RATE: u32 = 10_000;
/// A sender that lags by more than this does not catch up: a burst could be lost for reasons unrelated to rewrite.
const LAG_MAX: Duration = Duration::from_millis(5);
const SIZE: usize = 100;
const RECEIVE_BUFFER: usize = 64 << 20;
/// The time limit for the arrival of the last datagrams.
const PATIENCE: Duration = Duration::from_secs(1);
const NOT_YET: u32 = u32::MAX;

/// The ports of the two ends of a stream.
#[derive(Clone, Copy, Debug)]
struct Ports {
    receiving: u16,
    sending: u16,
}

/// One pair's share of the traffic: all pairs together send as many datagrams as a single pair would.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// The pair's number, from 0.
    pub pair: u16,
    /// The number of pairs.
    pub pairs: u16,
}

/// Streams between two hosts, in both directions. Dropping this value ends them.
#[derive(Debug)]
pub struct Streams {
    a_to_b: Stream,
    b_to_a: Stream,
}

impl Streams {
    /// Starts streams between the private addresses of A and B.
    ///
    /// # Errors
    /// As [`Streams::between_hosts`].
    pub fn start(lab: &Lab) -> Result<Self> {
        Self::between(lab, A_PRIVATE.into(), B_PRIVATE.into())
    }

    /// Starts streams between these addresses of A and B.
    ///
    /// # Errors
    /// As [`Streams::between_hosts`].
    pub fn between(lab: &Lab, a: IpAddr, b: IpAddr) -> Result<Self> {
        Self::between_hosts([&lab.a, &lab.b], [a, b], Share { pair: 0, pairs: 1 })
    }

    /// Starts streams between addresses of two hosts.
    ///
    /// # Errors
    /// When a host lacks its address, or one of the ports from 5001 on is taken there.
    pub fn between_hosts(
        [a, b]: [&Namespace; 2],
        [at_a, at_b]: [IpAddr; 2],
        Share { pair, pairs }: Share,
    ) -> Result<Self> {
        let interval = Duration::from_secs(1) / RATE * pairs.into();
        let Ports { receiving, sending } = PORTS;
        let ports = Ports { receiving: receiving + 2 * pair, sending: sending + 2 * pair };
        Ok(Self {
            a_to_b: Stream::start(a, b, at_a, at_b, ports, interval)?,
            b_to_a: Stream::start(b, a, at_b, at_a, ports, interval)?,
        })
    }

    /// The number of sent datagrams in the slower direction.
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.a_to_b.sent().min(self.b_to_a.sent())
    }

    /// Ends the streams, and requires that every datagram arrived.
    ///
    /// # Errors
    /// When a datagram was lost, or another datagram arrived.
    pub fn require_none_lost(self) -> Result<()> {
        self.count_none_lost().map(drop)
    }

    /// Like [`Streams::require_none_lost`]. Returns the number of sent datagrams in both directions.
    ///
    /// # Errors
    /// As [`Streams::require_none_lost`].
    pub fn count_none_lost(self) -> Result<u64> {
        let mut total = 0;
        for (direction, stream) in [("A to B", self.a_to_b), ("B to A", self.b_to_a)] {
            let (sent, lost) = stream.end()?;
            ensure!(sent > 0, "{direction}: nothing was sent");
            ensure!(lost.is_empty(), "{direction}: of {sent}, these were lost: {lost:?}");
            total += u64::from(sent);
        }
        Ok(total)
    }
}

#[derive(Debug)]
struct Stream {
    stop: StopOnDrop,
    sent: Arc<AtomicU32>,
    sender: JoinHandle<u32>,
    receiver: JoinHandle<Result<Vec<RangeInclusive<u32>>>>,
}

impl Stream {
    fn start(
        from: &Namespace,
        to: &Namespace,
        src: IpAddr,
        dst: IpAddr,
        ports: Ports,
        interval: Duration,
    ) -> Result<Self> {
        let bind = |host: &Namespace, address: IpAddr, port| {
            host.enter(|| UdpSocket::bind(SocketAddr::new(address, port)))?
                .with_context(|| format!("bind to {address} in {}", host.name()))
        };
        let sending = bind(from, src, ports.sending)?;
        let receiving = bind(to, dst, ports.receiving)?;
        setsockopt(&receiving, sockopt::RcvBufForce, &RECEIVE_BUFFER)
            .context("make room to receive")?;
        receiving.set_read_timeout(Some(PATIENCE)).context("limit the time to receive")?;

        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU32::new(0));
        let total = Arc::new(AtomicU32::new(NOT_YET));
        let sender = {
            let (stop, sent, total) = (Arc::clone(&stop), Arc::clone(&sent), Arc::clone(&total));
            thread::spawn(move || {
                let to = SocketAddr::new(dst, ports.receiving);
                let count = send(&sending, to, interval, &stop, &sent);
                total.store(count, Ordering::Release);
                count
            })
        };
        let from = SocketAddr::new(src, ports.sending);
        let receiver = thread::spawn(move || receive(&receiving, from, &total));
        Ok(Self { stop: StopOnDrop(stop), sent, sender, receiver })
    }

    fn sent(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends the stream. Returns the count of sent datagrams and the numbers of the lost datagrams.
    fn end(self) -> Result<(u32, Vec<RangeInclusive<u32>>)> {
        drop(self.stop);
        let join = std::panic::resume_unwind;
        let sent = self.sender.join().unwrap_or_else(|panic| join(panic));
        let lost = self.receiver.join().unwrap_or_else(|panic| join(panic))?;
        Ok((sent, lost))
    }
}

/// Stops the sender when dropped, even if the test fails.
#[derive(Debug)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends until `stop` is set. A datagram that the kernel refuses to send counts as lost.
fn send(
    socket: &UdpSocket,
    to: SocketAddr,
    interval: Duration,
    stop: &AtomicBool,
    sent: &AtomicU32,
) -> u32 {
    let mut datagram = [0; SIZE];
    let mut next = Instant::now();
    let mut number = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        datagram[..size_of::<u32>()].copy_from_slice(&number.to_be_bytes());
        let _ = socket.send_to(&datagram, to);
        number += 1;
        sent.store(number, Ordering::Relaxed);
        next += interval;
        let now = Instant::now();
        if let Some(early) = next.checked_duration_since(now) {
            thread::sleep(early);
        } else if now - next > LAG_MAX {
            next = now;
        }
    }
    number
}

/// Receives until all sent datagrams have arrived or no more arrive in time. Returns the numbers of the lost datagrams.
fn receive(
    socket: &UdpSocket,
    from: SocketAddr,
    total: &AtomicU32,
) -> Result<Vec<RangeInclusive<u32>>> {
    let mut seen: Vec<bool> = Vec::new();
    let mut arrived = 0;
    let mut buffer = [0; 2 * SIZE];
    loop {
        let sent = total.load(Ordering::Acquire);
        if sent == arrived {
            return Ok(Vec::new());
        }
        match retry_eintr(|| socket.recv_from(&mut buffer)) {
            Ok((SIZE, source)) if source == from => {
                let number = u32::from_be_bytes(buffer[..size_of::<u32>()].try_into()?);
                let index = usize::try_from(number)?;
                if seen.len() <= index {
                    seen.resize(index + 1, false);
                }
                arrived += u32::from(!seen[index]);
                seen[index] = true;
            }
            Ok((length, source)) => {
                anyhow::bail!("{length} bytes came from {source}, not {SIZE} from {from}");
            }
            Err(_) if sent == NOT_YET => {}
            Err(_) => {
                seen.resize(usize::try_from(sent)?, false);
                return Ok(missing(&seen));
            }
        }
    }
}

fn missing(seen: &[bool]) -> Vec<RangeInclusive<u32>> {
    let mut ranges: Vec<RangeInclusive<u32>> = Vec::new();
    for (number, seen) in (0_u32..).zip(seen) {
        match ranges.last_mut() {
            _ if *seen => {}
            Some(last) if *last.end() + 1 == number => *last = *last.start()..=number,
            _ => ranges.push(number..=number),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lost_datagrams_are_named_in_ranges() {
        let seen = [true, false, false, true, false];
        assert_eq!(missing(&seen), [1..=2, 4..=4]);
        assert_eq!(missing(&[true, true]), []);
    }
}
