//! Generates traffic between two hosts and measures its rate per second.

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

/// The two ends of the traffic.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The client's namespace.
    pub client: &'a Namespace,
    /// The server's namespace.
    pub server: &'a Namespace,
    /// The server's address.
    pub address: Ipv4Addr,
    /// The processor for both ends.
    pub processor: Processor,
}

impl Link<'_> {
    /// Runs `server` and `client` at the same time in their namespaces; returns the client's result. The
    /// server must end when the client ends, or by a time limit.
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

    /// Listens on a port that the kernel chooses, so that no earlier connection still uses the port.
    fn listen(&self) -> Result<(TcpListener, SocketAddr)> {
        let address = self.any_port();
        let listener = self
            .server
            .enter(|| TcpListener::bind(address))?
            .with_context(|| format!("listen on {address} in {}", self.server.name()))?;
        // The time limit applies to accept, and accepted connections inherit it.
        traffic::limit(&listener)?;
        let address = listener.local_addr().context("ask for the port")?;
        Ok((listener, address))
    }

    fn any_port(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.address), 0)
    }
}

/// Repeats `step` for `time`, after a warm-up of a tenth of `time`. Returns the sum of the numbers that
/// `step` returned, per second.
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
