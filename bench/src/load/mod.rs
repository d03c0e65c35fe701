//! Traffic, and how much of it there is in a second.

pub mod bulk;
pub mod connections;
pub mod datagrams;
pub mod request_response;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use testkit::netns::Namespace;
use testkit::traffic;

use crate::processor::Processor;

/// Where traffic goes.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// Where the client is.
    pub client: &'a Namespace,
    /// Where the server is.
    pub server: &'a Namespace,
    /// The address that the server listens on, and that the client dials.
    pub address: Ipv4Addr,
    /// Both run on it.
    pub processor: Processor,
}

impl Link<'_> {
    /// Calls `server` on the server and `client` on the client at the same time; returns what the
    /// client returned. The server has to end when the client does, or by a time limit.
    fn run<T: Send>(
        &self,
        server: impl FnOnce() -> Result<()> + Send,
        client: impl FnOnce() -> Result<T> + Send,
    ) -> Result<T> {
        thread::scope(|scope| {
            let served = scope.spawn(|| self.enter(self.server, server));
            let measured = self.enter(self.client, client);
            let served = served.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let measured = measured.context("the client")?;
            served.context("the server")?;
            Ok(measured)
        })
    }

    fn enter<T: Send>(
        &self,
        host: &Namespace,
        inside: impl FnOnce() -> Result<T> + Send,
    ) -> Result<T> {
        host.enter(|| {
            self.processor.keep_thread()?;
            inside()
        })?
    }

    /// A port that is free, so that what earlier connections left behind is in nobody's way.
    fn listen(&self) -> Result<(TcpListener, SocketAddr)> {
        let address = self.any_port();
        let listener = self
            .server
            .enter(|| TcpListener::bind(address))?
            .with_context(|| format!("listen on {address} in {}", self.server.name()))?;
        // The limit of accept, and of the accepted connection.
        traffic::limit(&listener)?;
        let address = listener.local_addr().context("ask for the port")?;
        Ok((listener, address))
    }

    fn any_port(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.address), 0)
    }
}

/// The rate in a second of what `step` does and counts, after a tenth of `time` to warm up.
fn per_second(time: Duration, mut step: impl FnMut() -> Result<u64>) -> Result<f64> {
    let start = Instant::now();
    while start.elapsed() < time / 10 {
        step()?;
    }
    let start = Instant::now();
    let mut count = 0;
    loop {
        count += step()?;
        let elapsed = start.elapsed();
        if elapsed >= time {
            return Ok(count as f64 / elapsed.as_secs_f64());
        }
    }
}
