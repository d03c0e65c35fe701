//! Defines the requirements, and checks if they are installed.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Purpose;
use crate::architecture::Architecture;

/// A missing requirement.
#[derive(Clone, Copy, Debug)]
pub struct Requirement {
    /// The requirement's name in messages.
    pub name: &'static str,
    /// The requirement's purpose.
    pub reason: &'static str,
    /// The requirement's source.
    pub source: Source,
}

/// The source of a requirement.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// A Debian package.
    Debian(&'static str),
    /// A component of the Rust toolchain.
    Rustup(&'static str),
    /// The standard library of the Rust toolchain for another platform.
    RustupTarget(&'static str),
    /// bpf-linker, compiled by cargo.
    BpfLinker,
    /// A program that cargo compiles from its registry.
    Cargo(&'static CargoProgram),
}

/// A program from cargo's registry.
#[derive(Debug)]
pub struct CargoProgram {
    /// The program's name in the path.
    pub name: &'static str,
    /// The name of the program's crate.
    pub package: &'static str,
    /// The exact version. A new release could find new faults in an old commit.
    pub version: &'static str,
    /// The program's purpose.
    pub reason: &'static str,
    /// The purposes that require the program.
    pub purposes: &'static [Purpose],
}

/// The programs that the lints, the mutation tests (docs/decisions/0046-tools-of-the-lint.md) and the packages
/// (docs/decisions/0058-packages.md) need.
pub const CARGO_PROGRAMS: &[CargoProgram] = &[
    CargoProgram {
        name: "cargo-deny",
        package: "cargo-deny",
        version: "0.20.2",
        reason: "checks licences, duplicates and sources of the dependencies",
        purposes: &[Purpose::Lint],
    },
    CargoProgram {
        name: "cargo-machete",
        package: "cargo-machete",
        version: "0.9.2",
        reason: "finds unused dependencies",
        purposes: &[Purpose::Lint],
    },
    CargoProgram {
        name: "typos",
        package: "typos-cli",
        version: "1.52.0",
        reason: "finds misspelt words",
        purposes: &[Purpose::Lint],
    },
    CargoProgram {
        name: "cargo-mutants",
        package: "cargo-mutants",
        version: "27.1.0",
        reason: "breaks the pure code, and sees whether a test fails",
        purposes: &[Purpose::Mutants],
    },
    CargoProgram {
        name: "cargo-auditable",
        package: "cargo-auditable",
        version: "0.7.7",
        reason: "puts the list of crates into the packages' binary",
        purposes: STATIC,
    },
];

/// A program from a Debian package.
pub struct DebianProgram {
    /// The program's name in the path.
    pub name: &'static str,
    /// The name of the program's package.
    pub package: &'static str,
    /// The program's purpose.
    pub reason: &'static str,
    /// The purposes that require the program.
    pub purposes: &'static [Purpose],
}

const fn program(
    name: &'static str,
    package: &'static str,
    purposes: &'static [Purpose],
    reason: &'static str,
) -> DebianProgram {
    DebianProgram { name, package, reason, purposes }
}

const LABS: &[Purpose] = &[
    Purpose::Demonstrate,
    Purpose::Test,
    Purpose::Vm,
    Purpose::Bench,
    Purpose::Managers,
    Purpose::TryPackage(Architecture::X86_64),
    Purpose::Boot,
];
const TESTS: &[Purpose] = &[Purpose::Test, Purpose::Vm, Purpose::Bench];
const GLUSTER: &[Purpose] = &[Purpose::Test];
const CAPTURE: &[Purpose] = &[Purpose::Test];
const SCREEN: &[Purpose] = &[Purpose::Test];
const METRICS: &[Purpose] = &[Purpose::Test];
const ANSIBLE: &[Purpose] = &[Purpose::Test];
const VM: &[Purpose] = &[Purpose::Vm];
const X86_64: &[Purpose] = &[Purpose::StaticBinary(Architecture::X86_64)];
const AARCH64: &[Purpose] = &[Purpose::StaticBinary(Architecture::Aarch64)];
const STATIC: &[Purpose] =
    &[Purpose::StaticBinary(Architecture::X86_64), Purpose::StaticBinary(Architecture::Aarch64)];
const ARM_GUEST: &[Purpose] = &[Purpose::TryPackage(Architecture::Aarch64)];
const GUESTS: &[Purpose] = &[Purpose::Vm, Purpose::TryPackage(Architecture::Aarch64)];
const MANAGERS: &[Purpose] = &[Purpose::Managers];
const ROOTS: &[Purpose] = &[
    Purpose::Managers,
    Purpose::TryPackage(Architecture::X86_64),
    Purpose::TryPackage(Architecture::Aarch64),
    Purpose::Boot,
];
const BOOT: &[Purpose] = &[Purpose::Boot];
const EMULATION: &[Purpose] = &[Purpose::Vm, Purpose::Boot];
const PACKAGE: &[Purpose] = &[Purpose::Package];
const BENCH: &[Purpose] = &[Purpose::Bench];
const WIREGUARD: &[Purpose] = &[Purpose::Vm, Purpose::Bench];

/// The programs from Debian packages, each with the purposes that require it.
pub const DEBIAN_PROGRAMS: &[DebianProgram] = &[
    program("cc", "gcc", Purpose::ALL, "links the binary"),
    program("objcopy", "binutils", Purpose::ALL, "moves the debug information out of the binary"),
    program("ip", "iproute2", LABS, "makes the lab's network namespaces"),
    program("ethtool", "ethtool", LABS, "switches the lab's offloads"),
    program("ping", "iputils-ping", LABS, "pings"),
    program("tcpdump", "tcpdump", LABS, "captures on the router's wire"),
    program("bpftool", "bpftool", LABS, "shows the maps"),
    program("nsenter", "util-linux", LABS, "enters network namespaces"),
    program("timeout", "coreutils", LABS, "bounds every command"),
    program("iptables", "iptables", TESTS, "the iptables trick, a firewall"),
    program("nft", "nftables", TESTS, "the router's 1:1 NAT"),
    program("promtool", "prometheus", METRICS, "checks the metrics and the alert rules"),
    program("ansible-playbook", "ansible-core", ANSIBLE, "runs the role of packaging"),
    program("dpkg-deb", "dpkg", ANSIBLE, "makes the package that the role installs"),
    program("setpriv", "util-linux", TESTS, "drops privileges"),
    program("ss", "iproute2", TESTS, "lists connections"),
    program("tc", "iproute2", TESTS, "sets foreign filters beside ours"),
    program("mkfs.ext4", "e2fsprogs", GLUSTER, "makes the bricks' file systems"),
    program("sysctl", "procps", TESTS, "sets sysctls"),
    program("glusterd", "glusterfs-server", GLUSTER, "the cluster of the end-to-end test"),
    program("gluster", "glusterfs-cli", GLUSTER, "configures it"),
    program("mount.glusterfs", "glusterfs-client", GLUSTER, "mounts its volume"),
    program("qemu-img", "qemu-utils", GLUSTER, "makes and checks a disk image in the volume"),
    program("qemu-io", "qemu-utils", GLUSTER, "writes to it"),
    program("tmux", "tmux", SCREEN, "the terminal of rewrite top"),
    program("tshark", "tshark", CAPTURE, "opens the files of rewrite trace"),
    program("taskset", "util-linux", BENCH, "pins the measured processes to one processor"),
    program("iperf3", "iperf3", BENCH, "bulk traffic"),
    program("conntrack", "conntrack", BENCH, "flushes the entries of finished connections"),
    program("openvpn", "openvpn", BENCH, "a tunnel to compare with"),
    program("openssl", "openssl", BENCH, "makes its certificates"),
    program("wireguard-go", "wireguard-go", BENCH, "a tunnel to compare with"),
    program("wg", "wireguard-tools", WIREGUARD, "configures WireGuard"),
    program("qemu-system-x86_64", "qemu-system-x86", EMULATION, "boots other kernels"),
    program("qemu-system-aarch64", "qemu-system-arm", ARM_GUEST, "boots a kernel for aarch64"),
    program("depmod", "kmod", GUESTS, "lists the dependencies of another kernel's modules"),
    program("modprobe", "kmod", VM, "loads them"),
    program("strip", "binutils", VM, "makes the tests small enough to boot with"),
    program("apt-cache", "apt", GUESTS, "finds kernels in Debian's archive"),
    program("dpkg", "dpkg", GUESTS, "unpacks them"),
    program("mmdebstrap", "mmdebstrap", ROOTS, "makes root file systems of Debian"),
    program("systemd-nspawn", "systemd-container", MANAGERS, "boots it"),
    program("mkfs.ext4", "e2fsprogs", BOOT, "makes the disks of the booted systems"),
    program("qemu-img", "qemu-utils", BOOT, "makes their copies"),
    program("dnsmasq", "dnsmasq-base", MANAGERS, "leases it an address"),
    program("readelf", "binutils", PACKAGE, "shows that the packages' binary is static"),
    program(
        Architecture::X86_64.objcopy(),
        "binutils-x86-64-linux-gnu",
        X86_64,
        "moves the symbols out of the packages' binary",
    ),
    program(
        Architecture::Aarch64.objcopy(),
        "binutils-aarch64-linux-gnu",
        AARCH64,
        "moves the symbols out of a binary for aarch64, which the host's objcopy does not know",
    ),
    program("dpkg-deb", "dpkg", PACKAGE, "packs the .deb"),
    program("rpmbuild", "rpm", PACKAGE, "packs the .rpm"),
    program("gzip", "gzip", PACKAGE, "compresses the packages"),
    program("tar", "tar", PACKAGE, "packs the tar.gz and the image"),
    program("lintian", "lintian", PACKAGE, "checks the .deb"),
    program("ldd", "libc-bin", VM, "lists the shared libraries of the guest's programs"),
];

/// True if a program is in `PATH`, `/usr/sbin` or `/sbin`.
pub fn in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .any(|folder| folder.join(program).is_file())
}

/// A program's version, which is the last word in the first line of `program --version`.
pub fn version_of(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next()?.split(' ').next_back().map(str::to_owned)
}

/// The packages that `cargo install` has installed, with their versions. Not every cargo subcommand tells its own
/// version: `cargo auditable --version` tells cargo's.
///
/// # Errors
/// If cargo does not run.
pub fn installed_by_cargo() -> Result<BTreeMap<String, String>> {
    let output = crate::cargo::command().args(["install", "--list"]).output();
    let output = output.context("asking cargo for the installed programs")?;
    Ok(packages_and_versions(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads the list: a line `package v1.2.3:` for each package, and an indented line for each program.
fn packages_and_versions(list: &str) -> BTreeMap<String, String> {
    let package = |line: &str| {
        let (name, rest) = line.split_once(" v")?;
        let version = rest.split([' ', ':']).next()?;
        (!name.is_empty()).then(|| (name.to_owned(), version.to_owned()))
    };
    list.lines().filter_map(package).collect()
}

/// True if Debian's Python has the module for apt, which Ansible's module `apt` needs on the host that it changes.
pub fn has_python_apt() -> bool {
    Path::new("/usr/lib/python3/dist-packages/apt/__init__.py").exists()
}

/// True if the development files of this LLVM version are installed.
pub fn has_llvm(version: &str) -> bool {
    Path::new(&format!("/usr/lib/llvm-{version}/include/llvm-c/Core.h")).exists()
}

/// True if qemu's GlusterFS driver is installed. The driver is a module, so `in_path` can't find it.
pub fn has_gluster_driver() -> bool {
    // One of the subfolders is named after the architecture.
    let Ok(folders) = fs::read_dir("/usr/lib") else {
        return false;
    };
    folders.flatten().any(|folder| folder.path().join("qemu/block-gluster.so").is_file())
}

/// True if `core` for eBPF programs is available, as source or precompiled.
pub fn has_core() -> Result<bool> {
    let debian = Path::new("/usr/lib/rustlib/bpfel-unknown-none").exists();
    Ok(debian || rust_src()?.exists())
}

/// True if the toolchain has the standard library for `target`.
pub fn has_target(target: &str) -> Result<bool> {
    Ok(sysroot()?.join("lib/rustlib").join(target).join("lib").is_dir())
}

/// The path of the source of `core` in the toolchain. The path exists only if the source is installed.
pub fn rust_src() -> Result<PathBuf> {
    Ok(sysroot()?.join("lib/rustlib/src/rust/library/core"))
}

/// The folder of the toolchain.
pub fn sysroot() -> Result<PathBuf> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "sysroot"])
        .current_dir(crate::workspace())
        .output()
        .context("asking rustc for its sysroot")?;
    let sysroot = String::from_utf8(output.stdout).context("reading rustc's sysroot")?;
    Ok(PathBuf::from(sysroot.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_cargo_has_a_version_for_each_package() {
        let list = "cargo-auditable v0.7.7:\n    cargo-auditable\n\
                    typos-cli v1.52.0 (/src/typos):\n    typos\n";
        let wanted = [("cargo-auditable", "0.7.7"), ("typos-cli", "1.52.0")];
        let wanted = wanted.map(|(name, version)| (name.to_owned(), version.to_owned()));
        assert_eq!(packages_and_versions(list), BTreeMap::from(wanted));
    }
}
