//! Holds the parts that the commands share: the present state, the wanted state, and the executor of the plan that
//! leads from one to the other.

pub mod attach;
pub mod attached;
pub mod detach;
pub mod difference;
pub mod drift;
pub mod endangered_connections;
pub mod events;
pub mod file_comparison;
pub mod health;
pub mod hook_queues;
pub mod import;
pub mod metrics;
pub mod ping;
pub mod private_in_arp;

pub(crate) mod execute;
pub(crate) mod failover;
pub(crate) mod gone_namespaces;
pub(crate) mod load_file;
pub(crate) mod lock_attached;
pub(crate) mod lost_pins;
pub(crate) mod membership;
pub(crate) mod move_notices;
pub(crate) mod network_switch;
pub(crate) mod notify_direct_peers;
pub(crate) mod on_trial;
pub(crate) mod other_networks;
pub mod previous_state;
pub mod reverse_path;
pub(crate) mod rollback;
pub(crate) mod route_changes;
pub(crate) mod routing;
pub mod save_peer;
pub mod silent_peers;
pub(crate) mod upgrade;
