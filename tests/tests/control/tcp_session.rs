//! An interactive TCP connection, like ssh: by default, the operator's connection from B to A's public address.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::lab::{A_PUBLIC, Lab};
use testkit::netns::Namespace;
use testkit::wait::wait_until;

const PORT: u16 = 22;
/// The time between two keystrokes.
const INTERVAL: Duration = Duration::from_millis(10);
/// The time limit for progress. After a cut of several seconds, TCP may stay silent for about as long again, because it
/// doubles its timeout with each retransmission.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection whose client sends each number after the echo of the previous number.
pub struct Session {
    echoed: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    server: JoinHandle<Result<()>>,
    client: JoinHandle<Result<()>>,
}

impl Session {
    pub fn start(lab: &Lab) -> Result<Self> {
        Self::between(&lab.b, &lab.a, A_PUBLIC)
    }

    /// Starts a session from the host `from` to `address` on the host `to`.
    pub fn between(from: &Namespace, to: &Namespace, address: Ipv4Addr) -> Result<Self> {
        let listener = to
            .enter(|| TcpListener::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT)))?
            .with_context(|| format!("listen on {}", to.name()))?;
        let to: SocketAddr = SocketAddrV4::new(address, PORT).into();
        let client = from
            .enter(|| TcpStream::connect_timeout(&to, PATIENCE))?
            .with_context(|| format!("connect to {to}"))?;
        client.set_read_timeout(Some(PATIENCE)).context("limit the time to wait")?;
        let (echoed, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().context("accept")?;
            let mut number = [0; size_of::<u32>()];
            while stream.read_exact(&mut number).is_ok() {
                stream.write_all(&number).context("echo")?;
            }
            Ok(())
        });
        let client = {
            let (echoed, stop) = (Arc::clone(&echoed), Arc::clone(&stop));
            thread::spawn(move || type_on(client, &echoed, &stop))
        };
        Ok(Self { echoed, stop, server, client })
    }

    /// The number of echoed keystrokes.
    pub fn count(&self) -> u32 {
        self.echoed.load(Ordering::Relaxed)
    }

    /// Waits until the server echoes more keystrokes.
    pub fn wait_for_more(&self) -> Result<()> {
        let start = self.count();
        wait_until("the operator's connection to go on", PATIENCE, || {
            ensure!(!self.client.is_finished(), "the connection is lost");
            Ok((self.count() > start + 5).then_some(()))
        })
    }

    /// Ends the session, and requires that every echo was correct.
    pub fn end(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in [self.client, self.server] {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(())
    }
}

fn type_on(mut stream: TcpStream, echoed: &AtomicU32, stop: &AtomicBool) -> Result<()> {
    let mut number = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(&number.to_be_bytes()).context("send")?;
        let mut echo = [0; size_of::<u32>()];
        stream.read_exact(&mut echo).context("wait for the echo")?;
        ensure!(u32::from_be_bytes(echo) == number, "{number} came back as {echo:?}");
        number += 1;
        echoed.store(number, Ordering::Relaxed);
        thread::sleep(INTERVAL);
    }
    Ok(())
}
