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
use crate::model::Drain;
use crate::plan::awaited::shown;
use crate::plan::identity::Identity;
use crate::plan::move_notices::{MoveNotice, To, notices};
use crate::plan::peer_tables::PeerTables;

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

/// The command that an exchange follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// A first attach of this host: peers may be waiting for this host.
    FirstAttach,
    /// A change of a host that was attached before.
    Change,
}

/// Asks the awaited peers, announces this host, and records the confirmed addresses. The announcement goes to the peers
/// that have answered or, after a first attach, to the peers that were not awaited. True if a peer is still awaited.
///
/// # Errors
/// If the maps can't be read or changed. A peer that does not answer is no error.
pub(crate) async fn exchange(folder: &Folder, after: After, drain: Drain) -> Result<bool, Error> {
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
    Ok(!awaited.is_empty())
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
