//! Captures an interface's packets with tcpdump.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::frame::Frame;
use crate::netns::Namespace;
use crate::process::command_line;
use crate::wait::wait_until;

/// The snap length 0 selects tcpdump's maximum, so that the capture holds whole packets.
const WHOLE_PACKETS: u32 = 0;
/// A snap length that covers a packet's headers and, in an ICMP error, the quoted packet's headers.
const HEADERS: u32 = 160;
/// The time limit for tcpdump to read all packets that the kernel has received for it.
const LAG: Duration = Duration::from_secs(60);

/// A running capture. Dropping the value ends the capture.
#[derive(Debug)]
pub struct Capture {
    tcpdump: Child,
    messages: BufReader<ChildStderr>,
    /// The thread that collects tcpdump's output from a pipe. Thanks to the pipe, a killed test leaves no capture file,
    /// and its tcpdump ends when it writes the next packet.
    file: Option<JoinHandle<io::Result<Vec<u8>>>>,
    /// The number of packets that arrived before tcpdump set its filter. tcpdump counts these packets as
    /// received, but never captures them.
    unseen: u64,
}

impl Capture {
    /// Starts a capture of whole packets, and returns once tcpdump captures every new packet that matches `filter`. An
    /// empty filter matches every packet.
    ///
    /// # Errors
    /// When tcpdump can't be started, or refuses the interface or the filter.
    pub fn start(namespace: &Namespace, interface: &str, filter: &str) -> Result<Self> {
        Self::with_length(namespace, interface, filter, WHOLE_PACKETS)
    }

    /// Like [`Capture::start`], but captures only the packets' headers, for heavy traffic.
    ///
    /// # Errors
    /// As [`Capture::start`].
    pub fn start_headers(namespace: &Namespace, interface: &str, filter: &str) -> Result<Self> {
        Self::with_length(namespace, interface, filter, HEADERS)
    }

    fn with_length(
        namespace: &Namespace,
        interface: &str,
        filter: &str,
        length: u32,
    ) -> Result<Self> {
        let mut command = namespace.command("tcpdump");
        command
            .args(["-n", "-U", "--immediate-mode", "-Z", "root", "-B", "32768"])
            .args(["-i", interface, "-s", &length.to_string(), "-w", "-"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if !filter.is_empty() {
            command.arg(filter);
        }
        let mut tcpdump =
            command.spawn().with_context(|| format!("start `{}`", command_line(&command)))?;
        let stderr = tcpdump.stderr.take().context("tcpdump has no standard error")?;
        let mut stdout = tcpdump.stdout.take().context("tcpdump has no standard output")?;
        let file = thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).map(|_| bytes)
        });
        let messages = BufReader::new(stderr);
        let mut capture = Self { tcpdump, messages, file: Some(file), unseen: 0 };
        capture
            .read_message("listening on")
            .with_context(|| format!("capture on {interface} of {}", namespace.name()))?;
        // tcpdump discards the packets that arrive before it has its filter, but counts them as received. Store their
        // number, so that `stop` does not wait for these packets.
        let counts = capture.counts().context("ask tcpdump what it has counted")?;
        capture.unseen = counts.received.saturating_sub(counts.captured + counts.dropped);
        Ok(capture)
    }

    /// Ends the capture and returns its frames.
    ///
    /// # Errors
    /// When the kernel dropped packets that the filter let through, or tcpdump fails.
    pub fn stop(mut self) -> Result<Vec<Frame>> {
        // tcpdump writes only the packets that it has read from the kernel. Wait until it has read all packets, before
        // SIGINT ends it.
        wait_until("tcpdump to write all that it received", LAG, || {
            let counts = self.counts()?;
            let seen = counts.captured + counts.dropped + self.unseen;
            Ok((seen >= counts.received).then_some(()))
        })?;
        self.signal(Signal::SIGINT)?;
        let last = self.read_message("dropped by kernel")?;
        let status = self.tcpdump.wait().context("wait for tcpdump")?;
        ensure!(status.success(), "tcpdump ended with {status}");
        let counts = Counts::parse(&last)?;
        ensure!(
            counts.dropped == 0,
            "the kernel dropped {} packets before tcpdump saw them",
            counts.dropped
        );
        let reader = self.file.take().context("the capture has ended already")?;
        let file = reader
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            .context("read what tcpdump captured")?;
        parse_pcap(&file).context("parse what tcpdump captured")
    }

    /// Asks tcpdump for its current counts.
    fn counts(&mut self) -> Result<Counts> {
        self.signal(Signal::SIGUSR1)?;
        Counts::parse(&self.read_message("dropped by kernel")?)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.tcpdump.id()).context("the process id of tcpdump")?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("send {signal} to tcpdump"))
    }

    /// Reads tcpdump's messages up to a line that contains `wanted`, and returns all lines.
    fn read_message(&mut self, wanted: &str) -> Result<String> {
        let mut messages = String::new();
        loop {
            let mut line = String::new();
            let length =
                self.messages.read_line(&mut line).context("read the messages of tcpdump")?;
            if length == 0 {
                let status = self.tcpdump.wait().context("wait for tcpdump")?;
                bail!("tcpdump ended with {status} before `{wanted}`: {}", messages.trim());
            }
            write!(messages, "{line}")?;
            if line.contains(wanted) {
                return Ok(messages);
            }
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // Ignore errors: usually `stop` has already ended tcpdump.
        let _ = self.tcpdump.kill();
        let _ = self.tcpdump.wait();
    }
}

/// The counts that tcpdump prints.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    captured: u64,
    received: u64,
    dropped: u64,
}

impl Counts {
    fn parse(messages: &str) -> Result<Self> {
        let count = |what: &str| -> Result<u64> {
            messages
                .split([',', '\n'])
                .rev()
                .find(|part| part.ends_with(what))
                .and_then(|part| {
                    let mut words = part.split_whitespace();
                    words.find_map(|word| word.parse().ok())
                })
                .with_context(|| format!("no number before `{what}` in {messages:?}"))
        };
        Ok(Self {
            captured: count("captured")?,
            received: count("received by filter")?,
            dropped: count("dropped by kernel")?,
        })
    }
}

/// The magic number of a pcap file with this host's byte order and timestamps in microseconds.
const PCAP_MAGIC: u32 = 0xa1b2_c3d4;
/// The link type of frames that begin with an Ethernet header.
const ETHERNET: u32 = 1;
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

fn parse_pcap(file: &[u8]) -> Result<Vec<Frame>> {
    ensure!(word(file, 0)? == PCAP_MAGIC, "not a pcap file of this host's byte order");
    ensure!(word(file, 20)? == ETHERNET, "the frames have no Ethernet header");
    let mut frames = Vec::new();
    let mut rest = file.get(FILE_HEADER..).context("no file header")?;
    while !rest.is_empty() {
        let seconds = Duration::from_secs(word(rest, 0)?.into());
        let micros = Duration::from_micros(word(rest, 4)?.into());
        let captured = usize::try_from(word(rest, 8)?)?;
        let length = usize::try_from(word(rest, 12)?)?;
        let bytes = rest
            .get(RECORD_HEADER..RECORD_HEADER + captured)
            .context("the last frame is cut off")?;
        frames.push(Frame { bytes: bytes.to_vec(), length, timestamp: seconds + micros });
        rest = &rest[RECORD_HEADER + captured..];
    }
    Ok(frames)
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    let word = bytes.get(at..at + 4).with_context(|| format!("only {} bytes", bytes.len()))?;
    Ok(u32::from_ne_bytes(word.try_into()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_one_line_and_in_three() {
        let wanted = Counts { captured: 12, received: 13, dropped: 1 };
        for messages in [
            "12 packets captured\n13 packets received by filter\n1 packet dropped by kernel\n",
            "tcpdump: 12 packets captured, 13 packets received by filter, 1 packet dropped by kernel\n",
        ] {
            let counts = Counts::parse(messages).expect(messages);
            assert_eq!(counts, wanted, "{messages}");
        }
    }

    #[test]
    fn a_file_with_one_frame() {
        let mut file = Vec::new();
        for number in [PCAP_MAGIC, 0x0004_0002, 0, 0, 262_144, ETHERNET] {
            file.extend(number.to_ne_bytes());
        }
        for number in [7_u32, 250_000, 3, 60] {
            file.extend(number.to_ne_bytes());
        }
        file.extend([1, 2, 3]);
        let frames = parse_pcap(&file).expect("a whole file");
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].bytes, [1, 2, 3]);
        assert_eq!(frames[0].length, 60);
        assert_eq!(frames[0].timestamp, Duration::from_millis(7250));
        assert!(parse_pcap(&file[..file.len() - 1]).is_err());
    }
}
