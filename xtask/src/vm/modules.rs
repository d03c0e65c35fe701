//! Selects the guest's kernel modules: the networking modules and their dependencies. The guest's kernel
//! loads the modules on demand, as on an installed system.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The prefixes of the paths of wanted modules.
const WANTED: &[&str] = &[
    "kernel/net/",
    "kernel/drivers/net/bonding/",
    "kernel/drivers/net/dummy.",
    "kernel/drivers/net/ethernet/intel/e1000e/",
    "kernel/drivers/net/geneve.",
    "kernel/drivers/net/ipvlan/",
    "kernel/drivers/net/macvlan.",
    "kernel/drivers/net/ppp/",
    "kernel/drivers/net/tun.",
    "kernel/drivers/net/veth.",
    "kernel/drivers/net/virtio_net.",
    "kernel/drivers/net/vmxnet3/",
    "kernel/drivers/net/vrf.",
    "kernel/drivers/net/vxlan",
    "kernel/drivers/net/wireguard/",
    "kernel/drivers/virtio/virtio_pci.",
    // Crypto modules: other modules request them by an algorithm's name, so modules.dep does not list them as
    // dependencies.
    "kernel/lib/crypto/",
    "kernel/crypto/",
    "kernel/arch/x86/crypto/",
];

/// The path prefixes of the exceptions to `WANTED`: modules that are large and that no test needs.
const UNWANTED: &[&str] = &[
    "kernel/net/9p/",
    "kernel/net/batman-adv/",
    "kernel/net/bluetooth/",
    "kernel/net/ceph/",
    "kernel/net/mac80211/",
    "kernel/net/openvswitch/",
    "kernel/net/rxrpc/",
    "kernel/net/smc/",
    "kernel/net/sunrpc/",
    "kernel/net/tipc/",
    "kernel/net/wireless/",
];

/// Files that `modprobe` reads.
const LISTS: &[&str] = &[
    "modules.alias.bin",
    "modules.builtin.alias.bin",
    "modules.builtin.bin",
    "modules.dep.bin",
    "modules.softdep",
    "modules.symbols.bin",
];

/// The paths of the guest's modules and lists, relative to the folder of modules.
///
/// # Errors
/// When modules.dep can't be read.
pub fn select(folder: &Path) -> Result<Vec<PathBuf>> {
    let path = folder.join("modules.dep");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut selected: Vec<PathBuf> = closure(&text).into_iter().map(PathBuf::from).collect();
    selected.extend(LISTS.iter().map(PathBuf::from).filter(|list| folder.join(list).exists()));
    Ok(selected)
}

/// The wanted modules and their dependencies: each line of `modules.dep` has a module, a colon, and the
/// module's dependencies.
fn closure(modules_dep: &str) -> BTreeSet<&str> {
    let needs: BTreeMap<&str, &str> =
        modules_dep.lines().filter_map(|line| line.split_once(':')).collect();
    let starts_with = |list: &[&str], path: &str| list.iter().any(|start| path.starts_with(start));
    let mut all = BTreeSet::new();
    for (module, needed) in needs {
        if starts_with(WANTED, module) && !starts_with(UNWANTED, module) {
            all.insert(module);
            all.extend(needed.split_whitespace());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_wanted_module_needs_comes_with_it() {
        let modules_dep = "\
kernel/drivers/net/ethernet/intel/e1000/e1000.ko:
kernel/drivers/net/macvlan.ko:
kernel/drivers/net/vxlan/vxlan.ko.xz: kernel/net/ipv4/udp_tunnel.ko.xz kernel/lib/x.ko.xz
kernel/lib/x.ko.xz:
kernel/net/bluetooth/bluetooth.ko: kernel/lib/y.ko
kernel/net/ipv4/udp_tunnel.ko.xz:
";
        let wanted = [
            "kernel/drivers/net/macvlan.ko",
            "kernel/drivers/net/vxlan/vxlan.ko.xz",
            "kernel/lib/x.ko.xz",
            "kernel/net/ipv4/udp_tunnel.ko.xz",
        ];
        assert_eq!(closure(modules_dep), BTreeSet::from(wanted));
    }
}
