//! The steps that verbs share: what is attached, how it is changed, and how a change is taken back.

pub mod attach;
pub mod attached;
pub mod detach;
pub mod difference;
pub mod drift;
pub mod health;
pub mod private_in_arp;

pub(crate) mod failover;
pub(crate) mod gone_namespaces;
pub(crate) mod load_file;
pub(crate) mod lock_attached;
pub(crate) mod lost_pins;
pub(crate) mod membership;
pub(crate) mod move_notices;
pub(crate) mod notify_direct_peers;
pub(crate) mod other_networks;
pub(crate) mod program_swap;
pub(crate) mod rollback;
pub(crate) mod route_changes;
pub(crate) mod routing;
pub(crate) mod upgrade;
