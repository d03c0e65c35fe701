//! The path of a packet: [`pipeline`], [`parse`], [`decide`], [`rewrite`], and in the binary: count.
//!
//! Nothing here touches the kernel: packets and tables are traits, implemented over an skb or an
//! XDP buffer and BPF maps by the binary, and over slices by the tests.
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
