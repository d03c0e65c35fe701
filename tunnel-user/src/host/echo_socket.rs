//! Sends ICMP echo requests from one of the host's addresses.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, sendto,
    socket,
};

use tunnel_common::move_notice::Mark;

use crate::plan::move_notices::echo_request;

/// The ICMP and ICMPv6 types of an echo request (RFC 792; RFC 4443, section 4.1).
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;

/// A raw socket that sends echo requests from one address. The kernel and the programs handle the answers.
pub struct EchoSocket {
    socket: OwnedFd,
    message_type: u8,
}

impl EchoSocket {
    /// A socket that sends from `address`.
    ///
    /// # Errors
    /// If the process lacks CAP_NET_RAW, or no interface has the address.
    pub fn bound(address: IpAddr) -> io::Result<Self> {
        let (family, protocol, message_type) = match address {
            IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp, ECHO_REQUEST),
            IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6, ECHO_REQUEST_V6),
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(family, SockType::Raw, flags, protocol)?;
        bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(address, 0)))?;
        Ok(Self { socket, message_type })
    }

    /// Sends a move notice to `to`: an echo request with this sequence number and this mark.
    ///
    /// # Errors
    /// The kernel's errors, for example if there is no route to `to`.
    pub fn send_notice(&self, to: IpAddr, sequence: u16, mark: Mark) -> io::Result<()> {
        let message = echo_request(self.message_type, sequence, mark);
        let to = SockaddrStorage::from(SocketAddr::new(to, 0));
        sendto(self.socket.as_raw_fd(), &message, &to, MsgFlags::empty())?;
        Ok(())
    }
}
