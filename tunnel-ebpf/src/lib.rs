//! The path of a packet: [`parse`], [`decide`], [`rewrite`], and in the binary: count.
//!
//! Nothing here touches the kernel: packets and tables are traits, implemented over an skb and BPF
//! maps by the binary, and over slices by the tests.
#![cfg_attr(not(test), no_std)]

pub mod checksum;
pub mod decide;
pub mod packet;
pub mod parse;
pub mod rewrite;
pub mod tables;
