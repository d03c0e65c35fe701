//! Boots a guest in qemu's software emulation, and runs commands in it by qemu's guest agent, which needs no network.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use qapi::qga::{self, GuestExecCaptureOutput};
use qapi::{Qga, Stream};
use testkit::netns::Namespace;
use testkit::process;
use testkit::wait::wait_until;

use super::image::Image;
use super::router::Port;
use crate::architecture::Architecture;
use crate::vm::emulator;

/// The time limit of a boot.
const BOOT: Duration = Duration::from_secs(400);
/// The time limit of a command.
const COMMAND: Duration = Duration::from_secs(240);
/// The time limit of the agent's first answer. While a guest boots, its agent does not answer.
const ANSWER: Duration = Duration::from_secs(5);
/// The pause between two questions about a command's end.
const POLL: Duration = Duration::from_millis(100);

/// A running guest. Dropping this value ends it.
pub struct Guest {
    port: &'static Port,
    qemu: Child,
    agent: PathBuf,
    console: PathBuf,
    started: Instant,
}

impl Guest {
    /// Starts a guest with a fresh copy of the image, and with the file system `packages` as its second disk.
    pub fn start(
        folder: &Path,
        port: &'static Port,
        image: &Image,
        packages: &Path,
        router: &Namespace,
    ) -> Result<Self> {
        let file = |ending: &str| folder.join(format!("{}.{ending}", port.host));
        let (disk, agent, console) = (file("qcow2"), file("agent"), file("console.log"));
        for old in [&disk, &agent] {
            if old.exists() {
                fs::remove_file(old).with_context(|| format!("removing {}", old.display()))?;
            }
        }
        let mut overlay = Command::new("qemu-img");
        overlay.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(&image.disk);
        process::run(overlay.arg(&disk))?;
        File::create(&console).with_context(|| format!("creating {}", console.display()))?;
        // The kernel ends qemu if this process ends for any reason.
        let mut command = router.command("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .args(emulator::command(Architecture::X86_64))
            .args(["-smp", "1", "-m", "1G", "-nodefaults", "-display", "none"])
            .arg("-kernel")
            .arg(&image.kernel)
            .arg("-initrd")
            .arg(&image.initramfs)
            .args(["-append", &kernel_options(port.host)])
            .arg("-serial")
            .arg(format!("file:{}", console.display()))
            .arg("-drive")
            .arg(format!("file={},format=qcow2,if=virtio", disk.display()))
            .arg("-drive")
            .arg(format!("file={},format=raw,if=virtio,readonly=on", packages.display()))
            .arg("-netdev")
            .arg(format!("tap,id=net,ifname={},script=no,downscript=no", port.tap))
            .arg("-device")
            .arg(format!("virtio-net-pci,netdev=net,mac={},romfile=", port.hardware_address))
            .args(["-device", "virtio-serial"])
            .arg("-chardev")
            .arg(format!("socket,id=agent,path={},server=on,wait=off", agent.display()))
            .args(["-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let qemu = command.spawn().context("starting qemu")?;
        Ok(Self { port, qemu, agent, console, started: Instant::now() })
    }

    /// The guest's place in the network.
    pub const fn port(&self) -> &'static Port {
        self.port
    }

    /// Waits until the guest has booted, and returns the time since its start.
    pub fn wait_for_boot(&mut self) -> Result<Duration> {
        let what =
            format!("{} has booted; its console: {}", self.port.host, self.console.display());
        wait_until(&what, BOOT, || {
            if let Some(status) = self.qemu.try_wait().context("asking for qemu's status")? {
                bail!("qemu of {}: {status}", self.port.host);
            }
            // A degraded system has also booted; the story looks at the units that it needs.
            let state = self.attempt("systemctl is-system-running || :", ANSWER * 4);
            Ok(matches!(state.as_deref().map(str::trim), Ok("running" | "degraded")).then_some(()))
        })?;
        Ok(self.started.elapsed())
    }

    /// Reboots the guest, and returns the time until it has booted.
    pub fn reboot(&mut self) -> Result<Duration> {
        let before = self.run("cat /proc/sys/kernel/random/boot_id")?;
        self.started = Instant::now();
        self.run("systemctl --no-block reboot")?;
        wait_until(&format!("{} boots anew", self.port.host), BOOT, || {
            let now = self.attempt("cat /proc/sys/kernel/random/boot_id", ANSWER);
            Ok(now.is_ok_and(|now| now != before).then_some(()))
        })?;
        self.wait_for_boot()
    }

    /// Runs a shell command in the guest, and returns its output.
    ///
    /// # Errors
    /// When the command fails; the error contains its output.
    pub fn run(&self, command: &str) -> Result<String> {
        self.attempt(command, COMMAND).with_context(|| format!("{}: {command}", self.port.host))
    }

    fn attempt(&self, command: &str, limit: Duration) -> Result<String> {
        let mut agent = self.agent()?;
        let start = agent.execute(&qga::guest_exec {
            path: "/bin/sh".to_owned(),
            arg: Some(vec!["-c".to_owned(), command.to_owned()]),
            env: Some(vec![
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
                "LC_ALL=C".to_owned(),
                "HOME=/root".to_owned(),
            ]),
            capture_output: Some(GuestExecCaptureOutput::flag(true)),
            input_data: None,
        });
        let pid = start.context("starting the command")?.pid;
        let begun = Instant::now();
        loop {
            let status = agent.execute(&qga::guest_exec_status { pid });
            let status = status.context("asking for the command's end")?;
            if status.exited {
                let text = |data: Option<Vec<u8>>| {
                    String::from_utf8_lossy(&data.unwrap_or_default()).into_owned()
                };
                let (out, err) = (text(status.out_data), text(status.err_data));
                ensure!(
                    status.exitcode == Some(0),
                    "status {:?}, signal {:?}\n{out}{err}",
                    status.exitcode,
                    status.signal
                );
                return Ok(out);
            }
            ensure!(begun.elapsed() < limit, "no end after {} s", limit.as_secs());
            thread::sleep(POLL);
        }
    }

    /// A connection to the agent. An answer to a question of an earlier connection makes the synchronisation fail.
    fn agent(&self) -> Result<Qga<Stream<impl BufRead, impl Write>>> {
        let stream = UnixStream::connect(&self.agent).context("connecting to the agent")?;
        stream.set_read_timeout(Some(ANSWER)).context("limiting the time")?;
        let clone = || stream.try_clone().context("reading from the agent");
        let (reader, limited) = (BufReader::new(clone()?), clone()?);
        let mut agent = Qga::new(Stream::new(reader, stream));
        let number = self.started.elapsed().as_micros() % i32::MAX.unsigned_abs() as u128;
        agent.guest_sync(i32::try_from(number).unwrap_or_default()).context("no answer")?;
        limited.set_read_timeout(Some(COMMAND)).context("limiting the time")?;
        Ok(agent)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Both calls fail if qemu has already ended.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

fn kernel_options(host: &str) -> String {
    format!(
        "root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=-1 systemd.hostname={host} systemd.show_status=1"
    )
}
