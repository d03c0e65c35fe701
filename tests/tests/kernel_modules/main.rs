//! Scenarios that take modules which the kernel of a host may lack: 802.1Q interfaces, networks that
//! lose and reorder, and kinds of interfaces that are refused. `cargo xtask vm` runs them on kernels that have them; elsewhere they are
//! ignored, unless asked for by `--ignored`.

mod lossy_network;
mod refused;
mod sctp;
mod tunnels;
mod two_hosts;
mod vlan;
