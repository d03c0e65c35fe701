//! Computes the wanted state from the file and the present state. This module is pure: nothing here asks the
//! kernel.

pub mod arp;
pub mod attach_point;
pub mod awaited;
pub mod bypass;
pub mod capacity;
pub mod change;
pub mod cluster_file;
pub mod digest;
pub mod direct_notices;
pub mod echo;
pub mod find_self;
pub mod follow;
pub mod handover;
pub mod identity;
pub mod local_tables;
pub mod membership;
pub mod move_notices;
pub mod path_mtu;
pub mod peer_edit;
pub mod peer_tables;
pub mod peers;
pub mod ping;
pub mod ping_advice;
pub mod ping_message;
pub mod policy_routing;
pub mod previous_underlays;
pub mod range;
pub mod route;
pub mod route_metrics;
pub mod routes;
pub mod running_peers;
pub mod settings;
pub mod slots;
pub mod vlan;
