//! Packets built from their fields, every byte of them, with every checksum computed over the whole
//! of what it covers.
//!
//! A test that changes an address builds the packet again instead of mending the old one, so that
//! what the programs do incrementally is compared with arithmetic that shares nothing with theirs.

pub mod checksum;
pub mod dccp;
pub mod ethernet;
pub mod extension;
pub mod frame;
pub mod hex;
pub mod icmp;
pub mod icmpv6;
pub mod infiniband;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
pub mod pseudo_header;
pub mod quote;
pub mod random;
pub mod sctp;
mod setters;
pub mod tcp;
#[cfg(test)]
mod tests;
pub mod transport;
pub mod udp;
pub mod udplite;

pub use dccp::Dccp;
pub use ethernet::{Ethernet, Tag};
pub use extension::{Extension, ExtensionOption, Routing};
pub use frame::{Frame, Link};
pub use icmp::{IcmpEcho, IcmpError};
pub use icmpv6::Icmpv6;
pub use ip::IpPacket;
pub use ipv4::Ipv4;
pub use ipv6::Ipv6;
pub use quote::{Body, Quote};
pub use sctp::Sctp;
pub use tcp::Tcp;
pub use transport::Transport;
pub use udp::{Udp, UdpChecksum};
pub use udplite::UdpLite;
