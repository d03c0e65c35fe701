//! Packets built from their fields, every byte of them, with every checksum computed over the whole
//! of what it covers.
//!
//! A test that changes an address builds the packet again instead of mending the old one, so that
//! what the programs do incrementally is compared with arithmetic that shares nothing with theirs.

pub mod checksum;
pub mod dccp;
pub mod ethernet;
pub mod hex;
pub mod icmp;
pub mod ipv4;
pub mod sctp;
pub mod tcp;
pub mod transport;
pub mod udp;
pub mod udplite;

pub use dccp::Dccp;
pub use ethernet::Frame;
pub use icmp::{IcmpEcho, IcmpError};
pub use ipv4::Ipv4;
pub use sctp::Sctp;
pub use tcp::Tcp;
pub use transport::Transport;
pub use udp::{Udp, UdpChecksum};
pub use udplite::UdpLite;
