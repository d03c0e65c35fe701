//! Measures small UDP datagrams in bursts.
//!
//! A burst begins when the previous burst has arrived or is lost. On one processor, a sender that never
//! waits would fill the receiver's buffer, and would spend the measured time on datagrams that the kernel drops.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testkit::traffic::unspecified;
use testkit::wait::retry_eintr;

use super::{Link, per_second};

/// The size of each datagram's UDP payload in bytes.
pub const SIZE: usize = 64;
/// The number of datagrams in a burst. A burst fits into every queue on the path.
pub const BURST: u64 = 64;
/// After this time without an arrival, a burst's missing datagrams count as lost.
const PATIENCE: Duration = Duration::from_millis(200);

/// Measures the number of datagrams that arrive per second.
pub fn measure(link: &Link<'_>, time: Duration) -> Result<f64> {
    let address = link.any_port();
    let receiver = link
        .server
        .enter(|| UdpSocket::bind(address))?
        .with_context(|| format!("bind to {address} in {}", link.server.name()))?;
    receiver.set_read_timeout(Some(PATIENCE)).context("limit the time to receive")?;
    let address = receiver.local_addr().context("ask for the port")?;
    let (sent, bursts) = mpsc::channel();
    let (arrived, counts) = mpsc::channel();
    let rate =
        link.run(|| receive(&receiver, bursts, arrived), || send(address, time, sent, counts))?;
    ensure!(rate > 0.0, "no datagram arrived at {address}");
    Ok(rate)
}

/// Counts the arriving datagrams of each burst, until the sender stops.
fn receive(socket: &UdpSocket, bursts: Receiver<()>, arrived: Sender<u64>) -> Result<()> {
    let mut datagram = [0; SIZE];
    for () in bursts {
        let mut count = 0;
        while count < BURST {
            match retry_eintr(|| socket.recv(&mut datagram)) {
                Ok(_) => count += 1,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    break;
                }
                Err(error) => return Err(error).context("receive a datagram"),
            }
        }
        if arrived.send(count).is_err() {
            // The sender has failed and reports its own error.
            break;
        }
    }
    Ok(())
}

fn send(
    address: SocketAddr,
    time: Duration,
    sent: Sender<()>,
    counts: Receiver<u64>,
) -> Result<f64> {
    let own = SocketAddr::new(unspecified(address), 0);
    let socket = UdpSocket::bind(own).with_context(|| format!("bind to {own}"))?;
    socket.connect(address).with_context(|| format!("connect to {address}"))?;
    per_second(time, || {
        for _ in 0..BURST {
            socket.send(&[0; SIZE]).with_context(|| format!("send to {address}"))?;
        }
        // Notify the receiver after the burst, so that it does not wake up for each datagram.
        sent.send(()).ok().context("the receiver has failed")?;
        counts.recv().context("the receiver has failed")
    })
}
