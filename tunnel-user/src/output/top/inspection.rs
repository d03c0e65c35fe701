//! Runs a command of rewrite for one peer, and collects its output for the screen of `rewrite top`.

use std::collections::VecDeque;
use std::env;
use std::future::pending;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::thread;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tunnel_user::error::{Context as _, Error};

/// The number of lines that are kept.
const LINES_MAX: usize = 1000;

/// A running or ended command. Dropping the value kills the command.
pub struct Inspection {
    title: String,
    lines: VecDeque<String>,
    child: Child,
    output: UnboundedReceiver<String>,
    has_ended: bool,
}

impl Inspection {
    /// Starts `rewrite` with these words, in the network namespace `netns`.
    ///
    /// # Errors
    /// If the kernel can't start the process.
    pub fn start(netns: Option<&str>, words: &[String]) -> Result<Self, Error> {
        let title = format!("rewrite {}", words.join(" "));
        let starting = || format!("starting {title}");
        let mut command = Command::new(env::current_exe().context(starting)?);
        if let Some(name) = netns {
            command.args(["--netns", name]);
        }
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context(starting)?;
        let (sender, output) = unbounded_channel();
        if let Some(stdout) = child.stdout.take() {
            read(stdout, sender.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            read(stderr, sender);
        }
        Ok(Self { title, lines: VecDeque::new(), child, output, has_ended: false })
    }

    /// The command line.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// True if the command has printed everything.
    pub const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The output so far, the newest line last.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// Waits for more output, or for the end of the output. Never returns after that end.
    pub async fn changed(&mut self) {
        if self.has_ended {
            pending::<()>().await;
        }
        let mut next = self.output.recv().await;
        self.has_ended = next.is_none();
        while let Some(line) = next {
            if self.lines.len() == LINES_MAX {
                self.lines.pop_front();
            }
            self.lines.push_back(line);
            next = self.output.try_recv().ok();
        }
    }
}

impl Drop for Inspection {
    fn drop(&mut self) {
        // Ignore errors: usually, the command has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends each line of the stream, from a thread that ends with the stream.
fn read(stream: impl Read + Send + 'static, lines: UnboundedSender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let printable = line.replace('\t', "  ").replace(char::is_control, "");
            if lines.send(printable).is_err() {
                return;
            }
        }
    });
}
