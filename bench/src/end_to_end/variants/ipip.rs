//! IP in IP by the kernel: 20 bytes more in every packet.

use anyhow::Result;
use tests::lab::Lab;

use super::{Side, Way, sides};

const INTERFACE: &str = "ipip0";

/// From host to host, with the private addresses inside.
pub fn set_up(lab: &Lab) -> Result<Way> {
    for Side { host, private, public, peer_private, peer_public, .. } in sides(lab) {
        let [own, peer, local, remote] =
            [private, peer_private, public, peer_public].map(|address| address.to_string());
        let link = ["ip", "link", "add", INTERFACE, "type", "ipip"];
        host.run(&[&link[..], &["local", &local, "remote", &remote]].concat())?;
        host.run(&["ip", "address", "add", &own, "peer", &peer, "dev", INTERFACE])?;
        host.run(&["ip", "link", "set", INTERFACE, "up"])?;
    }
    Ok(Way::private())
}
