//! Tests the dataplane at work: two hosts, a router, and the sockets of their kernels. Needs root.
//!
//! Each test builds its own lab, attaches as an operator would, and trusts only the sockets'
//! results, the kernel's counters and the router's captures.

mod bypass;
mod cluster;
mod conversation;
mod direct;
mod echo;
mod families;
mod foreign_source;
mod fragments;
mod from_underlay;
mod gateway;
mod guarded;
mod icmp_errors;
mod inside;
mod iptables_trick;
mod jumbo;
mod late_duplicate;
mod lengths;
mod multicast;
mod offloads;
mod one_to_one_nat;
mod path_mtu;
mod port_conflict;
mod prefixes;
mod public_flows;
mod spoofed;
mod stats;
mod third_host;
mod three_members;
mod tun;
mod udp_gro;
mod udp_segment;
mod udp_tunnels;
mod vlan;
