//! Sends a numbered stream of datagrams from A to B's private address, and measures the time without answers. B
//! sends each datagram back. The kernel chooses the source address, as for most programs.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use testkit::lab::{B_PRIVATE, Lab};

const PORT: u16 = 7000;
/// The time between two datagrams.
const INTERVAL: Duration = Duration::from_millis(10);
/// The time limit for the last answers.
const LAST: Duration = Duration::from_millis(300);

/// A stream that runs until [`Stream::end`].
pub struct Stream {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<Duration>,
    echo: JoinHandle<()>,
}

impl Stream {
    pub fn start(lab: &Lab) -> Result<Self> {
        let echo = lab.b.enter(|| UdpSocket::bind((B_PRIVATE, PORT)))?.context("listening on B")?;
        let unbound = (Ipv4Addr::UNSPECIFIED, 0);
        let sender = lab.a.enter(|| UdpSocket::bind(unbound))?.context("sending from A")?;
        echo.set_read_timeout(Some(INTERVAL)).context("limiting the time")?;
        sender.set_read_timeout(Some(INTERVAL)).context("limiting the time")?;
        let stop = Arc::new(AtomicBool::new(false));
        let stops = [Arc::clone(&stop), Arc::clone(&stop)];
        let [stop_echo, stop_sender] = stops;
        Ok(Self {
            stop,
            sender: thread::spawn(move || send(&sender, &stop_sender)),
            echo: thread::spawn(move || answer(&echo, &stop_echo)),
        })
    }

    /// Ends the stream; returns the time without answers.
    pub fn end(self) -> Result<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let unanswered = self.sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))?;
        self.echo.join().map_err(|_| anyhow::anyhow!("the echo panicked"))?;
        Ok(unanswered)
    }
}

/// Sends datagrams until `stop` is set; returns the total time without answers: the sum, over all unanswered
/// datagrams, of the time to the next datagram. A datagram that can't be sent counts as unanswered.
fn send(socket: &UdpSocket, stop: &AtomicBool) -> Duration {
    let (mut sent, mut answered) = (Vec::new(), BTreeSet::new());
    let receive = |answered: &mut BTreeSet<usize>| {
        let mut buffer = [0; 8];
        if let Ok((8, _)) = socket.recv_from(&mut buffer) {
            answered.insert(usize::from_be_bytes(buffer));
        }
    };
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        let _ = socket.send_to(&sent.len().to_be_bytes(), (B_PRIVATE, PORT));
        sent.push(now);
        receive(&mut answered);
        thread::sleep(INTERVAL.saturating_sub(now.elapsed()));
    }
    let end = Instant::now();
    while end.elapsed() < LAST {
        receive(&mut answered);
    }
    let next = sent.iter().skip(1).chain([&end]);
    let intervals = sent.iter().zip(next).map(|(one, next)| *next - *one);
    intervals
        .enumerate()
        .filter(|(number, _)| !answered.contains(number))
        .map(|(_, time)| time)
        .sum()
}

fn answer(socket: &UdpSocket, stop: &AtomicBool) {
    let mut buffer = [0; 8];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    }
}
