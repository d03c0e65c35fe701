//! Tests SCTP. SCTP lists an endpoint's addresses in its first packets (RFC 9260, section 3.3.2.1), and rewrite does
//! not change this list. An endpoint that is bound to the private address alone lists no address; an unbound endpoint
//! lists its addresses, including the public address.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Protocol, Socket, Type};
use testkit::capture::Capture;
use testkit::frame::Frame;
use testkit::lab::{A_PRIVATE, A_PUBLIC, B_PRIVATE, LabOptions, PUBLIC_INTERFACE, ROUTER_A};
use testkit::netns::Namespace;

use crate::two_hosts::TwoHosts;

const SCTP: i32 = 132;
const PORT: u16 = 5100;
const PATIENCE: Duration = Duration::from_secs(15);
/// The chunk type of INIT (RFC 9260, section 3.2).
const INIT: u8 = 1;
/// The type of a parameter that is an IPv4 address (RFC 9260, section 3.3.2.1.1).
const IPV4_ADDRESS: [u8; 2] = [0, 5];

fn socket(host: &Namespace, bound_to: Ipv4Addr, port: u16) -> Result<Socket> {
    let socket = host
        .enter(|| Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::from(SCTP))))?
        .context("make a socket of SCTP")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.bind(&SocketAddr::from((bound_to, port)).into())?;
    Ok(socket)
}

/// The addresses in the INIT, if `frame` has one. The first chunk follows the headers of Ethernet,
/// IP and SCTP; its parameters start after 20 bytes, each at a multiple of 4.
fn listed(frame: &Frame) -> Option<Vec<IpAddr>> {
    let packet = frame.bytes.get(14..)?;
    let header_len = usize::from(packet.first()? & 0x0f) * 4;
    let chunk = packet.get(header_len + 12..)?;
    if *chunk.first()? != INIT {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([chunk[2], chunk[3]]));
    let mut parameters = chunk.get(20..length)?;
    let mut addresses = Vec::new();
    while let [a, b, c, d, rest @ ..] = parameters {
        let length = usize::from(u16::from_be_bytes([*c, *d]));
        if [*a, *b] == IPV4_ADDRESS {
            addresses.push(IpAddr::from(<[u8; 4]>::try_from(rest.get(..4)?).ok()?));
        }
        parameters = parameters.get(length.max(4).next_multiple_of(4)..).unwrap_or_default();
    }
    Some(addresses)
}

/// Connects from A, bound to `bound_to`, to B, and sends a word there and back. Returns the addresses in the INIT.
fn talk(hosts: &TwoHosts, bound_to: Ipv4Addr, port: u16) -> Result<Vec<IpAddr>> {
    let lab = &hosts.lab;
    let capture = Capture::start(&lab.router, ROUTER_A, "ip proto 132")?;
    let listener = socket(&lab.b, B_PRIVATE, port)?;
    listener.listen(1)?;
    let mut dialer = socket(&lab.a, bound_to, 0)?;
    dialer.connect(&SocketAddr::from((B_PRIVATE, port)).into()).context("connect")?;
    let (mut accepted, from) = listener.accept().context("accept")?;
    let from = from.as_socket().context("an address")?;
    ensure!(from.ip() == IpAddr::from(A_PRIVATE), "B sees {from}");
    let mut word = [0; 4];
    dialer.write_all(b"over")?;
    accepted.read_exact(&mut word)?;
    ensure!(word == *b"over", "{word:?} arrived");
    accepted.write_all(b"back")?;
    dialer.read_exact(&mut word)?;
    ensure!(word == *b"back", "{word:?} came back");
    let frames = capture.stop()?;
    frames.iter().find_map(listed).context("no INIT on the wire")
}

#[test]
#[ignore = "takes the module sctp: cargo xtask vm"]
fn an_endpoint_lists_no_address_where_it_is_bound_to_the_private_one() -> Result<()> {
    let hosts = TwoHosts::new(LabOptions::default())?;
    for host in [&hosts.lab.a, &hosts.lab.b] {
        hosts.attach(host, PUBLIC_INTERFACE, &[])?;
    }
    let bound = talk(&hosts, A_PRIVATE, PORT)?;
    ensure!(bound.is_empty(), "bound to its private address, it lists {bound:?}");
    let unbound = talk(&hosts, Ipv4Addr::UNSPECIFIED, PORT + 1)?;
    ensure!(unbound.contains(&A_PUBLIC.into()), "bound to no address, it lists {unbound:?}");
    Ok(())
}
