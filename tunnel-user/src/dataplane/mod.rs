//! Manages the kernel's side: the eBPF object, its pins, its maps, and the hooks that run its programs.

pub mod attached_programs;
mod batch;
mod bpf_call;
mod bpf_link;
pub mod bpffs;
pub mod brought;
mod counters;
mod family_maps;
pub mod hook;
pub mod in_flight;
pub mod in_front;
pub mod instance;
pub mod jiffies;
mod kernel_btf;
pub mod load;
pub mod loader;
pub mod lock;
pub mod map_use;
pub mod maps;
pub mod other_namespaces;
pub mod peer_filter;
pub mod pins;

pub mod program_changes;
pub mod record;
pub mod remains;
pub mod resize;
mod shapes;
pub mod table;
mod tc;
mod tcx_query;
pub mod tracer;
pub mod upgrade;
mod xdp;
mod xdp_reason;
