//! Sets up the kernel's VXLAN tunnel, which adds 50 bytes to every packet.

use anyhow::Result;
use testkit::lab::{Lab, PUBLIC_INTERFACE};

use super::{Endpoints, Side, sides};

const INTERFACE: &str = "vxlan0";
/// IANA's port for VXLAN.
const PORT: &str = "4789";

/// Makes a tunnel between the hosts, with the private addresses inside.
pub fn set_up(lab: &Lab) -> Result<Endpoints> {
    for side in sides(lab) {
        let Side { host, public, peer_public, .. } = &side;
        let [local, remote] = [public, peer_public].map(ToString::to_string);
        let link = ["ip", "link", "add", INTERFACE, "type", "vxlan", "id", "1"];
        let ends = ["local", &local, "remote", &remote, "dstport", PORT, "dev", PUBLIC_INTERFACE];
        host.run(&[&link[..], &ends].concat())?;
        side.bring_up(INTERFACE)?;
    }
    Ok(Endpoints::private())
}
