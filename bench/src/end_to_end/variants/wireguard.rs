//! Sets up WireGuard in userspace with wireguard-go, because the kernel may lack WireGuard.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use anyhow::{Context as _, Result};
use testkit::lab::Lab;
use testkit::wait::wait_until;

use super::wireguard_keys::Keys;
use super::{Endpoints, Side, sides};
use crate::daemon::Daemon;
use crate::processor::Processor;

/// The folder of wireguard-go's control sockets. All network namespaces share this folder.
const SOCKETS: &str = "/var/run/wireguard";
/// The time limit until wireguard-go accepts settings.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts wireguard-go on each host.
pub fn set_up(lab: &Lab, processor: Processor) -> Result<Endpoints> {
    let folder = tempfile::tempdir().context("create a folder for the logs")?;
    let [a, b] = sides(lab);
    let sockets = SocketFolder::find();
    let [keys_a, keys_b] = [Keys::generate()?, Keys::generate()?];
    let tunnels = [
        Tunnel::start(folder.path(), &a, &keys_a, &keys_b, processor)?,
        Tunnel::start(folder.path(), &b, &keys_b, &keys_a, processor)?,
    ];
    Ok(Endpoints::private_by((tunnels, sockets, folder)))
}

/// A host's end of the tunnel.
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
        // Retry the settings: the socket file exists shortly before wireguard-go listens on the socket.
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

/// A control socket's file, which remains after wireguard-go is killed. Dropping this value removes the file.
struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        // The removal fails if wireguard-go has already removed the file.
        let _ = fs::remove_file(&self.0);
    }
}

/// The folder of the sockets, which wireguard-go creates and never removes. Dropping this value removes
/// the folder, unless the folder existed before.
struct SocketFolder {
    was_there: bool,
}

impl SocketFolder {
    fn find() -> Self {
        Self { was_there: Path::new(SOCKETS).exists() }
    }
}

impl Drop for SocketFolder {
    fn drop(&mut self) {
        if !self.was_there {
            // The removal fails if the folder meanwhile contains another process's socket.
            let _ = fs::remove_dir(SOCKETS);
        }
    }
}
