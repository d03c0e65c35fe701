//! A numbered stream of datagrams from A to B's private address, each of which B sends back. The kernel chooses
//! its source, as for most programs.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tests::lab::{B_PRIVATE, Lab};

const PORT: u16 = 7000;
/// Between two datagrams.
const INTERVAL: Duration = Duration::from_millis(10);
/// The last answers may be on their way for so long.
const LAST: Duration = Duration::from_millis(300);

/// A stream that goes on until [`Stream::end`].
pub struct Stream {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<u32>,
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

    /// Ends it. For how long it was not answered.
    pub fn end(self) -> Result<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let unanswered = self.sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))?;
        self.echo.join().map_err(|_| anyhow::anyhow!("the echo panicked"))?;
        Ok(INTERVAL * unanswered)
    }
}

/// The number of those without an answer. One that can't be sent is one of them.
fn send(socket: &UdpSocket, stop: &AtomicBool) -> u32 {
    let (mut number, mut answered) = (0_u32, BTreeSet::new());
    let receive = |answered: &mut BTreeSet<u32>| {
        let mut buffer = [0; 4];
        if let Ok((4, _)) = socket.recv_from(&mut buffer) {
            answered.insert(u32::from_be_bytes(buffer));
        }
    };
    while !stop.load(Ordering::Relaxed) {
        let sent = std::time::Instant::now();
        let _ = socket.send_to(&number.to_be_bytes(), (B_PRIVATE, PORT));
        number += 1;
        receive(&mut answered);
        thread::sleep(INTERVAL.saturating_sub(sent.elapsed()));
    }
    let end = std::time::Instant::now();
    while end.elapsed() < LAST {
        receive(&mut answered);
    }
    number - u32::try_from(answered.len()).unwrap_or(number)
}

fn answer(socket: &UdpSocket, stop: &AtomicBool) {
    let mut buffer = [0; 4];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    }
}
