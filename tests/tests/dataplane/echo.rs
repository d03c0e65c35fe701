//! Runs echo servers that listen on every address of their host, like most software.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use testkit::netns::Namespace;
use testkit::wait::{retry_eintr, wait_until};

/// The time limit of the servers, long enough for an attach on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every address of a host. The IPv6 wildcard includes IPv4.
const fn any_address(port: u16) -> SocketAddrV6 {
    SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0)
}

/// A running server.
pub struct Echo<T>(JoinHandle<Result<Vec<T>>>);

impl<T> Echo<T> {
    /// Waits until the server has served the expected number of clients or datagrams, and returns the addresses that
    /// the server saw.
    pub fn join(self) -> Result<Vec<T>> {
        joined(self.0)
    }
}

/// The addresses of a connection, as the server sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    pub client: IpAddr,
    pub server: IpAddr,
}

/// Serves this many TCP connections at once, each until its client closes it.
pub fn tcp(host: &Namespace, port: u16, connections: usize) -> Result<Echo<Ends>> {
    let listener = once_free(|| Ok(host.enter(|| TcpListener::bind(any_address(port)))??))?;
    // The receive timeout also limits the time to accept.
    let limit = TimeVal::seconds(i64::try_from(PATIENCE.as_secs())?);
    setsockopt(&listener, sockopt::ReceiveTimeout, &limit).context("limit the time to accept")?;
    Ok(Echo(thread::spawn(move || {
        let mut streams = Vec::new();
        for _ in 0..connections {
            let (stream, _) = retry_eintr(|| listener.accept()).context("accept a connection")?;
            streams.push(thread::spawn(move || say_back(stream)));
        }
        streams.into_iter().map(joined).collect()
    })))
}

/// Binds a socket once the port is free. A closed socket may linger for a moment: a child process that another test
/// starts has a copy of the socket until exec.
fn once_free<T>(bind: impl Fn() -> Result<T>) -> Result<T> {
    wait_until("the port is free", PATIENCE, || match bind() {
        Ok(socket) => Ok(Some(socket)),
        Err(error) => match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(ErrorKind::AddrInUse) => Ok(None),
            _ => Err(error),
        },
    })
}

fn joined<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn say_back(mut stream: TcpStream) -> Result<Ends> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let [client, server] = [stream.peer_addr()?, stream.local_addr()?];
    let ends = Ends { client: client.ip().to_canonical(), server: server.ip().to_canonical() };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match retry_eintr(|| stream.read(&mut buffer)).context("hear a client")? {
            0 => return Ok(ends),
            length => stream.write_all(&buffer[..length]).context("say it back")?,
        }
    }
}

/// Sends back this many datagrams, and reports each datagram's source address.
pub fn udp(host: &Namespace, port: u16, datagrams: usize) -> Result<Echo<IpAddr>> {
    let socket = once_free(|| Ok(host.enter(|| UdpSocket::bind(any_address(port)))??))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(Echo(thread::spawn(move || {
        let mut clients = Vec::new();
        let mut buffer = vec![0; 65_536];
        for _ in 0..datagrams {
            let (length, client) =
                retry_eintr(|| socket.recv_from(&mut buffer)).context("hear a client")?;
            socket.send_to(&buffer[..length], client).context("say it back")?;
            clients.push(client.ip().to_canonical());
        }
        Ok(clients)
    })))
}
