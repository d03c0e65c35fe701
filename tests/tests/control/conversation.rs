//! A TCP connection that continuously sends data to an echo server and compares each answer with the data sent.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::netns::Namespace;
use testkit::traffic::dial_from;
use testkit::wait::{retry_eintr, wait_until};

const CHUNK: usize = 32 << 10;
/// The pause between an answer and the next chunk. Without this pause, a few connections use all CPU time.
const PAUSE: Duration = Duration::from_millis(1);
/// A connection without progress for this long counts as broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection from a client to an echo server.
pub struct Conversation {
    stop: Arc<AtomicBool>,
    exchanged: Arc<AtomicU64>,
    client: JoinHandle<Result<()>>,
    server: JoinHandle<Result<()>>,
}

impl Conversation {
    /// Starts a conversation with a server that listens at `dst`.
    pub fn start(from: &Namespace, to: &Namespace, src: IpAddr, dst: IpAddr) -> Result<Self> {
        Self::start_with(from, to, src, dst, dst)
    }

    /// Starts a conversation with a server that listens at the unspecified address 0.0.0.0, like an ssh server.
    pub fn start_at_any(
        from: &Namespace,
        to: &Namespace,
        src: IpAddr,
        dst: IpAddr,
    ) -> Result<Self> {
        Self::start_with(from, to, src, dst, Ipv4Addr::UNSPECIFIED.into())
    }

    fn start_with(
        from: &Namespace,
        to: &Namespace,
        src: IpAddr,
        dst: IpAddr,
        listening: IpAddr,
    ) -> Result<Self> {
        let listener = to
            .enter(|| TcpListener::bind(SocketAddr::new(listening, 0)))?
            .with_context(|| format!("listen at {listening} in {}", to.name()))?;
        let port = listener.local_addr().context("ask for the port")?.port();
        let address = SocketAddr::new(dst, port);
        let server = thread::spawn(move || serve(&listener));
        let stream = from.enter(|| dial_from(Some(SocketAddr::new(src, 0)), address))??;
        stream.set_read_timeout(Some(PATIENCE)).context("limit the time to receive")?;
        let stop = Arc::new(AtomicBool::new(false));
        let exchanged = Arc::new(AtomicU64::new(0));
        let client = {
            let (stop, exchanged) = (Arc::clone(&stop), Arc::clone(&exchanged));
            thread::spawn(move || ask(stream, &stop, &exchanged))
        };
        Ok(Self { stop, exchanged, client, server })
    }

    /// Requires that more answers arrive after this call.
    pub fn require_progress(&self) -> Result<()> {
        let exchanged = || self.exchanged.load(Ordering::Relaxed);
        // One answer may already be on its way.
        let wanted = exchanged() + 2;
        wait_until(
            "the connection to go on",
            PATIENCE,
            || Ok((exchanged() >= wanted).then_some(())),
        )
    }

    /// Ends the conversation, and requires that neither side met an error.
    pub fn require_unharmed(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for (side, thread) in [("client", self.client), ("server", self.server)] {
            let result = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result.with_context(|| format!("the {side}'s end of the connection"))?;
        }
        ensure!(self.exchanged.load(Ordering::Relaxed) > 0, "nothing came back");
        Ok(())
    }
}

fn ask(mut stream: TcpStream, stop: &AtomicBool, exchanged: &AtomicU64) -> Result<()> {
    let mut sent = vec![0; CHUNK];
    let mut back = vec![0; CHUNK];
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        for word in sent.chunks_exact_mut(size_of::<u64>()) {
            word.copy_from_slice(&number.to_be_bytes());
            number += 1;
        }
        stream.write_all(&sent).context("send")?;
        stream.read_exact(&mut back).context("receive")?;
        ensure!(sent == back, "something else came back");
        exchanged.fetch_add(1, Ordering::Relaxed);
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn serve(listener: &TcpListener) -> Result<()> {
    let (mut stream, _) = listener.accept().context("accept a connection")?;
    stream.set_read_timeout(Some(PATIENCE)).context("limit the time to receive")?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = retry_eintr(|| stream.read(&mut chunk)).context("receive")?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&chunk[..length]).context("send back")?;
    }
}
