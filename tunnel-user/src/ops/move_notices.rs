//! Asks the peers, after a change, whether they hold the new addresses. Until a peer confirms the new addresses,
//! packets to the peer use the former addresses (docs/decisions/0040-hosts-show-where-they-are.md).

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use tunnel_common::move_notice::Mark;

use crate::dataplane::maps::Maps;
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::clock::monotonic;
use crate::host::echo_socket::EchoSocket;
use crate::model::{Drain, MemberName};
use crate::ops::attached::Running;
use crate::plan::awaited::shown;
use crate::plan::identity::Identity;
use crate::plan::move_notices::{MoveNotice, To, notices};
use crate::plan::peer_tables::PeerTables;
use crate::plan::running_peers::Awaited;

/// The pauses of the rounds. In each round, this host asks the peers that have not answered yet, pauses, and checks for
/// answers.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(5),
    Duration::from_millis(45),
    Duration::from_millis(150),
    Duration::from_millis(100),
];
/// The maximum number of notices per round. Further peers get their notices in the next rounds.
const AT_ONCE: usize = 16_384;

/// The awaited peers, each with the address pairs that the peer has not confirmed yet.
pub(crate) type AwaitedPeers = Vec<(MemberName, Vec<Awaited>)>;

/// The command that an exchange follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// A first attach of this host: peers may be waiting for this host.
    FirstAttach,
    /// A change of a host that was attached before.
    Change,
}

/// Asks the awaited peers, announces this host, and records the confirmed addresses. The announcement goes to the peers
/// that have answered or, after a first attach, to the peers that were not awaited. Returns the peers that are still
/// awaited, by name. The change is complete by now, so a failure of the exchange is a warning: packets to the awaited
/// peers keep the former addresses until the peers show themselves.
pub(crate) async fn exchange(folder: &Folder, after: After, drain: Drain) -> AwaitedPeers {
    match try_exchange(folder, after, drain).await {
        Ok(awaited) => awaited,
        Err(failure) => {
            let interface = folder.interface();
            tracing::warn!(
                "the change of {interface} is complete, but rewrite can't ask the peers for their \
                 addresses: {failure}; packets may still go to former addresses: rewrite peer list"
            );
            awaited_peers(folder).unwrap_or_default()
        }
    }
}

async fn try_exchange(folder: &Folder, after: After, drain: Drain) -> Result<AwaitedPeers, Error> {
    let mut maps = Maps::open(folder)?;
    let identity = maps.local_members()?.identity;
    let tables = maps.peers()?;
    let mut awaited = notices(To::Awaited, &tables, &identity);
    let asked = awaited.clone();
    for (round, pause) in (0..).zip(PAUSES) {
        if awaited.is_empty() {
            break;
        }
        send(&awaited, Mark::Asked, round);
        tokio::time::sleep(pause).await;
        awaited = notices(To::Awaited, &maps.peers()?, &identity);
    }
    match after {
        After::FirstAttach => send(&notices(To::Shown, &tables, &identity), Mark::Announced, 0),
        After::Change => send(&asked.difference(&awaited).copied().collect(), Mark::Announced, 0),
    }
    if !asked.is_empty() {
        record_shown(&mut maps, drain)?;
    }
    if awaited.is_empty() {
        return Ok(AwaitedPeers::new());
    }
    awaited_peers(folder)
}

fn awaited_peers(folder: &Folder) -> Result<AwaitedPeers, Error> {
    let (peers, _) = Running::open(folder.clone())?.peers()?;
    let awaited = peers.into_iter().filter(|running| !running.awaited.is_empty());
    Ok(awaited.map(|running| (running.peer.name, running.awaited)).collect())
}

/// Asks the awaited peers once more. The programs receive the answers.
pub(crate) fn ask_again(tables: &PeerTables, identity: &Identity) {
    send(&notices(To::Awaited, tables, identity), Mark::Asked, 0);
}

fn record_shown(maps: &mut Maps, drain: Drain) -> Result<(), Error> {
    let (tables, now) = (maps.peers()?, monotonic()?);
    maps.change_v4(&shown(&tables.v4, now, drain.seconds()))?;
    maps.change_v6(&shown(&tables.v6, now, drain.seconds()))
}

fn send(notices: &BTreeSet<MoveNotice>, mark: Mark, round: usize) {
    let skipped = round.saturating_mul(AT_ONCE) % notices.len().max(1);
    let mut socket: Option<(IpAddr, Option<EchoSocket>)> = None;
    for notice in notices.iter().cycle().skip(skipped).take(notices.len().min(AT_ONCE)) {
        if socket.as_ref().is_none_or(|(from, _)| *from != notice.from) {
            socket = Some((notice.from, bound(notice.from)));
        }
        if let Some((_, Some(socket))) = &socket
            && let Err(error) = socket.send_notice(notice.to, round as u16, mark)
        {
            tracing::debug!("no move notice to {}: {error}", notice.to);
        }
    }
}

fn bound(address: IpAddr) -> Option<EchoSocket> {
    match EchoSocket::bound(address) {
        Ok(socket) => Some(socket),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            tracing::warn!(
                "rewrite needs CAP_NET_RAW to ask peers for their addresses: packets use the \
                 former addresses until the peers ask this host; add CAP_NET_RAW \
                 (docs/systemd.md)"
            );
            None
        }
        Err(error) => {
            // A gateway need not hold the addresses of the hosts behind it.
            tracing::debug!("no move notices from {address}: {error}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::network_namespace::NetworkNamespace;

    /// The change was complete before the exchange: a failed exchange leaves the change, and a trial of it, alone.
    #[tokio::test]
    async fn an_exchange_without_pins_awaits_nobody() {
        let folder = Folder::of(NetworkNamespace::Other(1), "not-attached");
        let awaited = exchange(&folder, After::FirstAttach, Drain::default()).await;
        assert_eq!(awaited, AwaitedPeers::new());
    }
}
