//! What each command does, in order.

pub mod attach;
pub mod check;
pub mod detach;
mod membership;
pub mod peer;
mod routing;
pub mod running;
pub mod stats;
pub mod status;
mod undo;
