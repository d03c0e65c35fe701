//! The path of a packet: [`pipeline`], [`parse`], [`decide`], [`rewrite`], and in the binary: count.
//!
//! This library does not touch the kernel. Packets and tables are traits: the binary implements them over an skb or
//! an XDP buffer and over BPF maps, the tests over slices.
#![cfg_attr(not(test), no_std)]

pub mod address;
pub mod checksum;
pub mod conditions;
mod counterpart;
pub mod decide;
pub mod family;
pub mod packet;
pub mod parse;
pub mod peer_entry;
pub mod pipeline;
pub mod rewrite;
pub mod shared_packet;
pub mod tables;
