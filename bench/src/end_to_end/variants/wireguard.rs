//! WireGuard in userspace, by wireguard-go: the kernel's own may be missing.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tests::lab::Lab;
use tests::wait::wait_until;

use super::{Side, Way, sides};
use crate::daemon::Daemon;
use crate::processor::Processor;

/// Where wireguard-go listens to `wg`, whatever network namespace it is in.
const SOCKETS: &str = "/var/run/wireguard";
const PORT: &str = "51820";
/// How long it may take until it can be told something.
const PATIENCE: Duration = Duration::from_secs(10);

/// One on each host.
pub fn set_up(lab: &Lab, processor: Processor) -> Result<Way> {
    let folder = tempfile::tempdir().context("make a folder for the keys")?;
    let [a, b] = sides(lab);
    let public_keys = [make_keys(folder.path(), &a)?, make_keys(folder.path(), &b)?];
    let tunnels = [
        Tunnel::start(folder.path(), &a, &public_keys[1], processor)?,
        Tunnel::start(folder.path(), &b, &public_keys[0], processor)?,
    ];
    Ok(Way::private_by((tunnels, folder)))
}

/// A host's end.
struct Tunnel {
    _daemon: Daemon,
    _socket: Socket,
}

impl Tunnel {
    fn start(folder: &Path, side: &Side<'_>, peer_key: &str, processor: Processor) -> Result<Self> {
        let Side { host, name, private, peer_private, peer_public, .. } = side;
        let interface = format!("be{}-{name}", process::id());
        let socket = Socket {
            file: Path::new(SOCKETS).join(format!("{interface}.sock")),
            folder_was_there: Path::new(SOCKETS).exists(),
        };
        let mut command = processor.command(host, "wireguard-go");
        command.args(["--foreground", &interface]).env("WG_PROCESS_FOREGROUND", "1");
        let mut daemon = Daemon::start(&mut command, folder.join(format!("{name}.log")))?;
        daemon.wait_until(|_| socket.file.exists())?;
        let key = private_key(folder, side);
        let key = key.to_str().context("a temporary folder that is not UTF-8")?;
        let endpoint = format!("{peer_public}:{PORT}");
        let [inside, allowed] = [private, peer_private].map(|address| format!("{address}/32"));
        let own = ["wg", "set", &interface, "listen-port", PORT, "private-key", key];
        let peer = ["peer", peer_key, "endpoint", &endpoint, "allowed-ips", &allowed];
        let words = [&own[..], &peer].concat();
        // The socket is there a moment before somebody listens to it.
        let mut last = None;
        wait_until("wireguard-go takes its settings", PATIENCE, || {
            last = host.run(&words).err();
            Ok(last.is_none().then_some(()))
        })
        .with_context(|| last.map_or_else(String::new, |error| format!("{error:#}")))?;
        let remote = peer_private.to_string();
        host.run(&["ip", "address", "add", &inside, "peer", &remote, "dev", &interface])?;
        host.run(&["ip", "link", "set", &interface, "up"])?;
        Ok(Self { _daemon: daemon, _socket: socket })
    }
}

/// What wireguard-go leaves behind: the socket if it has to be killed, and always its folder. Dropping
/// it removes them.
struct Socket {
    file: PathBuf,
    folder_was_there: bool,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // It fails where wireguard-go has done so itself.
        let _ = fs::remove_file(&self.file);
        if !self.folder_was_there {
            // It fails where somebody else's socket has come into it since.
            let _ = fs::remove_dir(SOCKETS);
        }
    }
}

fn private_key(folder: &Path, side: &Side<'_>) -> PathBuf {
    folder.join(format!("{}.key", side.name))
}

/// Writes a private key; returns the public one.
fn make_keys(folder: &Path, side: &Side<'_>) -> Result<String> {
    let private = wg("genkey", "")?;
    let path = private_key(folder, side);
    fs::write(&path, &private).with_context(|| format!("write {}", path.display()))?;
    Ok(wg("pubkey", &private)?.trim().to_owned())
}

/// What `wg` makes of an input.
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
