//! A tunnel of the kernel's: 50 bytes more in every packet.

use anyhow::Result;
use tests::lab::{Lab, PUBLIC_INTERFACE};

use super::{Side, Way, sides};

const INTERFACE: &str = "vxlan0";
/// IANA's.
const PORT: &str = "4789";

/// From host to host, with the private addresses inside.
pub fn set_up(lab: &Lab) -> Result<Way> {
    for Side { host, private, public, peer_public, .. } in sides(lab) {
        let [local, remote] = [public, peer_public].map(|address| address.to_string());
        let link = ["ip", "link", "add", INTERFACE, "type", "vxlan", "id", "1"];
        let ends = ["local", &local, "remote", &remote, "dstport", PORT, "dev", PUBLIC_INTERFACE];
        host.run(&[&link[..], &ends].concat())?;
        host.run(&["ip", "address", "add", &format!("{private}/24"), "dev", INTERFACE])?;
        host.run(&["ip", "link", "set", INTERFACE, "addrgenmode", "none", "up"])?;
    }
    Ok(Way::private())
}
