//! Runs the commands; each command has its own file. A command checks the privileges, takes the lock, calls
//! [`ops`](crate::ops) for the work, and returns the report.

pub mod apply;
pub mod attach;
pub mod check;
pub mod confirm;
pub mod detach;
pub mod diff;
pub mod doctor;
pub mod downgrade;
pub mod dry_run;
pub mod event_thread;
pub mod events;
pub mod explain;
pub mod explain_all;
pub mod import;
pub mod init;
pub mod metrics;
pub mod peer;
pub mod peer_report;
pub mod ping;
pub mod revert;
pub mod run;
pub mod stats;
pub mod status;
pub mod switch;
pub mod trace;
pub mod traffic_report;
