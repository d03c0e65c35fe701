//! The dataplane at work: two hosts, a router, and the sockets of their kernels. Needs root.
//!
//! Each test builds a lab of its own, attaches as an operator would, and believes nothing but what
//! sockets say, what the kernel counts, and what the router sees.

mod cluster;
mod conversation;
mod echo;
mod foreign_source;
mod fragments;
mod icmp_errors;
mod iptables_trick;
mod lengths;
mod offloads;
mod one_to_one_nat;
mod path_mtu;
mod public_flows;
mod spoofed;
mod stats;
mod three_members;
