//! The wanted state, worked out from the file and the state that is. Pure: nothing here asks the kernel.

pub mod awaited;
pub mod bypass;
pub mod capacity;
pub mod cluster_file;
pub mod difference;
pub mod direct_notices;
pub mod find_self;
pub mod follow;
pub mod former;
pub mod handover;
pub mod identity;
pub mod membership;
pub mod move_notices;
pub mod peer_edit;
pub mod peer_tables;
pub mod peers;
pub mod policy_routing;
pub mod range;
pub mod route;
pub mod route_metrics;
pub mod routes;
pub mod running_peers;
pub mod selves;
pub mod settings;
pub mod slots;
pub mod vlan;
