//! Lists this host's open TCP connections, through sock_diag(7).

use std::io;
use std::net::SocketAddr;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use crate::plan::kept_connections::Connection;

/// All connections in this network namespace that still send or receive.
///
/// # Errors
/// If the kernel refuses.
pub fn open() -> io::Result<Vec<Connection>> {
    let mut connections = Vec::new();
    for (family, id) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
        dump(family, id, &mut connections)?;
    }
    connections.sort_unstable();
    Ok(connections)
}

fn dump(family: u8, socket_id: SocketId, connections: &mut Vec<Connection>) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let states = StateFlags::all() - StateFlags::LISTEN - StateFlags::TIME_WAIT - StateFlags::CLOSE;
    let request = SockDiagMessage::InetRequest(InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states,
        socket_id,
    });
    let mut message = NetlinkMessage::new(header, request.into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    loop {
        let (received, _) = socket.recv_from_full()?;
        let mut rest = &received[..];
        while !rest.is_empty() {
            let message =
                NetlinkMessage::<SockDiagMessage>::deserialize(rest).map_err(io::Error::other)?;
            let length = message.header.length as usize;
            match message.payload {
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                    let id = response.header.socket_id;
                    let end = |address: std::net::IpAddr, port| {
                        // An IPv6 socket may have an IPv4 connection.
                        SocketAddr::new(address.to_canonical(), port)
                    };
                    connections.push(Connection {
                        local: end(id.source_address, id.source_port),
                        remote: end(id.destination_address, id.destination_port),
                    });
                }
                // Without the module for TCP, the kernel ends the list with an error.
                NetlinkPayload::Done(done) if done.code != 0 => {
                    return Err(io::Error::from_raw_os_error(-done.code));
                }
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                _ => {}
            }
            // Messages begin at multiples of four bytes (netlink(7), NLMSG_ALIGN).
            rest = rest.get(length.max(1).next_multiple_of(4)..).unwrap_or_default();
        }
    }
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
