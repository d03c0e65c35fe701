//! Decisions over slices of bytes and tables in the heap: what no frame handed to the kernel can
//! show, since the kernel takes none that is shorter than a header, longer than a page, or that
//! refuses a write.
//!
//! Packets are built from their fields, each checksum computed over all that it covers. Every
//! passage through a host is watched (see [`host::Host::pass`]), whatever a test asks beyond that.

mod bypass;
mod bypass_fragments;
mod bypass_quotes;
mod checksum_states;
mod datagram;
mod direct;
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
mod prefixes;
mod quote_bounds;
mod quotes;
mod quotes_of_others;
mod random;
mod random_packets;
mod short;
mod slice;
mod tables;
mod version;
