//! Plugs network interfaces with drivers of real devices into a lab in place of veth, in a virtual machine
//! (`cargo xtask vm --drivers`). Hardware addresses identify the interfaces.
//!
//! Two wires join the hosts of a lab to the router; each wire has an interface at both ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::netns::Namespace;
use crate::wait::wait_until;

/// The folder that lists the network interfaces of the initial network namespace.
const INTERFACES: &str = "/sys/class/net";
/// The time limit for an interface or its carrier to appear. An emulated e1000e has a carrier only after some seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A device with its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nic {
    /// Intel 82574L.
    E1000e,
    /// VMware vmxnet3.
    Vmxnet3,
    /// virtio, which receives a long packet in several buffers (VIRTIO_NET_F_MRG_RXBUF).
    VirtioMerging,
    /// virtio, which receives each packet in one buffer.
    VirtioWhole,
}

/// The ends of the two wires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The end at host A.
    A,
    /// The router's end on A's side.
    RouterA,
    /// The end at host B.
    B,
    /// The router's end on B's side.
    RouterB,
}

impl End {
    /// The two wires as pairs of ends.
    pub const WIRES: [[Self; 2]; 2] = [[Self::A, Self::RouterA], [Self::B, Self::RouterB]];

    /// True if the end is the router's.
    #[must_use]
    pub const fn is_router(self) -> bool {
        matches!(self, Self::RouterA | Self::RouterB)
    }
}

impl Nic {
    /// All devices.
    pub const ALL: [Self; 4] =
        [Self::E1000e, Self::Vmxnet3, Self::VirtioMerging, Self::VirtioWhole];

    /// The name of the driver's module.
    #[must_use]
    pub const fn driver(self) -> &'static str {
        match self {
            Self::E1000e => "e1000e",
            Self::Vmxnet3 => "vmxnet3",
            Self::VirtioMerging | Self::VirtioWhole => "virtio_net",
        }
    }

    /// The hardware address of the interface at an end.
    #[must_use]
    pub fn hardware_address(self, end: End) -> String {
        format!("52:54:00:0d:{:02x}:{:02x}", self as u8, end as u8)
    }

    /// Moves an end's interface into a namespace, renames it to `name`, and sets it up. Before that, rebinds
    /// the driver to the device, which resets all settings to the driver's defaults.
    ///
    /// # Errors
    /// When this machine has no such interface.
    pub(super) fn plug(self, end: End, namespace: &Namespace, name: &str) -> Result<()> {
        let found = self.find(end)?;
        let device = found.join("device").canonicalize().context("find the device")?;
        let driver = device.join("driver").canonicalize().context("find the driver")?;
        let driver_name = driver.file_name().unwrap_or_default();
        ensure!(driver_name == self.driver(), "{} has the driver {driver_name:?}", found.display());
        let device_name = device.file_name().context("a device without a name")?.as_encoded_bytes();
        for file in ["unbind", "bind"] {
            fs::write(driver.join(file), device_name)
                .with_context(|| format!("{file} {}", device.display()))?;
        }
        let found = self.find(end)?;
        let now = found.file_name().and_then(|name| name.to_str()).context("a name")?;
        let line = format!("ip link set dev {now} netns {} name {name}", namespace.name());
        let words: Vec<_> = line.split(' ').collect();
        crate::process::run(std::process::Command::new(words[0]).args(&words[1..]))?;
        namespace.run(&["ip", "link", "set", name, "addrgenmode", "none", "up"])?;
        if end.is_router() {
            // With receive checksum offload off, the packets that arrive at this end have complete checksums. A capture
            // then shows how the sender's interface completed an unfinished checksum.
            namespace.run(&["sh", "-c", &format!("ethtool -K {name} rx off || true")])?;
        }
        Ok(())
    }

    /// Waits until a plugged interface has a carrier.
    pub(super) fn wait_for_carrier(namespace: &Namespace, name: &str) -> Result<()> {
        wait_until(&format!("{name} of {} has a carrier", namespace.name()), PATIENCE, || {
            let link = namespace.run(&["ip", "link", "show", "dev", name])?;
            Ok((link.contains("LOWER_UP") && !link.contains("NO-CARRIER")).then_some(()))
        })
    }

    /// Waits for the interface of an end, and returns its path. The kernel returns an interface to the initial
    /// namespace some time after the interface's old namespace is gone.
    fn find(self, end: End) -> Result<PathBuf> {
        let wanted = self.hardware_address(end);
        let what = format!(
            "an interface with the address {wanted}, which `cargo xtask vm --drivers` gives a machine"
        );
        wait_until(&what, PATIENCE, || {
            for entry in fs::read_dir(INTERFACES).context("list the interfaces")? {
                let path = entry.context("list the interfaces")?.path();
                if has_address(&path, &wanted) {
                    return Ok(Some(path));
                }
            }
            Ok(None)
        })
    }
}

/// True if an interface has this hardware address; false if the interface has gone meanwhile.
fn has_address(interface: &Path, wanted: &str) -> bool {
    fs::read_to_string(interface.join("address")).is_ok_and(|address| address.trim() == wanted)
}

/// Turns an interface's offloads off, as far as its driver allows.
///
/// # Errors
/// When checksum, segmentation or generic receive offload is still on, although the driver could turn it off.
pub(super) fn turn_offloads_off(namespace: &Namespace, interface: &str) -> Result<()> {
    for offload in ["tx", "rx", "tso", "gso", "gro", "lro", "txvlan", "rxvlan", "sg"] {
        // Ignore failures: ethtool fails for a fixed offload, which the driver can't turn off.
        let command = format!("ethtool -K {interface} {offload} off || true");
        namespace.run(&["sh", "-c", &command])?;
    }
    let shown = namespace.run(&["ethtool", "-k", interface])?;
    for offload in [
        "tx-checksumming",
        "rx-checksumming",
        "tcp-segmentation-offload",
        "generic-segmentation-offload",
        "generic-receive-offload",
    ] {
        let state = shown.lines().find_map(|line| line.strip_prefix(offload)?.strip_prefix(": "));
        let state = state.with_context(|| format!("ethtool does not know {offload}"))?;
        let off = state.starts_with("off") || state.ends_with("[fixed]");
        ensure!(off, "{offload} of {interface} in {} is {state}", namespace.name());
    }
    Ok(())
}
