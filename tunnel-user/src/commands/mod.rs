//! What each command does, in order.

pub mod attach;
pub mod check;
pub mod detach;
pub mod interrupt;
pub mod output;
pub mod peer;
pub mod routing;
pub mod stats;
pub mod status;
mod undo;
