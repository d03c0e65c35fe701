//! The control side, with the real binary in network namespaces: what attach brings and detach
//! takes away, what is refused, what survives, and what the commands say.

mod bpffs;
mod bpftool;
mod bypass;
mod check;
mod command_line;
mod diff;
mod dotted_name;
mod dual_stack;
mod failed_attach;
mod foreign_pins;
mod gateway;
mod host_state;
mod interrupted;
mod killed;
mod killed_halfway;
mod lossless;
mod operators_own;
mod peers;
mod peers_of_all_kinds;
mod peers_refused;
mod prefixes;
mod process;
mod recreated;
mod scenario;
mod stats;
mod status;
mod stream;
mod surroundings;
mod tun;
mod undo;
mod undo_clsact;
mod verbose;
mod wrong_files;
mod xdp;
