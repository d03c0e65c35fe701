//! Contains scenarios for modules that a host's kernel may lack: 802.1Q interfaces, networks that lose and reorder
//! packets, and refused kinds of interfaces. `cargo xtask vm` runs the scenarios on kernels that have the modules.
//! Elsewhere the tests run only with `--ignored`.

mod lossy_network;
mod refused;
mod sctp;
mod tunnels;
mod two_hosts;
mod vlan;
