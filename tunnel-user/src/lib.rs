//! The control plane: the library of the binary `rewrite`.
//!
//! The path of a command: [`cli`] (the arguments), [`commands`] (the entry point), [`ops`] (the steps, in order),
//! [`config`] (the file), [`plan`] (the wanted state, pure functions), [`host`] and [`dataplane`] (reading and changing
//! the present state), [`trial`] (the rollback of an unconfirmed change).

pub mod cli;
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
