//! Reads the headers that a decision needs, and checks them against the packet's real length.

pub mod extension;
pub mod icmp;
pub mod icmpv6;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
pub mod segments;
pub mod tcp;
pub mod transport;
