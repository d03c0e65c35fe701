//! Servers on every address of a host, as most software is: they say back what they hear.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use tests::netns::Namespace;

use crate::conversation::PORT;

const PATIENCE: Duration = Duration::from_secs(10);
const ANY_ADDRESS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT);

/// A running server.
pub struct Echo<T>(JoinHandle<Result<Vec<T>>>);

impl<T> Echo<T> {
    /// Waits until it has heard as much as it was told to expect, and returns whom from.
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

/// Serves this many TCP connections at once, each until its client ends it.
pub fn tcp(host: &Namespace, connections: usize) -> Result<Echo<Ends>> {
    let listener = host.enter(|| TcpListener::bind(ANY_ADDRESS))?.context("listen")?;
    // What limits the time to receive limits that to accept.
    let limit = TimeVal::seconds(i64::try_from(PATIENCE.as_secs())?);
    setsockopt(&listener, sockopt::ReceiveTimeout, &limit).context("limit the time to accept")?;
    Ok(Echo(thread::spawn(move || {
        let mut streams = Vec::new();
        for _ in 0..connections {
            let (stream, _) = listener.accept().context("accept a connection")?;
            streams.push(thread::spawn(move || say_back(stream)));
        }
        streams.into_iter().map(joined).collect()
    })))
}

fn joined<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn say_back(mut stream: TcpStream) -> Result<Ends> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let ends = Ends { client: stream.peer_addr()?.ip(), server: stream.local_addr()?.ip() };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer).context("hear a client")? {
            0 => return Ok(ends),
            length => stream.write_all(&buffer[..length]).context("say it back")?,
        }
    }
}

/// Sends back this many datagrams, and returns where each came from.
pub fn udp(host: &Namespace, datagrams: usize) -> Result<Echo<IpAddr>> {
    let socket = host.enter(|| UdpSocket::bind(ANY_ADDRESS))?.context("bind")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(Echo(thread::spawn(move || {
        let mut clients = Vec::new();
        let mut buffer = vec![0; 65_536];
        for _ in 0..datagrams {
            let (length, client) = socket.recv_from(&mut buffer).context("hear a client")?;
            socket.send_to(&buffer[..length], client).context("say it back")?;
            clients.push(client.ip());
        }
        Ok(clients)
    })))
}
