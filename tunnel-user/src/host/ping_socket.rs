//! Sends ICMP echo requests that no router may fragment, and receives the answers and the errors.

use std::ffi::OsString;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::sockopt::{BindToDevice, Ipv4RecvErr, Ipv6RecvErr, RcvBuf, RcvBufForce};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, RecvMsg, SockFlag, SockProtocol, SockType,
    SockaddrStorage, bind, recvmsg, sendto, setsockopt, socket,
};
use nix::{libc, setsockopt_impl, sockopt_impl};
use tokio::io::unix::AsyncFd;

use crate::model::Family;
use crate::plan::ping_message::ip_header_len;

/// The size of the receive buffer in bytes, which holds thousands of answers.
const RECEIVE_BUFFER: usize = 4 << 20;
/// The largest message, in bytes.
const MESSAGE_MAX: usize = 65_536;
/// Bytes for control messages: an error with the address of its sender, and the size of a fragment.
const CONTROL_LEN: usize = 256;

sockopt_impl!(
    /// Path MTU discovery of IPv4 packets (`IP_MTU_DISCOVER`).
    MtuDiscover,
    SetOnly,
    libc::IPPROTO_IP,
    libc::IP_MTU_DISCOVER,
    i32
);
sockopt_impl!(
    /// Path MTU discovery of IPv6 packets (`IPV6_MTU_DISCOVER`).
    MtuDiscoverV6,
    SetOnly,
    libc::IPPROTO_IPV6,
    libc::IPV6_MTU_DISCOVER,
    i32
);
sockopt_impl!(
    /// Passes the size of the largest fragment of a received IPv4 packet (`IP_RECVFRAGSIZE`, Linux 4.13).
    ReceiveFragmentSize,
    SetOnly,
    libc::IPPROTO_IP,
    IP_RECVFRAGSIZE,
    bool
);
sockopt_impl!(
    /// Passes the size of the largest fragment of a received IPv6 packet (`IPV6_RECVFRAGSIZE`, Linux 4.13).
    ReceiveFragmentSizeV6,
    SetOnly,
    libc::IPPROTO_IPV6,
    IPV6_RECVFRAGSIZE,
    bool
);

/// Linux, include/uapi/linux/in.h and in6.h.
const IP_RECVFRAGSIZE: i32 = 25;
const IPV6_RECVFRAGSIZE: i32 = 77;

/// A raw ICMP socket of one address.
#[derive(Debug)]
pub struct PingSocket {
    socket: AsyncFd<OwnedFd>,
    family: Family,
    /// Space for a message.
    buffer: Vec<u8>,
    /// Space for control messages.
    control: Vec<u8>,
}

/// A packet, or an error about a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// An ICMP message, without its IP header.
    Message {
        /// The sender.
        from: IpAddr,
        /// The message.
        message: Vec<u8>,
        /// The size of the message's largest fragment in bytes, if the message came in fragments.
        fragment: Option<u16>,
    },
    /// An error about a request of this socket.
    Error {
        /// The destination of the request.
        to: IpAddr,
        /// The part of the request that the error quotes, without its IP header.
        request: Vec<u8>,
        /// The error.
        error: PathError,
    },
}

/// An error about a request, from a router, from a peer, or from this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathError {
    /// The host that reports the error; `None` for this host.
    pub reporter: Option<IpAddr>,
    /// The error, as the kernel passes it to sockets.
    pub errno: i32,
    /// For EMSGSIZE, the size in bytes that passes; else 0.
    pub mtu: u16,
}

impl PingSocket {
    /// A socket that sends from `address`. With `device`, the socket sends and receives by this interface alone.
    ///
    /// # Errors
    /// If the process lacks CAP_NET_RAW, or no interface has the address, or there is no such device.
    pub fn bound(address: IpAddr, device: Option<&str>) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let open = |family, protocol| socket(family, SockType::Raw, flags, protocol);
        let (socket, family) = match address {
            IpAddr::V4(_) => {
                let socket = open(AddressFamily::Inet, SockProtocol::Icmp)?;
                setsockopt(&socket, MtuDiscover, &libc::IP_PMTUDISC_PROBE)?;
                setsockopt(&socket, Ipv4RecvErr, &true)?;
                setsockopt(&socket, ReceiveFragmentSize, &true)?;
                (socket, Family::Ipv4)
            }
            IpAddr::V6(_) => {
                let socket = open(AddressFamily::Inet6, SockProtocol::IcmpV6)?;
                setsockopt(&socket, MtuDiscoverV6, &libc::IPV6_PMTUDISC_PROBE)?;
                setsockopt(&socket, Ipv6RecvErr, &true)?;
                setsockopt(&socket, ReceiveFragmentSizeV6, &true)?;
                (socket, Family::Ipv6)
            }
        };
        // Without CAP_NET_ADMIN, the kernel limits the size to net.core.rmem_max.
        if setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER).is_err() {
            setsockopt(&socket, RcvBuf, &RECEIVE_BUFFER)?;
        }
        if let Some(device) = device {
            setsockopt(&socket, BindToDevice, &OsString::from(device))?;
        }
        bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(address, 0)))?;
        // SAFETY: the descriptor is owned, always the same, and closed when its owner is dropped.
        let socket = unsafe { AsyncFd::register(socket) }?;
        let (buffer, control) = (vec![0; MESSAGE_MAX], vec![0; CONTROL_LEN]);
        Ok(Self { socket, family, buffer, control })
    }

    /// Sends an ICMP message.
    ///
    /// # Errors
    /// The kernel's errors: EPERM if a firewall of this host drops the message, EMSGSIZE if it is larger than the
    /// interface allows, ENETUNREACH without a route, ENOBUFS or EAGAIN if a queue is full.
    pub fn send(&self, to: IpAddr, message: &[u8]) -> io::Result<()> {
        let to = SockaddrStorage::from(SocketAddr::new(to, 0));
        sendto(self.socket.get_ref().as_raw_fd(), message, &to, MsgFlags::empty())?;
        Ok(())
    }

    /// Waits until there may be something to receive.
    ///
    /// # Errors
    /// If the runtime shuts down.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await?.clear_ready();
        Ok(())
    }

    /// Receives the next message or error; `None` if there is none at present.
    ///
    /// # Errors
    /// The kernel's errors.
    pub fn receive(&mut self) -> io::Result<Option<Received>> {
        match self.receive_with(MsgFlags::MSG_ERRQUEUE)? {
            Some(received) => Ok(Some(received)),
            None => self.receive_with(MsgFlags::empty()),
        }
    }

    fn receive_with(&mut self, flags: MsgFlags) -> io::Result<Option<Received>> {
        let descriptor = self.socket.get_ref().as_raw_fd();
        let (address, len, cmsgs) = loop {
            let mut slices = [IoSliceMut::new(&mut self.buffer)];
            let received: Result<RecvMsg<'_, '_, SockaddrStorage>, _> =
                recvmsg(descriptor, &mut slices, Some(&mut self.control), flags);
            match received {
                Ok(received) => {
                    let cmsgs: Vec<_> = received.cmsgs().map(Iterator::collect).unwrap_or_default();
                    break (
                        received.address.and_then(|address| ip(&address)),
                        received.bytes,
                        cmsgs,
                    );
                }
                Err(nix::Error::EAGAIN) => return Ok(None),
                Err(nix::Error::EINTR) => {}
                // An error about an earlier request, which the error queue also holds.
                Err(_) if flags.is_empty() => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        };
        let mut buffer = self.buffer[..len].to_vec();
        let Some(address) = address else { return Ok(None) };
        if flags.contains(MsgFlags::MSG_ERRQUEUE) {
            let error = cmsgs.iter().find_map(path_error);
            return Ok(error.map(|error| Received::Error { to: address, request: buffer, error }));
        }
        let fragment = cmsgs.iter().find_map(fragment_size);
        let message = match self.family {
            // A raw IPv4 socket passes the IP header, whose first byte has the length in words.
            Family::Ipv4 => {
                let words = buffer.first().map_or(0, |first| usize::from(first & 0x0f));
                buffer.split_off(len.min((words * 4).max(ip_header_len(Family::Ipv4))))
            }
            Family::Ipv6 => buffer,
        };
        Ok(Some(Received::Message { from: address, message, fragment }))
    }
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| address.ip().into());
    v4.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().into()))
}

fn path_error(message: &ControlMessageOwned) -> Option<PathError> {
    let (error, reporter) = match message {
        ControlMessageOwned::Ipv4RecvErr(error, reporter) => {
            (error, reporter.map(|reporter| IpAddr::from(reporter.sin_addr.s_addr.to_ne_bytes())))
        }
        ControlMessageOwned::Ipv6RecvErr(error, reporter) => {
            (error, reporter.map(|reporter| IpAddr::from(reporter.sin6_addr.s6_addr)))
        }
        _ => return None,
    };
    let errno = error.ee_errno.cast_signed();
    let mtu = if errno == libc::EMSGSIZE { error.ee_info } else { 0 };
    let is_local = error.ee_origin == libc::SO_EE_ORIGIN_LOCAL;
    Some(PathError {
        reporter: reporter.filter(|_| !is_local),
        errno,
        mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
    })
}

fn fragment_size(message: &ControlMessageOwned) -> Option<u16> {
    let ControlMessageOwned::Unknown(message) = message else { return None };
    let header = &message.cmsg_header;
    let is_size = matches!(
        (header.cmsg_level, header.cmsg_type),
        (libc::IPPROTO_IP, IP_RECVFRAGSIZE) | (libc::IPPROTO_IPV6, IPV6_RECVFRAGSIZE)
    );
    let octets = message.data_bytes.first_chunk().filter(|_| is_size)?;
    u16::try_from(i32::from_ne_bytes(*octets)).ok()
}
