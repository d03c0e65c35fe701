//! WireGuard in userspace, by wireguard-go: the kernel's own may be missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use anyhow::{Context as _, Result};
use testkit::lab::Lab;
use testkit::wait::wait_until;

use super::wireguard_keys::Keys;
use super::{Side, Way, sides};
use crate::daemon::Daemon;
use crate::processor::Processor;

/// Where wireguard-go listens to `wg`, whatever network namespace it is in.
const SOCKETS: &str = "/var/run/wireguard";
/// The longest time that it may take until it can be told something.
const PATIENCE: Duration = Duration::from_secs(10);

/// One on each host.
pub fn set_up(lab: &Lab, processor: Processor) -> Result<Way> {
    let folder = tempfile::tempdir().context("make a folder for the logs")?;
    let [a, b] = sides(lab);
    let sockets = SocketFolder::look();
    let [keys_a, keys_b] = [Keys::make()?, Keys::make()?];
    let tunnels = [
        Tunnel::start(folder.path(), &a, &keys_a, &keys_b, processor)?,
        Tunnel::start(folder.path(), &b, &keys_b, &keys_a, processor)?,
    ];
    Ok(Way::private_by((tunnels, sockets, folder)))
}

/// A host's end.
struct Tunnel {
    _daemon: Daemon,
    _socket: Socket,
}

impl Tunnel {
    fn start(
        folder: &Path,
        side: &Side<'_>,
        keys: &Keys,
        peer: &Keys,
        processor: Processor,
    ) -> Result<Self> {
        let Side { host, name, .. } = side;
        let interface = format!("be{}-{name}", process::id());
        let socket = Socket(Path::new(SOCKETS).join(format!("{interface}.sock")));
        let mut command = processor.command(host, "wireguard-go");
        command.args(["--foreground", &interface]).env("WG_PROCESS_FOREGROUND", "1");
        let mut daemon = Daemon::start(&mut command, folder.join(format!("{name}.log")))?;
        daemon.wait_until(|_| socket.0.exists())?;
        // The socket is there a moment before somebody listens to it.
        let mut last = None;
        wait_until("wireguard-go takes its settings", PATIENCE, || {
            last = keys.set(peer, side, &interface).err();
            Ok(last.is_none().then_some(()))
        })
        .with_context(|| last.map_or_else(String::new, |error| format!("{error:#}")))?;
        side.bring_up_to_peer(&interface)?;
        Ok(Self { _daemon: daemon, _socket: socket })
    }
}

/// The remains of a wireguard-go that has to be killed. Dropping it removes it.
struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        // It fails where wireguard-go has done so itself.
        let _ = fs::remove_file(&self.0);
    }
}

/// The folder of the sockets, which wireguard-go makes and leaves behind. Dropping it removes it, unless
/// it was there before.
struct SocketFolder {
    was_there: bool,
}

impl SocketFolder {
    fn look() -> Self {
        Self { was_there: Path::new(SOCKETS).exists() }
    }
}

impl Drop for SocketFolder {
    fn drop(&mut self) {
        if !self.was_there {
            // It fails where somebody else's socket has come into it since.
            let _ = fs::remove_dir(SOCKETS);
        }
    }
}
