//! Starts OpenVPN between two peers, which know each other's certificate fingerprint.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use testkit::lab::Lab;
use testkit::process;

use super::{Endpoints, Side, sides};
use crate::daemon::Daemon;
use crate::processor::Processor;

/// OpenVPN's message when the tunnel is up.
const READY: &str = "Initialization Sequence Completed";

/// Starts OpenVPN on each host. Both ends prefer the cipher AES-256-GCM.
pub fn set_up(lab: &Lab, processor: Processor) -> Result<Endpoints> {
    let folder = tempfile::tempdir().context("create a folder for the certificates")?;
    let [a, b] = sides(lab);
    let fingerprints = [make_certificate(folder.path(), &a)?, make_certificate(folder.path(), &b)?];
    let mut daemons = [
        start(folder.path(), &a, "--tls-server", &fingerprints[1], processor)?,
        start(folder.path(), &b, "--tls-client", &fingerprints[0], processor)?,
    ];
    for daemon in &mut daemons {
        daemon.wait_until(|output| output.contains(READY))?;
    }
    Ok(Endpoints::private_by((daemons, folder)))
}

fn start(
    folder: &Path,
    side: &Side<'_>,
    role: &str,
    fingerprint: &str,
    processor: Processor,
) -> Result<Daemon> {
    let file = |ending: &str| folder.join(format!("{}.{ending}", side.name));
    let Side { host, private, public, peer_private, peer_public, .. } = side;
    let mut command = processor.command(host, "openvpn");
    command
        .args(["--dev", "tun0", "--proto", "udp", "--port", "1194", "--verb", "1", role])
        .args(["--local", &public.to_string(), "--remote", &peer_public.to_string()])
        .args(["--ifconfig", &private.to_string(), &peer_private.to_string()])
        .args(["--dh", "none", "--peer-fingerprint", fingerprint, "--disable-dco"])
        .arg("--cert")
        .arg(file("crt"))
        .arg("--key")
        .arg(file("key"));
    Daemon::start(&mut command, file("log"))
}

/// Makes a self-signed certificate; returns its fingerprint.
fn make_certificate(folder: &Path, side: &Side<'_>) -> Result<String> {
    let [certificate, key] =
        ["crt", "key"].map(|ending| folder.join(format!("{}.{ending}", side.name)));
    let mut make = Command::new("openssl");
    make.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", &format!("/CN={}", side.name), "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate);
    process::run(&mut make)?;
    let mut show = Command::new("openssl");
    show.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(&certificate);
    let output = process::run(&mut show)?;
    let fingerprint = fingerprint(&output);
    fingerprint.with_context(|| format!("`openssl x509` printed {output}")).map(str::to_owned)
}

fn fingerprint(output: &str) -> Option<&str> {
    output.trim().split_once('=').map(|(_, fingerprint)| fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_follows_its_name() {
        assert_eq!(fingerprint("sha256 Fingerprint=AB:CD:01\n"), Some("AB:CD:01"));
        assert_eq!(fingerprint("nonsense"), None);
    }
}
