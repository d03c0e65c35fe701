//! Reads and sets the sysctls that decide which addresses the kernel reveals by ARP, in requests and in replies.
//!
//! A packet keeps its private source address until tc sees the packet, after the neighbour look-up. With arp_announce
//! at 0, the ARP request for the gateway names that address as its sender ("tell"): the private address appears on the
//! wire, and a router that filters by reverse path does not answer. With 2, the kernel uses an address of the
//! interface. With arp_ignore at 0, the kernel answers requests for every address of the host, including the private
//! address on the loopback interface. With 1, the kernel answers requests for the interface's own addresses only
//! (Linux, Documentation/networking/ip-sysctl.rst).

use std::fs;
use std::path::PathBuf;

use crate::error::{Context as _, Error};
use crate::model::text::interface_sysctl;
use crate::plan::arp::Sysctl;

impl Sysctl {
    /// The effective value for `interface`: the larger of the interface's and `all`'s.
    ///
    /// # Errors
    /// If the sysctl can't be read.
    pub fn effective(self, interface: &str) -> Result<u8, Error> {
        Ok(self.read("all")?.max(self.read(interface)?))
    }

    /// The interface's own value.
    ///
    /// # Errors
    /// If the sysctl can't be read.
    pub fn read(self, interface: &str) -> Result<u8, Error> {
        let path = self.path(interface);
        let what = || format!("reading {}", path.display());
        fs::read_to_string(&path).context(what)?.trim().parse().context(what)
    }

    /// Sets the interface's own value.
    ///
    /// # Errors
    /// [`Error::Host`] if the sysctl can't be written: /proc/sys is read-only in many containers.
    pub fn write(self, interface: &str, value: u8) -> Result<(), Error> {
        let (path, name) = (self.path(interface), self.name());
        fs::write(&path, value.to_string()).map_err(|error| {
            Error::host(
                format!("rewrite can't set {} to {value}: {error}", path.display()),
                format!(
                    "set it as root, in a container from outside of it: sysctl -w {}={value}",
                    interface_sysctl("ipv4", interface, name)
                ),
            )
        })
    }

    fn path(self, interface: &str) -> PathBuf {
        PathBuf::from(format!("/proc/sys/net/ipv4/conf/{interface}/{}", self.name()))
    }
}
