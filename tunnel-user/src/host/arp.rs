//! The addresses that the kernel names on a link by ARP, in requests and in replies.
//!
//! A packet has its private source address until tc sees it, behind the neighbour look-up. With
//! arp_announce at 0 the request for the gateway says "tell" that address: the private address is on
//! the wire, and a router that filters by reverse path does not answer. With 2, the kernel takes an
//! address of the interface. With arp_ignore at 0 it answers requests for each address of the host,
//! the private one on the loopback interface too. With 1, it answers for the interface's own
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
    /// If it can't be read.
    pub fn effective(self, interface: &str) -> Result<u8, Error> {
        Ok(self.read("all")?.max(self.read(interface)?))
    }

    /// The interface's own value.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn read(self, interface: &str) -> Result<u8, Error> {
        let path = self.path(interface);
        let what = || format!("reading {}", path.display());
        fs::read_to_string(&path).context(what)?.trim().parse().context(what)
    }

    /// Sets the interface's own value.
    ///
    /// # Errors
    /// [`Error::Host`] if it can't be written: /proc/sys is read-only in many containers.
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
