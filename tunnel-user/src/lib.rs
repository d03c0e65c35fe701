//! The control of the dataplane: what the binary `rewrite` is made of.

pub mod address;
