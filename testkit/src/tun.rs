//! Joins two namespaces by tun devices, through a relay in this process. The packets have no link header.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::frame::Frame;
use crate::netns::Namespace;

/// The relay's poll timeout in milliseconds: the longest delay until the relay notices a request to stop.
const TICK: u16 = 50;
const LONGEST_PACKET: usize = 65_536;

/// The relay between two tun devices. Dropping the value ends the relay and deletes the devices.
#[derive(Debug)]
pub struct TunLink {
    stop: Arc<AtomicBool>,
    relayed: Arc<Mutex<Vec<Frame>>>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl TunLink {
    /// Makes a tun device with this name in both namespaces, and relays packets between them.
    ///
    /// # Errors
    /// When a namespace has a device with this name already.
    pub fn join(near: &Namespace, far: &Namespace, interface: &str) -> Result<Self> {
        let open = |namespace: &Namespace| -> Result<File> {
            let device = namespace.enter(|| open_tun(interface))??;
            namespace.run(&["ip", "link", "set", interface, "addrgenmode", "none", "up"])?;
            Ok(device)
        };
        let devices = [open(near)?, open(far)?];
        let stop = Arc::new(AtomicBool::new(false));
        let relayed = Arc::new(Mutex::new(Vec::new()));
        let mut threads = Vec::new();
        for (from, to) in [(0, 1), (1, 0)] {
            let (from, to) = (devices[from].try_clone()?, devices[to].try_clone()?);
            let (stop, relayed) = (Arc::clone(&stop), Arc::clone(&relayed));
            threads.push(thread::spawn(move || relay(from, to, &stop, &relayed)));
        }
        Ok(Self { stop, relayed, threads })
    }

    /// Ends the relay and returns the relayed packets. Each packet has an artificial Ethernet header in front, so that
    /// the tests can read the packets like other captures.
    ///
    /// # Errors
    /// When the relay failed.
    pub fn stop(mut self) -> Result<Vec<Frame>> {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(std::mem::take(&mut *self.relayed.lock().unwrap_or_else(|lock| lock.into_inner())))
    }
}

impl Drop for TunLink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn relay(
    mut from: File,
    mut to: File,
    stop: &AtomicBool,
    relayed: &Mutex<Vec<Frame>>,
) -> Result<()> {
    let mut packet = vec![0; LONGEST_PACKET];
    while !stop.load(Ordering::Acquire) {
        let mut waiting = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, PollTimeout::from(TICK)) {
            Ok(0) | Err(Errno::EINTR) => continue,
            result => result.context("wait for a packet")?,
        };
        let length = match from.read(&mut packet) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error).context("read a packet"),
        };
        let packet = &packet[..length];
        relayed.lock().unwrap_or_else(|lock| lock.into_inner()).push(behind_ethernet(packet)?);
        to.write_all(packet).context("write a packet")?;
    }
    Ok(())
}

fn behind_ethernet(packet: &[u8]) -> Result<Frame> {
    let version = packet.first().context("an empty packet")? >> 4;
    let ethertype: u16 = if version == 4 { 0x0800 } else { 0x86dd };
    let mut bytes = vec![0; 12];
    bytes.extend(ethertype.to_be_bytes());
    bytes.extend(packet);
    let timestamp = SystemTime::UNIX_EPOCH.elapsed().context("the time")?;
    Ok(Frame { length: bytes.len(), bytes, timestamp })
}

/// Makes a tun device in this thread's namespace.
fn open_tun(interface: &str) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")
        .context("open /dev/net/tun")?;
    ensure!(interface.len() < libc::IFNAMSIZ, "{interface} is too long a name");
    // SAFETY: an all-zero ifreq is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_TUN | libc::IFF_NO_PI)?;
    // SAFETY: the descriptor is open, and TUNSETIFF reads and writes an ifreq.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    Errno::result(done).with_context(|| format!("make the tun device {interface}"))?;
    Ok(file)
}
