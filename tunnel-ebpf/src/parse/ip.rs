//! Defines the contents of a packet's IP headers, for both versions of IP.

use crate::address::Addresses;

/// The contents of consistent IP headers. Unless the headers are quoted, they also agree with the packet's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip<A> {
    /// Bytes before the payload, options and extension headers included.
    pub header_len: usize,
    /// Bytes of the payload, Ethernet padding not counted.
    pub payload_len: u32,
    /// The payload's protocol number.
    pub protocol: u8,
    /// The packet's part of its datagram.
    pub fragment: Fragment,
    /// The identification, in network order, which the fragments of a datagram share. IPv4 uses the first two
    /// bytes.
    pub identification: [u8; 4],
    /// Source and destination.
    pub addresses: Addresses<A>,
}

/// A packet's part of its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// The whole datagram.
    Whole,
    /// The first part, which holds the transport header.
    First,
    /// A later part, without a transport header.
    Later,
}
