//! Scenarios that need modules that a host's kernel may lack: 802.1Q interfaces, networks that lose
//! and reorder, and refused kinds of interfaces. `cargo xtask vm` runs them on kernels that have the
//! modules. Elsewhere they are ignored, unless asked for by `--ignored`.

mod lossy_network;
mod refused;
mod sctp;
mod tunnels;
mod two_hosts;
mod vlan;
