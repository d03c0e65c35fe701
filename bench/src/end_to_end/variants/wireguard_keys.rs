//! The settings of both ends of WireGuard, whoever runs it: keys, and the other end.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::Side;
use crate::text_file::TextFile;

const PORT: &str = "51820";

/// The keys of an end.
pub struct Keys {
    private: TextFile,
    public: String,
}

impl Keys {
    /// Makes new ones.
    pub fn make() -> Result<Self> {
        let key = wg("genkey", "")?;
        let public = wg("pubkey", &key)?.trim().to_owned();
        Ok(Self { private: TextFile::with(&key)?, public })
    }

    /// Tells an interface with these keys which private address is behind the keys of its peer, and
    /// where.
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

/// The output of `wg` for an input.
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
    String::from_utf8(output.stdout).context("read what `wg` said")
}
