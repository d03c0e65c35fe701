//! Generates the keys for both ends of a WireGuard tunnel, and configures the ends. The tunnel is in the kernel or in
//! userspace.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::Side;
use crate::text_file::TextFile;

const PORT: &str = "51820";

/// The private and the public key of one end of the tunnel.
pub struct Keys {
    private: TextFile,
    public: String,
}

impl Keys {
    /// Generates new keys.
    pub fn generate() -> Result<Self> {
        let key = wg("genkey", "")?;
        let public = wg("pubkey", &key)?.trim().to_owned();
        Ok(Self { private: TextFile::with(&key)?, public })
    }

    /// Sets an interface's port and private key, and the peer's public key, endpoint and private address.
    pub fn set(&self, peer: &Self, side: &Side<'_>, interface: &str) -> Result<()> {
        let Side { host, peer_private, peer_public, .. } = side;
        let (endpoint, allowed) = (format!("{peer_public}:{PORT}"), format!("{peer_private}/32"));
        let own =
            ["wg", "set", interface, "listen-port", PORT, "private-key", self.private.word()?];
        let peer = ["peer", &peer.public, "endpoint", &endpoint, "allowed-ips", &allowed];
        host.run(&[&own[..], &peer].concat())?;
        Ok(())
    }
}

/// Runs `wg` with this subcommand and input; returns its output.
fn wg(word: &str, input: &str) -> Result<String> {
    let mut child = Command::new("wg")
        .arg(word)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("start `wg`")?;
    let mut stdin = child.stdin.take().context("a child without input")?;
    stdin.write_all(input.as_bytes()).with_context(|| format!("write to `wg {word}`"))?;
    drop(stdin);
    let output = child.wait_with_output().context("wait for `wg`")?;
    ensure!(output.status.success(), "`wg {word}` ended with {}", output.status);
    String::from_utf8(output.stdout).context("read the output of `wg`")
}
