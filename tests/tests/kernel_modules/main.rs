//! Contains scenarios that need modules which a host's kernel may lack: VLAN interfaces, a network that loses and
//! reorders packets, SCTP, tunnels, and kinds of interfaces that attach refuses. `cargo xtask vm` runs the scenarios on
//! kernels that have the modules. Elsewhere the tests run only with `--ignored`.

mod lossy_network;
mod refused;
mod sctp;
mod tunnels;
mod two_hosts;
mod vlan;
