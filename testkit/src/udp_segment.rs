//! Sends one message that the kernel splits into many datagrams, by the socket option UDP_SEGMENT (udp(7)).

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

use crate::netns::Namespace;
use crate::wait::retry_eintr;

/// The length of a datagram's payload in bytes.
pub const SEGMENT: u16 = 1200;
/// The number of datagrams in a message.
pub const SEGMENTS: usize = 20;

/// The time limit for the next datagram. The limit is long, because a shared, emulated machine can pause for seconds.
const PATIENCE: Duration = Duration::from_secs(15);
const RECEIVE_BUFFER: usize = 4 << 20;

/// The fate of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// The kernel accepted the message. The value is the number of datagrams that arrived unchanged, at most
    /// [`SEGMENTS`].
    Sent(usize),
    /// The kernel refused the message. Before Linux 6.11 (net/ipv4/udp.c, udp_send_skb, commit 10154dbded6d), it
    /// accepts the message only if the interface has checksum offload.
    Refused,
}

/// Sends one message of [`SEGMENTS`] datagrams of [`SEGMENT`] bytes from `src` to `dst`.
///
/// # Errors
/// When the sockets can't be made or used, or an unexpected datagram arrives.
pub fn send(from: &Namespace, to: &Namespace, src: IpAddr, dst: SocketAddr) -> Result<Message> {
    let bind = |host: &Namespace, address: SocketAddr| {
        host.enter(|| UdpSocket::bind(address))?
            .with_context(|| format!("bind to {address} in {}", host.name()))
    };
    let receiver = bind(to, dst)?;
    setsockopt(&receiver, sockopt::RcvBufForce, &RECEIVE_BUFFER).context("make room to receive")?;
    receiver.set_read_timeout(Some(PATIENCE)).context("limit the time to receive")?;
    let sender = bind(from, SocketAddr::new(src, 0))?;
    setsockopt(&sender, sockopt::UdpGsoSegment, &SEGMENT.into()).context("set UDP_SEGMENT")?;

    let length = usize::from(SEGMENT);
    let message: Vec<u8> = (0..SEGMENTS)
        .flat_map(|number| (0..length).map(move |at| (number * 7 + at) as u8))
        .collect();
    match retry_eintr(|| sender.send_to(&message, dst)) {
        Ok(sent) => ensure!(sent == message.len(), "{sent} of {} bytes were sent", message.len()),
        Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => {
            return Ok(Message::Refused);
        }
        Err(error) => return Err(error).with_context(|| format!("send to {dst}")),
    }
    let mut missing: Vec<&[u8]> = message.chunks(length).collect();
    let mut buffer = vec![0; message.len()];
    while !missing.is_empty() {
        let Ok((arrived, source)) = retry_eintr(|| receiver.recv_from(&mut buffer)) else {
            break;
        };
        ensure!(source.ip() == src, "a datagram came from {source}");
        let place = missing.iter().position(|datagram| *datagram == &buffer[..arrived]);
        let place = place.with_context(|| format!("{arrived} bytes came that nobody had sent"))?;
        missing.remove(place);
    }
    Ok(Message::Sent(SEGMENTS - missing.len()))
}
