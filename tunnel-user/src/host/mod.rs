//! What is on this host apart from the dataplane: privileges, network namespace, links, addresses
//! and routes.

pub mod arp;
pub mod netlink;
pub mod network_namespace;
pub mod privileges;
pub mod snapshot;
