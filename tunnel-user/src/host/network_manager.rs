//! Detects the program that configures an interface. When such a program configures the interface again, it removes
//! other programs' routes, or the kernel removes them with the interface's last address (Linux, net/ipv4/devinet.c,
//! inetdev_destroy).

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// A program that configures interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkManager {
    /// systemd-networkd, also as netplan's backend.
    Networkd,
    /// NetworkManager.
    NetworkManager,
    /// ifup, with or without a DHCP client.
    Ifupdown,
}

impl NetworkManager {
    /// The program that manages the interface of index `index`, according to the program's files in /run; `None` if
    /// there is none. These programs work only in the network namespace of process 1: elsewhere, the result is always
    /// `None`.
    #[must_use]
    pub fn of(index: u32, interface: &str) -> Option<Self> {
        let namespace = |process: &str| {
            fs::metadata(format!("/proc/{process}/ns/net")).map(|file| file.ino()).ok()
        };
        if namespace("self").is_none() || namespace("self") != namespace("1") {
            return None;
        }
        let read = |path: String| fs::read_to_string(path).unwrap_or_default();
        if nm_manages(&read(format!("/run/NetworkManager/devices/{index}"))) {
            return Some(Self::NetworkManager);
        }
        if networkd_manages(&read(format!("/run/systemd/netif/links/{index}"))) {
            return Some(Self::Networkd);
        }
        let state = read(format!("/run/network/ifstate.{interface}"));
        (state.trim() == interface).then_some(Self::Ifupdown)
    }

    /// A message for the user: the consequence for `interface` if no daemon of rewrite runs, and the remedy.
    #[must_use]
    pub fn consequence(self, interface: &str) -> String {
        format!(
            "{self} manages {interface}, and removes the routes when it reconfigures {interface}: \
             rewrite run {interface}, or the hooks of packaging/hooks, restore them"
        )
    }
}

impl fmt::Display for NetworkManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Networkd => "systemd-networkd",
            Self::NetworkManager => "NetworkManager",
            Self::Ifupdown => "ifupdown",
        })
    }
}

/// True if NetworkManager manages the device by a connection profile (NetworkManager 1.42, src/core/nm-config.c,
/// `nm_config_device_state_write`).
fn nm_manages(state: &str) -> bool {
    state.lines().any(|line| line == "managed=true")
        && state.lines().any(|line| line.starts_with("connection-uuid="))
}

/// True if networkd manages the link (systemd 252, src/network/networkd-state-file.c, `link_save`).
fn networkd_manages(state: &str) -> bool {
    let admin = state.lines().find_map(|line| line.strip_prefix("ADMIN_STATE="));
    admin.is_some_and(|admin| !matches!(admin, "unmanaged" | "initialized" | "pending" | "linger"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networkd_manages_what_it_has_configured() {
        let state = |admin: &str| format!("ADMIN_STATE={admin}\nOPER_STATE=routable\n");
        assert!(networkd_manages(&state("configured")));
        assert!(networkd_manages(&state("configuring")));
        assert!(!networkd_manages(&state("unmanaged")));
        assert!(!networkd_manages(""));
    }

    #[test]
    fn networkmanager_manages_what_has_a_profile() {
        assert!(nm_manages("[device]\nmanaged=true\nconnection-uuid=7a\n"));
        assert!(!nm_manages("[device]\nmanaged=false\n"));
        assert!(!nm_manages(""));
    }
}
