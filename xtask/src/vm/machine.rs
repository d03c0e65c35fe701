//! A virtual machine of qemu, in software emulation: it boots a kernel, and is listened to until it
//! powers off, or takes too long.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::console::Console;

const MEMORY: &str = "2G";
const PROCESSORS: &str = "2";
/// A kernel that has not started its first process by then never will.
const BOOT_LIMIT: Duration = Duration::from_secs(90);
/// A guest that has not powered off by then hangs.
const LIMIT: Duration = Duration::from_secs(1200);

/// What is left of a machine.
pub struct Outcome {
    /// What it said, understood.
    pub console: Console,
    /// What it said, word by word.
    pub said: String,
    /// What its kernel said.
    pub kernel_said: String,
    /// Whether it powered off by itself; else why it did not.
    pub ended: Result<()>,
}

/// Boots a kernel with an initial file system and listens to it. `kernel_log` is a file for what the
/// kernel says, `bars` shows what is going on.
///
/// # Errors
/// When there can't be a machine at all.
pub fn boot(
    series: &str,
    image: &Path,
    initramfs: &Path,
    kernel_log: &Path,
    bars: &MultiProgress,
) -> Result<Outcome> {
    let mut qemu = start(image, initramfs, kernel_log)?;
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
    let mut listener =
        Listener { lines: lines(stdout), console: Console::default(), said: String::new() };
    let mut ended = listener.listen(|console| {
        bar.set_message(format!("{series}: {}, {} passed", console.doing(), console.passed));
    });
    bar.finish_and_clear();

    if ended.is_err() {
        qemu.0.kill().context("killing qemu")?;
    }
    let status = qemu.0.wait().context("waiting for qemu")?;
    if ended.is_ok() && !status.success() {
        let complaints = complaints.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ended = Err(anyhow::anyhow!("qemu: {status}: {}", complaints?.trim()));
    }
    let kernel_said =
        fs::read(kernel_log).with_context(|| format!("reading {}", kernel_log.display()))?;
    Ok(Outcome {
        console: listener.console,
        said: listener.said,
        kernel_said: String::from_utf8_lossy(&kernel_said).into_owned(),
        ended,
    })
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

fn start(image: &Path, initramfs: &Path, kernel_log: &Path) -> Result<Qemu> {
    File::create(kernel_log).with_context(|| format!("creating {}", kernel_log.display()))?;
    let mut command = Command::new("setpriv");
    command
        // Where this process is interrupted or killed, the kernel ends qemu.
        .args(["--pdeathsig", "KILL", "qemu-system-x86_64"])
        // In one thread: with one for each processor, a processor may go on to run what another one
        // has patched over. Both of a Debian 6.1 then take the same int3 for ever, as the kernel has
        // them try again an instruction that is none any more (arch/x86/kernel/kprobes/core.c,
        // kprobe_int3_handler).
        .args(["-machine", "q35", "-cpu", "max", "-accel", "tcg,thread=single"])
        .args(["-smp", PROCESSORS, "-m", MEMORY])
        .args(["-nodefaults", "-display", "none", "-no-reboot"])
        .args(["-serial", &format!("file:{}", kernel_log.display()), "-serial", "stdio"])
        .arg("-kernel")
        .arg(image)
        .arg("-initrd")
        .arg(initramfs)
        // A kernel that panics ends the machine, as -no-reboot has it.
        .args(["-append", "console=ttyS0 loglevel=5 oops=panic panic=-1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(Qemu(command.spawn().context("starting qemu")?))
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

struct Listener {
    lines: Receiver<String>,
    console: Console,
    said: String,
}

impl Listener {
    /// Listens until the machine has ended. `told` is called with each line.
    fn listen(&mut self, told: impl Fn(&Console)) -> Result<()> {
        let start = Instant::now();
        loop {
            told(&self.console);
            let limit = if self.console.release.is_none() { BOOT_LIMIT } else { LIMIT };
            match self.lines.recv_timeout(limit.saturating_sub(start.elapsed())) {
                Ok(line) => {
                    self.console.hear(&line);
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
