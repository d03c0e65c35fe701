//! Boots a machine with systemd-nspawn in the lab's host A, and runs the DHCP server of the machine's network.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::lab::{A_PUBLIC, Lab, PUBLIC_INTERFACE, ROUTER_A};
use testkit::process;
use testkit::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(60);

/// A running machine. Dropping this value shuts the machine down.
pub struct Machine {
    nspawn: Child,
    /// The machine's process 1.
    init: Pid,
}

impl Machine {
    /// Boots a machine in A's network namespace. From then on, the network manager controls the
    /// addresses and routes.
    pub fn boot(root: &Path, binary: &Path, lab: &Lab) -> Result<Self> {
        lab.a.run(&["ip", "address", "flush", "dev", PUBLIC_INTERFACE])?;
        lab.a.run(&["ip", "link", "set", PUBLIC_INTERFACE, "down"])?;
        let nspawn = Command::new("systemd-nspawn")
            .args(["--quiet", "--boot", "--register=no", "--keep-unit", "--console=pipe"])
            .args(["--volatile=overlay", "--capability=all", "--system-call-filter=bpf"])
            .args(["--bind=/sys/fs/bpf", "--directory"])
            .arg(root)
            .arg(format!("--network-namespace-path={}", lab.a.path().display()))
            .arg(format!("--machine={}", lab.a.name()))
            // Make /proc/sys/net writable: network managers write sysctls.
            .env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "network")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting systemd-nspawn")?;
        let children = format!("/proc/{0}/task/{0}/children", nspawn.id());
        let init = wait_until("a process of the machine", PATIENCE, || {
            // Until systemd starts, the child is a process that sets the container up.
            let listed = fs::read_to_string(&children).unwrap_or_default();
            let is_init = |pid: &&str| {
                fs::read_to_string(format!("/proc/{pid}/comm"))
                    .is_ok_and(|name| name == "systemd\n")
            };
            let init = listed.split_whitespace().find(is_init);
            Ok(init.and_then(|pid| pid.parse().ok()).map(Pid::from_raw))
        });
        let machine = Self { nspawn, init: init? };
        wait_until("the machine to have booted", PATIENCE, || {
            // Some units can't start in a machine without devices: a degraded state is fine.
            let state = machine.run("systemctl is-system-running || true").unwrap_or_default();
            Ok(matches!(state.trim(), "running" | "degraded").then_some(()))
        })?;
        let stripped = root.with_file_name("rewrite");
        process::run(Command::new("strip").arg("-o").arg(&stripped).arg(binary))?;
        machine.copy(&stripped, "/usr/bin/rewrite", 0o755)?;
        let packaging = crate::workspace().join("packaging");
        machine.copy(
            &packaging.join("hooks/attach-again"),
            "/usr/lib/rewrite/attach-again",
            0o755,
        )?;
        let unit = "systemd/rewrite@.service";
        machine.copy(&packaging.join(unit), "/etc/systemd/system/rewrite@.service", 0o644)?;
        machine.run("systemctl daemon-reload")?;
        Ok(machine)
    }

    /// Runs a shell command in the machine, and returns its output.
    pub fn run(&self, command: &str) -> Result<String> {
        let target = self.init.to_string();
        let enter = ["--target", &target, "--mount", "--pid", "--net", "--uts", "--ipc"];
        let shell = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C", "sh", "-c"];
        let inside = ["--root", "--wd", "timeout", "--kill-after=5", "60"];
        process::run(Command::new("nsenter").args(enter).args(inside).args(shell).arg(command))
    }

    /// Writes a file into the machine.
    pub fn write(&self, path: &str, content: &str, mode: u32) -> Result<()> {
        let path = self.path(path)?;
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        fs::set_permissions(&path, Permissions::from_mode(mode)).context("setting its mode")
    }

    fn copy(&self, from: &Path, to: &str, mode: u32) -> Result<()> {
        let to = self.path(to)?;
        fs::copy(from, &to).with_context(|| format!("copying {}", from.display()))?;
        fs::set_permissions(&to, Permissions::from_mode(mode)).context("setting its mode")
    }

    /// Creates the parent folder of a path in the machine; returns the path under which the host reaches the file.
    fn path(&self, path: &str) -> Result<PathBuf> {
        let path = PathBuf::from(format!("/proc/{}/root{path}", self.init));
        let folder = path.parent().context("a path with a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(path)
    }

    /// Waits until the manager has given eth0 its address and the default route.
    pub fn wait_for_address(&self) -> Result<()> {
        wait_until("an address and a default route", PATIENCE, || {
            let addresses = self.run("ip address show dev eth0")?;
            let routes = self.run("ip route show default")?;
            let is_there = addresses.contains(&A_PUBLIC.to_string()) && !routes.is_empty();
            Ok(is_there.then_some(()))
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // After SIGTERM, systemd-nspawn shuts the machine down.
        let _ = kill(Pid::from_raw(self.nspawn.id().cast_signed()), Signal::SIGTERM);
        let _ = self.nspawn.wait();
    }
}

/// A DHCP server on the router, which leases only A's public address. Dropping this value ends the server.
pub struct Leases(Child);

impl Leases {
    pub fn serve(lab: &Lab) -> Result<Self> {
        let range = format!("--dhcp-range={A_PUBLIC},{A_PUBLIC},255.255.255.0,2m");
        let server = lab
            .router
            .command("dnsmasq")
            .args([
                "--keep-in-foreground",
                "--port=0",
                "--bind-interfaces",
                "--conf-file=/dev/null",
            ])
            .args(["--dhcp-authoritative", "--no-ping", "--pid-file=", "--except-interface=lo"])
            .args(["--dhcp-leasefile=/dev/null", "--leasefile-ro", "--interface", ROUTER_A, &range])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting dnsmasq")?;
        Ok(Self(server))
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
