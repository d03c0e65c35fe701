//! Which address the kernel names in its ARP requests.
//!
//! A packet has its private source address until tc sees it, behind the neighbour look-up, and with
//! arp_announce at 0 the request for the gateway says "tell" that address: the private address
//! is on the wire, and a router that filters by reverse path does not answer. With 2, the kernel
//! takes an address of the interface (Linux, Documentation/networking/ip-sysctl.rst).

use std::fs;
use std::path::PathBuf;

use crate::failure::{Context as _, Failure};

/// Always the best local address for the target.
pub const BEST_LOCAL: u8 = 2;

/// The value that counts for `interface`: the larger of its own and that for all.
///
/// # Errors
/// If it can't be read.
pub fn effective(interface: &str) -> Result<u8, Failure> {
    Ok(read("all")?.max(read(interface)?))
}

/// The interface's own value.
///
/// # Errors
/// If it can't be read.
pub fn read(interface: &str) -> Result<u8, Failure> {
    let path = path(interface);
    let what = || format!("reading {}", path.display());
    fs::read_to_string(&path).doing(what)?.trim().parse().doing(what)
}

/// Sets the interface's own value.
///
/// # Errors
/// [`Failure::Host`] if it can't be written: /proc/sys is read-only in many containers.
pub fn write(interface: &str, value: u8) -> Result<(), Failure> {
    let path = path(interface);
    fs::write(&path, value.to_string()).map_err(|error| {
        Failure::host(
            format!("{} can't be set to {value}: {error}", path.display()),
            format!(
                "set it from outside: sysctl -w net.ipv4.conf.{interface}.arp_announce={value}"
            ),
        )
    })
}

fn path(interface: &str) -> PathBuf {
    PathBuf::from(format!("/proc/sys/net/ipv4/conf/{interface}/arp_announce"))
}
