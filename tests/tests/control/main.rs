//! The control side, with the real binary in network namespaces: what attach brings and detach
//! takes away, what is refused, what survives, and what the commands say.

mod bpffs;
mod bpftool;
mod check;
mod command_line;
mod failed_attach;
mod foreign_pins;
mod host_state;
mod interrupted;
mod killed;
mod killed_halfway;
mod lossless;
mod operators_own;
mod peers;
mod peers_refused;
mod process;
mod recreated;
mod scenario;
mod stats;
mod status;
mod stream;
mod surroundings;
mod undo;
mod undo_clsact;
mod verbose;
mod wrong_files;
