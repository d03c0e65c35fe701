//! Sends the tests' traffic between two namespaces.

use std::io::{ErrorKind, Read, Write};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream,
    UdpSocket,
};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::netns::Namespace;
use crate::process::command_line;
use crate::wait::retry_eintr;

pub use crate::kernel_counters::{checksum_errors, snmp};

/// The time limit of one read, write, connect or accept.
const PATIENCE: Duration = Duration::from_secs(10);
const CHUNK: usize = 64 * 1024;

/// A receiver's address: a [`SocketAddrV4`], or a [`SocketAddr`] of either family.
pub trait Destination: Into<SocketAddr> {
    /// The type of the address that a sender to this destination can bind to.
    type Source: Into<IpAddr>;
}

impl Destination for SocketAddrV4 {
    type Source = Ipv4Addr;
}

impl Destination for SocketAddr {
    type Source = IpAddr;
}

/// The result of [`tcp_transfer`]: all bytes arrived unchanged.
#[derive(Clone, Copy, Debug)]
pub struct TransferReport {
    /// The number of bytes that arrived.
    pub bytes: u64,
    /// The time from the connect until the receiver has closed the connection, after the last byte.
    pub elapsed: Duration,
    /// The sender's address, as the sender sees it.
    pub sender: SocketAddr,
    /// The sender's address, as the receiver sees it.
    pub sender_seen: SocketAddr,
}

/// Sends pseudo-random bytes over one TCP connection and compares the arriving bytes with them. The receiver listens on
/// `dst`. The sender is bound to `src`; without `src`, the kernel chooses the address.
///
/// # Errors
/// When the connection fails or stalls, or the arriving bytes differ from the sent ones.
pub fn tcp_transfer<D: Destination>(
    from: &Namespace,
    to: &Namespace,
    src: Option<D::Source>,
    dst: D,
    bytes: u64,
) -> Result<TransferReport> {
    let (src, dst): (Option<IpAddr>, SocketAddr) = (src.map(Into::into), dst.into());
    let listener = to
        .enter(|| TcpListener::bind(dst))?
        .with_context(|| format!("listen on {dst} in {}", to.name()))?;
    // On a listener, the time limit applies to accept.
    limit(&listener)?;
    thread::scope(|scope| {
        let receiver = scope.spawn(|| receive(&listener));
        let start = Instant::now();
        let sent = from
            .enter(|| dial(src, dst))?
            .with_context(|| format!("connect from {} to {dst}", from.name()))
            .and_then(|stream| send(stream, bytes));
        let received = receiver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let (sender, sent) = sent?;
        let (sender_seen, received) = received?;
        ensure!(sent == received, "sent {sent:?} to {dst}, {received:?} arrived");
        Ok(TransferReport { bytes: received.bytes, elapsed: start.elapsed(), sender, sender_seen })
    })
}

fn send(mut stream: TcpStream, bytes: u64) -> Result<(SocketAddr, Digest)> {
    let mut digest = Digest::default();
    let mut noise = Noise::default();
    let mut chunk = vec![0; CHUNK];
    while digest.bytes < bytes {
        let left = usize::try_from(bytes - digest.bytes).unwrap_or(usize::MAX);
        let chunk = &mut chunk[..left.min(CHUNK)];
        noise.fill(chunk);
        stream.write_all(chunk).with_context(|| format!("send after {} bytes", digest.bytes))?;
        digest.add(chunk);
    }
    stream.shutdown(Shutdown::Write).context("end the stream")?;
    // Wait for the receiver, which closes the connection after the last byte.
    let end = retry_eintr(|| stream.read(&mut [0])).context("wait for the receiver")?;
    ensure!(end == 0, "the receiver sent something back");
    Ok((stream.local_addr().context("ask for the address")?, digest))
}

fn receive(listener: &TcpListener) -> Result<(SocketAddr, Digest)> {
    let (mut stream, sender) = retry_eintr(|| listener.accept()).context("accept a connection")?;
    limit(&stream)?;
    let mut digest = Digest::default();
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = retry_eintr(|| stream.read(&mut chunk))
            .with_context(|| format!("receive after {} bytes", digest.bytes))?;
        if length == 0 {
            return Ok((sender, digest));
        }
        digest.add(&chunk[..length]);
    }
}

/// Connects within a time limit, from `src` or from an address that the kernel chooses.
///
/// # Errors
/// When the source address is not an address of this host, or the destination does not answer.
pub fn dial<D: Destination>(src: Option<D::Source>, dst: D) -> Result<TcpStream> {
    let dst = dst.into();
    dial_from(src.map(|src| SocketAddr::new(src.into(), 0)), dst)
}

/// Like [`dial`], but also with a source port.
///
/// # Errors
/// When the address or the port is not available, or the destination does not answer.
pub fn dial_from(src: Option<SocketAddr>, dst: SocketAddr) -> Result<TcpStream> {
    let family = if dst.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
        .context("open a TCP socket")?;
    limit(&socket)?;
    let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
    if let Some(src) = src {
        bind(fd, &SockaddrStorage::from(src)).with_context(|| format!("bind to {src}"))?;
    }
    let dst_storage = SockaddrStorage::from(dst);
    loop {
        match connect(fd, &dst_storage) {
            Err(Errno::EINTR) => {}
            // An interrupted connect continues in the kernel, and may be complete before the next call.
            Ok(()) | Err(Errno::EISCONN) => break,
            Err(errno) => return Err(errno).with_context(|| format!("connect to {dst}")),
        }
    }
    Ok(TcpStream::from(socket))
}

/// Sets a time limit on each read, write, connect and accept; accepted sockets inherit it.
///
/// # Errors
/// When `socket` is not a socket.
pub fn limit(socket: &impl AsFd) -> Result<()> {
    let seconds = i64::try_from(PATIENCE.as_secs()).context("seconds")?;
    let time = TimeVal::seconds(seconds);
    setsockopt(socket, sockopt::ReceiveTimeout, &time).context("limit the time to receive")?;
    setsockopt(socket, sockopt::SendTimeout, &time).context("limit the time to send")
}

/// The result of [`udp_exchange`].
#[derive(Clone, Copy, Debug)]
pub struct ExchangeReport {
    /// The number of datagrams sent.
    pub sent: u32,
    /// The number of datagrams that came back unchanged.
    pub returned: u32,
    /// The sender's address in the last datagram that the receiver got.
    pub sender_seen: Option<SocketAddr>,
}

/// The time limit for a datagram, or its echo, to arrive.
const DATAGRAM_PATIENCE: Duration = Duration::from_secs(3);

/// Sends numbered datagrams one after the other; the receiver on `dst` sends each datagram back. A datagram counts as
/// lost if it does not arrive within three seconds, if its echo does not arrive within three more seconds, or if the
/// echo has changed bytes.
///
/// # Errors
/// When the sockets can't be made or used.
pub fn udp_exchange<D: Destination>(
    from: &Namespace,
    to: &Namespace,
    src: Option<D::Source>,
    dst: D,
    count: u32,
    size: usize,
) -> Result<ExchangeReport> {
    let dst: SocketAddr = dst.into();
    let echo = to
        .enter(|| UdpSocket::bind(dst))?
        .with_context(|| format!("bind to {dst} in {}", to.name()))?;
    let own = SocketAddr::new(src.map_or_else(|| unspecified(dst), Into::into), 0);
    let sender = from
        .enter(|| UdpSocket::bind(own))?
        .with_context(|| format!("bind to {own} in {}", from.name()))?;
    // This call works outside of the namespace, because connect uses the routes of the socket's own namespace.
    sender.connect(dst).with_context(|| format!("choose a way to {dst}"))?;
    for socket in [&echo, &sender] {
        socket.set_read_timeout(Some(DATAGRAM_PATIENCE)).context("limit the time to receive")?;
    }
    let mut report = ExchangeReport { sent: 0, returned: 0, sender_seen: None };
    let mut noise = Noise::default();
    let mut datagram = vec![0; size.max(size_of::<u32>())];
    let mut buffer = vec![0; 65_536];
    for number in 0..count {
        noise.fill(&mut datagram);
        datagram[..size_of::<u32>()].copy_from_slice(&number.to_be_bytes());
        report.sent += 1;
        match sender.send(&datagram) {
            Ok(_) => {}
            // The socket reports an ICMP error about an earlier datagram.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(error).with_context(|| format!("send to {dst}")),
        }
        let Some((length, seen)) = arrival(retry_eintr(|| echo.recv_from(&mut buffer)))? else {
            continue;
        };
        report.sender_seen = Some(seen);
        echo.send_to(&buffer[..length], seen).with_context(|| format!("send back to {seen}"))?;
        if let Some(length) = arrival(retry_eintr(|| sender.recv(&mut buffer)))?
            && buffer[..length] == datagram
        {
            report.returned += 1;
        }
    }
    Ok(report)
}

/// The unspecified address of `dst`'s family. The kernel chooses the source address of a socket that is bound to it.
#[must_use]
pub const fn unspecified(dst: SocketAddr) -> IpAddr {
    match dst {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// The received value; `None` if the time limit passed or an ICMP error came instead.
fn arrival<T>(result: std::io::Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error).context("receive a datagram"),
    }
}

/// The counts of [`ping`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingReport {
    /// The number of echo requests sent.
    pub sent: u32,
    /// The number of replies that came back.
    pub returned: u32,
}

/// Options of a ping that expects no reply.
pub const BRIEFLY: [&str; 2] = ["-W", "0.5"];

/// Pings `dst` with `count` packets that carry `size` bytes, and waits up to 10 s for each reply.
///
/// # Errors
/// When `ping` fails, except for a missing reply.
pub fn ping(from: &Namespace, dst: impl Into<IpAddr>, count: u32, size: u16) -> Result<PingReport> {
    ping_with(from, &[], dst, count, size)
}

/// Like [`ping`], with more options of the command.
///
/// # Errors
/// As [`ping`].
pub fn ping_with(
    from: &Namespace,
    options: &[&str],
    dst: impl Into<IpAddr>,
    count: u32,
    size: u16,
) -> Result<PingReport> {
    let (size, dst) = (size.to_string(), dst.into().to_string());
    let mut total = PingReport { sent: 0, returned: 0 };
    // Run one ping per packet: after its first reply, a ping of several packets waits only 50 ms for the last reply,
    // regardless of -W. A machine can pause for longer.
    for _ in 0..count {
        let mut command = from.command("ping");
        command.args(["-n", "-c", "1", "-W", "10", "-s", &size]).args(options).arg(&dst);
        let line = command_line(&command);
        let output = command.output().with_context(|| format!("run `{line}`"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let Some(report) = parse_ping(&text) else {
            bail!(
                "`{line}` ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        };
        total.sent += report.sent;
        total.returned += report.returned;
    }
    Ok(total)
}

fn parse_ping(text: &str) -> Option<PingReport> {
    let summary = text.lines().find(|line| line.contains("packets transmitted"))?;
    let mut numbers = summary.split(", ").map(|part| part.split_whitespace().next()?.parse().ok());
    Some(PingReport { sent: numbers.next()??, returned: numbers.next()?? })
}

/// The FNV-1a hash of a stream, and the stream's length.
#[derive(Debug, PartialEq, Eq)]
struct Digest {
    bytes: u64,
    hash: u64,
}

impl Default for Digest {
    fn default() -> Self {
        Self { bytes: 0, hash: 0xcbf2_9ce4_8422_2325 }
    }
}

impl Digest {
    fn add(&mut self, chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        for byte in chunk {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Pseudo-random bytes (xorshift64), identical in every run.
struct Noise(u64);

impl Default for Noise {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Noise {
    fn fill(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            part.copy_from_slice(&self.0.to_ne_bytes()[..part.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_with_and_without_errors() {
        let report = |returned| Some(PingReport { sent: 3, returned });
        let lost = "3 packets transmitted, 0 received, 100% packet loss, time 102ms";
        assert_eq!(parse_ping(lost), report(0));
        let errors = "\n3 packets transmitted, 1 received, +2 errors, 66% packet loss, time 2ms\n";
        assert_eq!(parse_ping(errors), report(1));
        assert_eq!(parse_ping("nonsense"), None);
    }
}
