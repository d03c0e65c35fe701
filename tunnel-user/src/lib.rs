//! The control of the dataplane: what the binary `rewrite` is made of.
//!
//! The path of a command: `cli` (its words), [`commands`] (its verb), [`ops`] (its steps, in
//! order), [`config`] (the file), [`plan`] (what shall be, pure), [`host`] and [`dataplane`] (what is, and its change),
//! [`trial`] (the way back of a change that is to be confirmed).

pub mod commands;
pub mod config;
pub mod dataplane;
pub mod error;
pub mod host;
pub mod interrupt;
pub mod model;
pub mod ops;
pub mod plan;
pub mod trial;
