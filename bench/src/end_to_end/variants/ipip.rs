//! Sets up the kernel's IP-in-IP tunnel, which adds 20 bytes to every packet.

use anyhow::Result;
use testkit::lab::Lab;

use super::{Endpoints, Side, sides};

const INTERFACE: &str = "ipip0";

/// Makes a tunnel between the hosts, with the private addresses inside.
pub fn set_up(lab: &Lab) -> Result<Endpoints> {
    for side in sides(lab) {
        let Side { host, public, peer_public, .. } = &side;
        let [local, remote] = [public, peer_public].map(ToString::to_string);
        let link = ["ip", "link", "add", INTERFACE, "type", "ipip"];
        host.run(&[&link[..], &["local", &local, "remote", &remote]].concat())?;
        side.bring_up_to_peer(INTERFACE)?;
    }
    Ok(Endpoints::private())
}
