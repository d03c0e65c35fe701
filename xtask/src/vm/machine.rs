//! Boots a kernel in a virtual machine by qemu's software emulation, and reads the machine's output until the
//! machine powers off or reaches the time limit.

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
use super::emulator;
use super::initramfs;
use super::kernel::Kernel;
use super::nics;

const MEMORY: &str = "2G";
/// The time limit for a kernel to start its first process.
const BOOT_LIMIT: Duration = Duration::from_secs(90);
/// The number of the kernel's last messages to show after a failure.
const KERNEL_LINES: usize = 60;

/// The settings of a machine.
pub struct Machine<'a> {
    /// The prefix of the names of the machine's files: file system, log and kernel log.
    pub name: String,
    /// The kernel to boot.
    pub kernel: &'a Kernel,
    /// The common files; see [`initramfs::common`].
    pub files: &'a Files,
    /// The number of processors.
    pub processors: u8,
    /// The kinds of network interfaces. The machine has a lab's interfaces of each kind.
    pub nics: &'a [Nic],
    /// The machine's clock.
    pub clock: Clock,
    /// The time limit. After this time, the machine counts as hung, and xtask kills it.
    pub limit: Duration,
}

/// The clock of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The host's clock.
    Host,
    /// The count of executed instructions, at sixteen nanoseconds each, so that other load on the host does
    /// not affect the guest's time. When the guest idles, its clock jumps to the next timer.
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

/// The parser of the guest's output on its second serial port.
pub trait OutputParser {
    /// Handles a line, without its newline.
    fn parse_line(&mut self, line: &str);

    /// True after the first output of the guest's first process.
    fn has_booted(&self) -> bool;

    /// The current activity, for the progress line.
    fn activity(&self) -> String;
}

/// The result of a machine's run.
pub struct Outcome<L> {
    /// The parser, after it has parsed the guest's whole output.
    pub console: L,
    /// `Ok` if the machine powered off by itself, or an error that explains the failure.
    pub ended: Result<()>,
    /// The raw output, which shows the reason for a failure.
    pub output: Output,
}

/// The whole output of a guest and its kernel. `Display` shows the guest's output and the kernel's last messages.
pub struct Output {
    name: String,
    guest: String,
    kernel: String,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, guest, kernel } = self;
        writeln!(f, "\nthe output of the guest of {name}:\n{guest}")?;
        writeln!(f, "the last messages of its kernel:")?;
        let lines: Vec<_> = kernel.lines().collect();
        for line in &lines[lines.len().saturating_sub(KERNEL_LINES)..] {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

impl Machine<'_> {
    /// Boots the machine and reads its output. The machine's files are in `folder`, and `bars` shows the progress.
    ///
    /// # Errors
    /// When the machine can't be started.
    pub fn boot<L: OutputParser>(
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
        let stderr_text = thread::spawn(move || {
            let mut text = String::new();
            BufReader::new(stderr).read_to_string(&mut text).map(|_| text)
        });

        // The spinner draws nothing if standard error is not a terminal.
        let bar = bars.add(ProgressBar::new_spinner());
        bar.set_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})")?);
        bar.enable_steady_tick(Duration::from_millis(120));
        let log = folder.join(format!("{name}.log"));
        let log = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let mut line = Line { lines: lines(stdout), console, text: String::new(), log };
        let mut ended = line.listen(self.limit, |console| {
            bar.set_message(format!("{name}: {}", console.activity()))
        });
        bar.finish_and_clear();

        if ended.is_err() {
            qemu.0.kill().context("killing qemu")?;
        }
        let status = qemu.0.wait().context("waiting for qemu")?;
        if ended.is_ok() && !status.success() {
            let stderr_text =
                stderr_text.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            ended = Err(anyhow::anyhow!("qemu: {status}: {}", stderr_text?.trim()));
        }
        let kernel =
            fs::read(&kernel_log).with_context(|| format!("reading {}", kernel_log.display()))?;
        let kernel = String::from_utf8_lossy(&kernel).into_owned();
        let Line { console, text: guest, .. } = line;
        Ok(Outcome { console, ended, output: Output { name: name.clone(), guest, kernel } })
    }

    fn start(&self, initramfs: &Path, kernel_log: &Path) -> Result<Qemu> {
        File::create(kernel_log).with_context(|| format!("creating {}", kernel_log.display()))?;
        let mut command = Command::new("setpriv");
        command
            // The kernel ends qemu if this process ends for any reason.
            .args(["--pdeathsig", "KILL"])
            .args(nics::wires(self.nics))
            .args(emulator::command(self.kernel.architecture))
            .args(["-smp", &self.processors.to_string(), "-m", MEMORY])
            .args(self.clock.options())
            .args(["-nodefaults", "-display", "none", "-no-reboot"])
            .args(nics::devices(self.nics))
            .args(emulator::serial_ports(self.kernel.architecture, kernel_log))
            .arg("-kernel")
            .arg(self.kernel.image())
            .arg("-initrd")
            .arg(initramfs)
            .args(["-append", &emulator::kernel_parameters(self.kernel.architecture)])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(Qemu(command.spawn().context("starting qemu")?))
    }
}

/// A running qemu process. Dropping this value ends qemu, and so does the end of this process for any reason.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        // Both calls fail if qemu has already ended, which is the usual case.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads a pipe in a new thread until the pipe is closed; returns the receiver of the lines.
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

/// A guest's serial port and its parser.
struct Line<L> {
    lines: Receiver<String>,
    console: L,
    text: String,
    /// A copy of the output in a file, for reading during the run.
    log: File,
}

impl<L: OutputParser> Line<L> {
    /// Reads lines until the machine ends. Calls `on_line` before it waits for each line.
    fn listen(&mut self, limit: Duration, on_line: impl Fn(&L)) -> Result<()> {
        let start = Instant::now();
        loop {
            on_line(&self.console);
            let limit = if self.console.has_booted() { limit } else { BOOT_LIMIT };
            match self.lines.recv_timeout(limit.saturating_sub(start.elapsed())) {
                Ok(line) => {
                    self.console.parse_line(&line);
                    writeln!(self.log, "{line}").context("writing the log of the guest")?;
                    self.text.push_str(&line);
                    self.text.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => bail!(
                    "killed after {} s in the middle of {}",
                    limit.as_secs(),
                    self.console.activity()
                ),
            }
        }
    }
}
