//! Lists the sockets that take packets or connections from any peer, through sock_diag(7).

use std::io;

use netlink_packet_sock_diag::constants::{IPPROTO_TCP, IPPROTO_UDP};
use netlink_packet_sock_diag::inet::StateFlags;

use super::sock_diag;
use crate::plan::cluster_ports::Protocol;
use crate::plan::listeners_astray::Listener;

/// The listening TCP sockets and the unconnected UDP sockets of this network namespace. Without the kernel's module for
/// UDP sockets, the list has none.
///
/// # Errors
/// If the kernel does not list its TCP sockets.
pub fn listening() -> io::Result<Vec<Listener>> {
    let listener = |protocol| move |local| Listener { protocol, local };
    let tcp = sock_diag::sockets(IPPROTO_TCP, &StateFlags::LISTEN)?;
    let udp = sock_diag::sockets(IPPROTO_UDP, &StateFlags::CLOSE).unwrap_or_default();
    let tcp = tcp.into_iter().map(|socket| socket.local).map(listener(Protocol::Tcp));
    let udp = udp.into_iter().map(|socket| socket.local).map(listener(Protocol::Udp));
    Ok(tcp.chain(udp).collect())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn listeners_are_listed_and_connections_are_not() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("[::1]:0").unwrap();
        let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
        connected.connect("127.0.0.1:9").unwrap();
        let client = TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
        let found = listening().unwrap();
        let has = |protocol, local| found.contains(&Listener { protocol, local });
        assert!(has(Protocol::Tcp, tcp.local_addr().unwrap()), "{found:?}");
        assert!(has(Protocol::Udp, udp.local_addr().unwrap()), "{found:?}");
        assert!(!has(Protocol::Udp, connected.local_addr().unwrap()), "{found:?}");
        assert!(!has(Protocol::Tcp, client.local_addr().unwrap()), "{found:?}");
    }
}
