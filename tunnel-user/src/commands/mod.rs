//! One file a verb: privileges, the lock, the work below it in [`ops`](crate::ops), and the answer.

pub mod apply;
pub mod attach;
pub mod check;
pub mod confirm;
pub mod detach;
pub mod diff;
pub mod downgrade;
pub mod guard;
pub mod peer;
pub mod revert;
pub mod run;
pub mod stats;
pub mod status;
pub mod switch;
