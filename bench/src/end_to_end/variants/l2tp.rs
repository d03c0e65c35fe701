//! Sets up a kernel L2TPv3 Ethernet tunnel over IP, which adds 42 bytes to every packet.

use anyhow::Result;
use testkit::lab::Lab;

use super::{Endpoints, Side, sides};

const INTERFACE: &str = "l2tp0";
/// The ID of the tunnel and of its session, at both ends.
const ID: &str = "1";

/// Makes a tunnel between the hosts, with the private addresses inside.
pub fn set_up(lab: &Lab) -> Result<Endpoints> {
    for side in sides(lab) {
        let Side { host, public, peer_public, .. } = &side;
        let [local, remote] = [public, peer_public].map(ToString::to_string);
        let tunnel = ["ip", "l2tp", "add", "tunnel", "tunnel_id", ID, "peer_tunnel_id", ID];
        // Use IP encapsulation: UDP encapsulation would add 12 more bytes.
        host.run(&[&tunnel[..], &["encap", "ip", "local", &local, "remote", &remote]].concat())?;
        let session = ["ip", "l2tp", "add", "session", "name", INTERFACE, "tunnel_id", ID];
        host.run(&[&session[..], &["session_id", ID, "peer_session_id", ID]].concat())?;
        side.bring_up(INTERFACE)?;
    }
    Ok(Endpoints::private())
}
