//! A greeting: a datagram from this host to a peer, between private addresses.

use std::net::IpAddr;

/// From whom to whom: two private addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// This host's.
    pub own: IpAddr,
    /// The peer's.
    pub peer: IpAddr,
}
