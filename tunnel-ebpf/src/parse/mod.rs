//! From bytes to what the decision needs, checked against the packet's real length.

pub mod icmp;
pub mod ipv4;
pub mod tcp;
pub mod transport;
