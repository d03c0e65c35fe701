//! The two tc programs. Each hands its packet to the pure code of the library and does as told.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod count;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod skb;
#[cfg(target_arch = "bpf")]
mod tc;

#[cfg(not(target_arch = "bpf"))]
fn main() {
    eprintln!("rewrite-ebpf is loaded into the kernel by `rewrite attach`; it does not run here");
    std::process::exit(2);
}
