//! Tests decisions over byte slices, with tables on the heap. The tests cover cases that no frame handed to the kernel
//! can cover: frames shorter than a header, frames longer than a page, and refused writes.
//!
//! The tests build packets from their fields, and compute each checksum over all bytes that it covers.
//! [`host::Host::pass`] checks every packet's passage through a host, besides the checks of each test.

mod bypass;
mod bypass_fragments;
mod bypass_quotes;
mod checksum_states;
mod datagram;
mod direct;
mod entries;
mod extension_headers;
mod failing_writes;
mod flow_from_underlay;
mod flow_handover;
mod flow_memory;
mod flow_replies;
mod garbage;
mod gateway;
mod grace_period;
mod guarded;
mod host;
mod icmpv6;
mod ipv4;
mod ipv6;
mod kinds;
mod long;
mod missed;
mod move_notices;
mod moved;
mod neighbor_discovery;
mod networks;
mod path_probes;
mod ping_stamps;
mod prefixes;
mod quote_bounds;
mod quotes;
mod quotes_of_others;
mod random;
mod random_packets;
mod short;
pub(crate) mod slice;
mod tables;
mod version;
