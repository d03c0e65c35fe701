//! Sends frames unchanged, with link header and VLAN tags.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, socket};

use crate::netns::Namespace;

/// A packet socket (packet(7)) on one interface. The socket's frames pass through tc like all other traffic.
#[derive(Debug)]
pub struct RawLink(OwnedFd);

impl RawLink {
    /// Opens a packet socket on an interface of a namespace.
    ///
    /// # Errors
    /// When the interface does not exist.
    pub fn open(namespace: &Namespace, interface: &str) -> Result<Self> {
        namespace.enter(|| open(interface))?
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// When the interface refuses the frame.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let sent = send(self.0.as_raw_fd(), frame, MsgFlags::empty()).context("send a frame")?;
        ensure!(sent == frame.len(), "only {sent} of {} bytes were sent", frame.len());
        Ok(())
    }
}

fn open(interface: &str) -> Result<RawLink> {
    // Protocol 0: the socket receives nothing.
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
        .context("open a packet socket")?;
    let index = if_nametoindex(interface).with_context(|| format!("find {interface}"))?;
    // SAFETY: an all-zero sockaddr_ll is valid.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::sa_family_t::try_from(libc::AF_PACKET)?;
    address.sll_ifindex = libc::c_int::try_from(index)?;
    let length = libc::socklen_t::try_from(size_of_val(&address))?;
    // SAFETY: the socket is open, and the address is a whole sockaddr_ll of that length.
    let done = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    Errno::result(done).with_context(|| format!("bind to {interface}"))?;
    Ok(RawLink(socket))
}
