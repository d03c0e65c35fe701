//! Lists this host's open TCP connections, through sock_diag(7).

use std::io;

use netlink_packet_sock_diag::constants::IPPROTO_TCP;
use netlink_packet_sock_diag::inet::StateFlags;

use super::sock_diag;
use crate::plan::kept_connections::Connection;

/// All connections in this network namespace that still send or receive.
///
/// # Errors
/// If the kernel refuses.
pub fn open() -> io::Result<Vec<Connection>> {
    let states = StateFlags::all() - StateFlags::LISTEN - StateFlags::TIME_WAIT - StateFlags::CLOSE;
    sock_diag::sockets(IPPROTO_TCP, &states)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn both_ends_of_a_connection_are_listed_and_listeners_are_not() {
        for address in ["127.0.0.1:0", "[::]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap().port();
            let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let _server = listener.accept().unwrap();
            let [local, remote] = [client.local_addr(), client.peer_addr()].map(Result::unwrap);
            let found = open().unwrap();
            assert!(found.contains(&Connection { local, remote }), "{found:?}");
            assert!(found.contains(&Connection { local: remote, remote: local }), "{found:?}");
            let listens = |connection: &Connection| connection.remote.port() == 0;
            assert!(!found.iter().any(listens), "{found:?}");
        }
    }
}
