//! Lists this network namespace's sockets by protocol and state, through sock_diag(7).

use std::io;
use std::net::SocketAddr;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use crate::plan::kept_connections::Connection;

/// The two ends of all sockets of an IP protocol in one of the states, for both families. The remote end of a listening
/// socket has the port 0.
///
/// # Errors
/// If the kernel refuses.
pub(super) fn sockets(protocol: u8, states: &StateFlags) -> io::Result<Vec<Connection>> {
    let mut found = Vec::new();
    for (family, socket_id) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
        let extensions = ExtensionFlags::empty();
        let states = states.clone();
        dump(InetRequest { family, protocol, extensions, states, socket_id }, &mut found)?;
    }
    found.sort_unstable();
    Ok(found)
}

fn dump(request: InetRequest, found: &mut Vec<Connection>) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
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
                    found.push(Connection {
                        local: end(id.source_address, id.source_port),
                        remote: end(id.destination_address, id.destination_port),
                    });
                }
                // Without the module for the protocol, the kernel ends the list with an error.
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
