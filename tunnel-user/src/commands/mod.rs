//! What each command does, in order.

pub mod apply;
pub mod attach;
pub mod attach_plan;
pub mod check;
pub mod confirm;
pub mod detach;
pub mod diff;
pub mod downgrade;
mod farewell;
mod greet;
pub mod health;
pub mod look;
mod membership;
pub mod other_networks;
pub mod peer;
pub mod private_in_arp;
pub mod revert;
mod routing;
pub mod run;
pub mod running;
pub mod stats;
pub mod status;
mod swap;
pub mod switch;
mod undo;
mod update;
mod upgrade;
