//! Reads and changes this host's state apart from the dataplane: privileges, network namespace, links, addresses and
//! routes.

pub mod arp;
pub mod boot_unit;
pub mod bridge_netfilter;
pub mod capture_file;
pub mod clock;
pub mod echo_socket;
pub mod file_changes;
pub mod file_replacement;
pub mod firewall_rules;
pub mod forwarding;
pub mod freed_memory;
pub mod link;
pub mod link_fitness;
pub mod link_type;
pub mod live_namespaces;
pub mod lock_file;
pub mod metrics_server;
pub mod netlink;
pub mod netlink_routes;
pub mod netlink_rules;
pub mod network_changes;
pub mod network_manager;
pub mod network_namespace;
pub mod ping_socket;
pub mod privileges;
pub mod qdiscs;
pub mod runtime_folder;
pub mod service_manager;
pub mod snapshot;
pub mod software_checksums;
pub mod ssh_session;
pub mod tcp_connections;
pub mod virtio;
pub mod vlan_tags;
