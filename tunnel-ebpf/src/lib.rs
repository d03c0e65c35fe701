//! Holds the programs' pure code. A packet goes through [`pipeline`], [`parse`], [`decide`], [`rewrite`] and, in the
//! binary, `count`.
//!
//! This library does not touch the kernel. Packets and tables are traits: the binary implements them with skbs, XDP
//! buffers and BPF maps, and the tests implement them with slices.
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
