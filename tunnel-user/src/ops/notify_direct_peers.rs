//! Notifies the direct peers as the last step before a detach removes the programs. A packet with the private addresses
//! makes each direct peer send packets with private addresses, too (docs/decisions/0018). Without this notice, the
//! peer's packets would still have public addresses, which no socket on this host knows, and this host's kernel would
//! reset the connections.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::dataplane::maps::Maps;
use crate::error::Error;
use crate::model::MemberName;
use crate::plan::direct_notices::direct_notices;
use crate::plan::range::Address as _;

/// The maximum number of notices per peer. A peer's packet in flight makes this host rewrite again, and the peer then
/// needs one more notice.
const ROUNDS: usize = 5;

/// Notifies the direct peers, and returns their names.
///
/// # Errors
/// If the maps can't be read or changed. A peer without an answer is no error.
pub(crate) async fn notify_direct_peers(maps: &mut Maps) -> Result<Vec<MemberName>, Error> {
    let mut notified = BTreeSet::new();
    for _ in 0..ROUNDS {
        let tables = maps.peers()?;
        let (v4, v6) = (direct_notices(&tables.v4), direct_notices(&tables.v6));
        if v4.is_empty() && v6.is_empty() {
            break;
        }
        let mut probes = JoinSet::new();
        for notice in v4 {
            notified.insert(notice.slot);
            maps.change_v4(&notice.changes)?;
            probes.spawn(send_probe(Probe { own: notice.own.ip(), peer: notice.peer.ip() }));
        }
        for notice in v6 {
            notified.insert(notice.slot);
            maps.change_v6(&notice.changes)?;
            probes.spawn(send_probe(Probe { own: notice.own.ip(), peer: notice.peer.ip() }));
        }
        probes.join_all().await;
    }
    let names: BTreeMap<_, _> = if notified.is_empty() { BTreeMap::new() } else { maps.names()? };
    Ok(notified.iter().filter_map(|slot| names.get(slot).cloned()).collect())
}

/// The discard port (RFC 863). Usually nothing listens there, and the peer's kernel answers that the port is closed; a
/// discard service never answers.
const DISCARD: u16 = 9;
/// The longest wait for the peer's answer.
const ANSWER: Duration = Duration::from_millis(200);

/// A datagram without data between two private addresses.
#[derive(Clone, Copy, Debug)]
struct Probe {
    /// This host's address.
    own: IpAddr,
    /// The peer's address.
    peer: IpAddr,
}

/// Sends a probe, and waits for the answer of the peer's kernel.
async fn send_probe(probe: Probe) {
    let exchange = async {
        let socket = UdpSocket::bind((probe.own, 0)).await?;
        socket.connect((probe.peer, DISCARD)).await?;
        socket.send(&[]).await?;
        socket.recv(&mut [0]).await
    };
    // Any answer will do: it shows that the probe has arrived.
    let _ = timeout(ANSWER, exchange).await;
}
