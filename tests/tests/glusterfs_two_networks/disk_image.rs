//! Writes to a virtual machine's disk, a qcow2 image in the volume. qemu keeps the image open through libgfapi, and
//! writes to it all the time.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, bail, ensure};
use testkit::gluster::{Distributed, Host, MOUNT_POINT};

use crate::worker::Worker;

/// The length of a block in bytes. Each write covers one block.
const BLOCK: u64 = 64 * 1024;
/// The number of blocks that the disk has.
const BLOCKS: u64 = 2048;
const FILE: &str = "disk.qcow2";
/// The image's path before its copy to the volume.
const EMPTY: &str = "/mnt/empty.qcow2";
/// The path of the expected disk content, on the machine and outside the volume.
const EXPECTED: &str = "/mnt/expected.img";
/// The prompt of qemu-io.
const PROMPT: &[u8] = b"qemu-io> ";

/// Makes the image and begins to write to it.
///
/// # Errors
/// When the image can't be made or opened.
pub fn start(cluster: &Distributed) -> Result<Worker<QemuIo>> {
    let (machine, url) = (&cluster.machines[0], cluster.url(FILE));
    let size = (BLOCK * BLOCKS).to_string();
    // Create the image outside the volume and copy it: in the volume, qemu-img would take 20 s, because each access
    // through libgfapi takes 10 s.
    machine.run(&["qemu-img", "create", "-q", "-f", "qcow2", EMPTY, &size])?;
    // qemu can't read a file whose last block is partial.
    machine.run(&["truncate", "--size", "%65536", EMPTY])?;
    machine.run(&["cp", EMPTY, &format!("{MOUNT_POINT}/{FILE}")])?;
    let qemu_io = QemuIo::open(machine, &url)?;
    Ok(Worker::start("the client of the disk image", qemu_io, |qemu_io, number| {
        let (pattern, at) = (pattern(number), number % BLOCKS * BLOCK);
        let said = qemu_io.command(&format!("write -P {pattern} {at} {BLOCK}"))?;
        let written = format!("wrote {BLOCK}/{BLOCK} bytes at offset {at}");
        ensure!(said.contains(&written), "qemu-io: {}", said.trim());
        Ok(())
    }))
}

/// Closes the image after `blocks` written blocks, and checks that the image is intact.
///
/// # Errors
/// When the image's structure is damaged, or its bytes differ from the written ones.
pub fn require_intact(cluster: &Distributed, mut qemu_io: QemuIo, blocks: u64) -> Result<()> {
    qemu_io.command("flush")?;
    qemu_io.close()?;
    let (machine, url) = (&cluster.machines[0], cluster.url(FILE));
    machine.run(&["qemu-img", "check", "-q", "-f", "qcow2", &url])?;
    let path = machine.path(EXPECTED);
    let expected = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    expected.set_len(BLOCK * BLOCKS).context("make what the disk has to hold")?;
    for number in blocks.saturating_sub(BLOCKS)..blocks {
        let block = vec![pattern(number); usize::try_from(BLOCK)?];
        expected
            .write_all_at(&block, number % BLOCKS * BLOCK)
            .context("write what the disk has to hold")?;
    }
    machine.run(&["qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", EXPECTED, &url])?;
    Ok(())
}

/// A block's fill byte: never 0, since a hole reads as 0.
fn pattern(number: u64) -> u8 {
    // The remainder is less than 251.
    u8::try_from(number % 251).map_or(u8::MAX, |rest| rest + 1)
}

/// qemu-io with an open image. Dropping the value ends the process.
#[derive(Debug)]
pub struct QemuIo {
    process: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
}

impl QemuIo {
    fn open(machine: &Host, url: &str) -> Result<Self> {
        let mut command = machine.command_without_limit("qemu-io");
        command
            .args(["-f", "qcow2", "-t", "none", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = command.spawn().context("start qemu-io")?;
        let stdin = process.stdin.take().context("qemu-io has no standard input")?;
        let stdout = process.stdout.take().context("qemu-io has no standard output")?;
        let mut qemu_io = Self { process, stdin, stdout };
        qemu_io.answer().context("open the disk image")?;
        Ok(qemu_io)
    }

    /// Sends a command to qemu-io, and returns its answer.
    fn command(&mut self, line: &str) -> Result<String> {
        writeln!(self.stdin, "{line}").with_context(|| format!("tell qemu-io to {line}"))?;
        self.answer().with_context(|| format!("qemu-io, told to {line}"))
    }

    fn answer(&mut self) -> Result<String> {
        let mut said = Vec::new();
        let mut buffer = [0; 4096];
        while !said.ends_with(PROMPT) {
            let length = self.stdout.read(&mut buffer).context("read what qemu-io says")?;
            if length == 0 {
                bail!("it ended: {}", String::from_utf8_lossy(&said));
            }
            said.extend_from_slice(&buffer[..length]);
        }
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    fn close(mut self) -> Result<()> {
        writeln!(self.stdin, "quit").context("tell qemu-io to quit")?;
        let status = self.process.wait().context("wait for qemu-io")?;
        ensure!(status.success(), "qemu-io ended with {status}");
        Ok(())
    }
}

impl Drop for QemuIo {
    fn drop(&mut self) {
        // Both calls fail when the process has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
