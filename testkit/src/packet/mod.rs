//! Builds packets completely from their fields, with every checksum computed over all bytes that it
//! covers.
//!
//! After an address change, a test builds the packet anew instead of updating the old one. The expected
//! result therefore shares no arithmetic with the programs' incremental checksum updates.

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
