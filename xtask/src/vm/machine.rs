//! A virtual machine of qemu, in software emulation: it boots a kernel, and is listened to until it
//! powers off, or takes too long.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use testkit::lab::Nic;

use super::cpio::Files;
use super::initramfs;
use super::kernel::Kernel;
use super::nics;

const MEMORY: &str = "2G";
/// A kernel that has not started its first process by then never will.
const BOOT_LIMIT: Duration = Duration::from_secs(90);
/// As much of the kernel's own words as is shown when something failed.
const KERNEL_LINES: usize = 60;

/// A machine to be.
pub struct Machine<'a> {
    /// The beginning of the names of its files: its file system, its log, and its kernel's.
    pub name: String,
    /// The kernel that it boots.
    pub kernel: &'a Kernel,
    /// Its files on every kernel; see [`initramfs::common`].
    pub files: &'a Files,
    /// The number of its processors.
    pub processors: u8,
    /// The network interfaces that it has, for a lab each.
    pub nics: &'a [Nic],
    /// Its clock.
    pub clock: Clock,
    /// When it has not powered off by then, it hangs.
    pub limit: Duration,
}

/// The clock of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The host's clock.
    Host,
    /// Its own instructions, sixteen nanoseconds each, so that it does not matter to the guest what else
    /// the host does. Where it would wait, the time to wait for is there at once.
    Instructions,
}

impl Clock {
    const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Host => &[],
            Self::Instructions => &["-icount", "shift=4,sleep=off"],
        }
    }
}

/// The reader of a guest's second serial port.
pub trait Listener {
    /// Takes a line, without its end.
    fn hear(&mut self, line: &str);

    /// True if the guest's first process has said something.
    fn has_booted(&self) -> bool;

    /// The progress, for people who wait.
    fn doing(&self) -> String;
}

/// The remains of a machine.
pub struct Outcome<L> {
    /// Its output, understood.
    pub console: L,
    /// Ok if it powered off by itself; else the reason.
    pub ended: Result<()>,
    /// For those who look for a reason.
    pub words: Words,
}

/// All that a guest said, and its kernel. Shown is of the kernel's the end.
pub struct Words {
    name: String,
    guest: String,
    kernel: String,
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, guest, kernel } = self;
        writeln!(f, "\nwhat the guest of {name} said:\n{guest}")?;
        writeln!(f, "the last that its kernel said:")?;
        let lines: Vec<_> = kernel.lines().collect();
        for line in &lines[lines.len().saturating_sub(KERNEL_LINES)..] {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

impl Machine<'_> {
    /// Boots it and listens. Its files are kept in `folder`, `bars` shows what is going on.
    ///
    /// # Errors
    /// When there can't be a machine at all.
    pub fn boot<L: Listener>(
        &self,
        folder: &Path,
        bars: &MultiProgress,
        console: L,
    ) -> Result<Outcome<L>> {
        let name = &self.name;
        let initramfs = folder.join(format!("{name}.cpio"));
        initramfs::write(self.files, self.kernel, &initramfs)?;
        let kernel_log = folder.join(format!("{name}.kernel.log"));
        let mut qemu = self.start(&initramfs, &kernel_log)?;
        let stdout = qemu.0.stdout.take().context("qemu has no standard output")?;
        let stderr = qemu.0.stderr.take().context("qemu has no standard error")?;
        let complaints = thread::spawn(move || {
            let mut text = String::new();
            BufReader::new(stderr).read_to_string(&mut text).map(|_| text)
        });

        // Draws nothing where standard error is not a terminal.
        let bar = bars.add(ProgressBar::new_spinner());
        bar.set_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})")?);
        bar.enable_steady_tick(Duration::from_millis(120));
        let log = folder.join(format!("{name}.log"));
        let log = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let mut line = Line { lines: lines(stdout), console, said: String::new(), log };
        let mut ended = line
            .listen(self.limit, |console| bar.set_message(format!("{name}: {}", console.doing())));
        bar.finish_and_clear();

        if ended.is_err() {
            qemu.0.kill().context("killing qemu")?;
        }
        let status = qemu.0.wait().context("waiting for qemu")?;
        if ended.is_ok() && !status.success() {
            let complaints =
                complaints.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            ended = Err(anyhow::anyhow!("qemu: {status}: {}", complaints?.trim()));
        }
        let kernel =
            fs::read(&kernel_log).with_context(|| format!("reading {}", kernel_log.display()))?;
        let kernel = String::from_utf8_lossy(&kernel).into_owned();
        let Line { console, said: guest, .. } = line;
        Ok(Outcome { console, ended, words: Words { name: name.clone(), guest, kernel } })
    }

    fn start(&self, initramfs: &Path, kernel_log: &Path) -> Result<Qemu> {
        File::create(kernel_log).with_context(|| format!("creating {}", kernel_log.display()))?;
        let mut command = Command::new("setpriv");
        command
            // Where this process is interrupted or killed, the kernel ends qemu.
            .args(["--pdeathsig", "KILL"])
            .args(nics::wires(self.nics))
            .arg("qemu-system-x86_64")
            // In one thread: with one for each processor, a processor may go on to run what another one
            // has patched over. Both of a Debian 6.1 then take the same int3 for ever, as the kernel has
            // them try again an instruction that is none any more (arch/x86/kernel/kprobes/core.c,
            // kprobe_int3_handler).
            .args(["-machine", "q35", "-cpu", "max", "-accel", "tcg,thread=single"])
            .args(["-smp", &self.processors.to_string(), "-m", MEMORY])
            .args(self.clock.options())
            .args(["-nodefaults", "-display", "none", "-no-reboot"])
            .args(nics::devices(self.nics))
            .args(["-serial", &format!("file:{}", kernel_log.display()), "-serial", "stdio"])
            .arg("-kernel")
            .arg(self.kernel.image())
            .arg("-initrd")
            .arg(initramfs)
            // A kernel that panics ends the machine, as -no-reboot has it.
            .args(["-append", "console=ttyS0 loglevel=5 oops=panic panic=-1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(Qemu(command.spawn().context("starting qemu")?))
    }
}

/// A qemu that ends when it is dropped, and with this process, however that ends.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        // Both fail when it has ended, which is the usual case.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines that come from a pipe, until it is closed.
fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while let Ok(1..) = pipe.read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(text).is_err() {
                break;
            }
            line.clear();
        }
    });
    receiver
}

/// A guest's serial port, and who listens to it.
struct Line<L> {
    lines: Receiver<String>,
    console: L,
    said: String,
    /// The same for those who can't wait.
    log: File,
}

impl<L: Listener> Line<L> {
    /// Listens until the machine has ended. `told` is called with each line.
    fn listen(&mut self, limit: Duration, told: impl Fn(&L)) -> Result<()> {
        let start = Instant::now();
        loop {
            told(&self.console);
            let limit = if self.console.has_booted() { limit } else { BOOT_LIMIT };
            match self.lines.recv_timeout(limit.saturating_sub(start.elapsed())) {
                Ok(line) => {
                    self.console.hear(&line);
                    writeln!(self.log, "{line}").context("keeping what the guest said")?;
                    self.said.push_str(&line);
                    self.said.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => bail!(
                    "killed after {} s in the middle of {}",
                    limit.as_secs(),
                    self.console.doing()
                ),
            }
        }
    }
}
