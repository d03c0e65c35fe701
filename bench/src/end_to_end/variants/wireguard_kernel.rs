//! Sets up the kernel's WireGuard tunnel, which encrypts every packet and adds 60 bytes to it.

use anyhow::Result;
use testkit::lab::Lab;

use super::wireguard_keys::Keys;
use super::{Endpoints, sides};

const INTERFACE: &str = "wg0";

/// Makes a tunnel between the hosts, with the private addresses inside.
pub fn set_up(lab: &Lab) -> Result<Endpoints> {
    let sides = sides(lab);
    // Make the interfaces first: this step fails if the kernel lacks WireGuard.
    for side in &sides {
        side.host.run(&["ip", "link", "add", INTERFACE, "type", "wireguard"])?;
    }
    let keys = [Keys::generate()?, Keys::generate()?];
    for (side, (own, peer)) in sides.iter().zip([(&keys[0], &keys[1]), (&keys[1], &keys[0])]) {
        own.set(peer, side, INTERFACE)?;
        side.bring_up_to_peer(INTERFACE)?;
    }
    Ok(Endpoints::private())
}
