//! Writes this host's identity and peers into the maps, in an order that loses no packets.

use std::collections::BTreeMap;

use super::rollback::Undo;
use crate::dataplane::maps::Maps;
use crate::error::Error;
use crate::host::clock::monotonic;
use crate::host::tcp_connections;
use crate::interrupt::Interrupt;
use crate::model::MemberName;
use crate::model::text::counted;
use crate::plan::change::{LocalChange, PeerOptions};
use crate::plan::handover::Handover;
use crate::plan::identity::LocalMembers;
use crate::plan::kept_connections::{Connection, has_new, keep};
use crate::plan::membership::Membership;
use crate::plan::peer_tables::{self, AppliedChanges, Change, GRACE_PERIOD, PeerTable, changes};
use crate::plan::{bypass, slots};

/// The number of entries that change between two checks for a signal. A batch takes a few milliseconds.
const AT_ONCE: usize = 8192;

/// Records this host's identity, and adds the ranges at which a gateway or a moved host accepts packets. The entries of
/// private ranges keep the previous underlay addresses for now: packets leave from the previous addresses until
/// `Step::SwitchSource`. By then, the peers' entries say which peers might not know the new addresses yet. Adds the
/// undo steps to `steps`.
///
/// # Errors
/// If the kernel refuses.
pub fn record_local(
    maps: &mut Maps,
    wanted: &LocalChange,
    steps: &mut Vec<Undo>,
) -> Result<(), Error> {
    steps.push(Undo::RestoreLocalMembers(Box::new(maps.local_members()?)));
    let (identity, added) = (wanted.identity.clone(), wanted.added.clone());
    maps.set_local_members(&LocalMembers { identity, added })?;
    let current = maps.local_tables()?;
    let next = wanted.tables().still_sending_as(&current);
    steps.push(Undo::RestoreLocalTables(Box::new(current)));
    maps.set_local_tables(&next)
}

/// Changes the names, slots, bypass rules and peers to match `wanted`, and adds the undo steps to `steps`. Returns the
/// number of peer entries that were set or removed.
///
/// # Errors
/// If the kernel refuses, or a signal came.
pub async fn change(
    maps: &mut Maps,
    wanted: &Membership,
    options: &PeerOptions,
    interrupt: &Interrupt,
    steps: &mut Vec<Undo>,
) -> Result<usize, Error> {
    let names = maps.names()?;
    let slots = slots::assign(&names, wanted.peers.iter().map(|peer| &peer.name));
    let new: Vec<_> = slots.new.iter().map(|(slot, name)| (*slot, name)).collect();
    for new in new.chunks(AT_ONCE) {
        interrupt.check().await?;
        let of_slots: Vec<u32> = new.iter().map(|(slot, _)| *slot).collect();
        steps.push(names_back(&names, &of_slots));
        maps.clear_peer_counters(&of_slots)?;
        maps.set_names(new.iter().copied())?;
    }
    tracing::debug!("{} new", counted(new.len(), "peer"));
    // Add new rules before the entries that use them, and remove old rules after their entries.
    let rules = bypass::table(wanted, &slots.by_name);
    steps.push(Undo::RestoreBypass(maps.bypass()?));
    maps.set_bypass(&rules)?;

    let now = monotonic()?;
    let tables = peer_tables::tables(wanted, &slots.by_name, now.saturating_add(GRACE_PERIOD));
    let current = maps.peers()?;
    let PeerOptions { drain, own, .. } = *options;
    let (ended, local_previous) = (options.ended.clone(), options.local_previous.clone());
    let handover = Handover { now, drain: drain.seconds(), ended, own, local_previous };
    let mut tables = handover.successor(&current, &tables);
    tracing::debug!("read {} of peers", counted(current.v4.len() + current.v6.len(), "entry"));
    if has_new(&current, &tables) {
        let kept = keep(&open_connections(), &current, &mut tables);
        // Enter the flows before the entries that make the programs look for them.
        maps.add_public_flows(&kept, now)?;
    }
    let v4 = changes(&current.v4, &tables.v4);
    let v6 = changes(&current.v6, &tables.v6);
    let entries = v4.len().saturating_add(v6.len());
    let (v4, result) = make(maps, current.v4, v4, Maps::change_v4, interrupt).await;
    steps.push(Undo::ChangePeersV4(v4));
    result?;
    let (v6, result) = make(maps, current.v6, v6, Maps::change_v6, interrupt).await;
    steps.push(Undo::ChangePeersV6(v6));
    result?;

    maps.retain_bypass(&rules)?;
    let freed: Vec<u32> = slots.freed.into_iter().collect();
    for freed in freed.chunks(AT_ONCE) {
        interrupt.check().await?;
        steps.push(names_back(&names, freed));
        maps.remove_names(freed)?;
    }
    Ok(entries)
}

/// The open TCP connections. The list is empty if the kernel does not answer: the attach may then end connections
/// between public addresses.
fn open_connections() -> Vec<Connection> {
    tcp_connections::open().unwrap_or_else(|error| {
        tracing::warn!(
            "the kernel does not list its TCP connections, and open ones between public addresses of \
             members may end (modprobe tcp_diag inet_diag helps): {error}"
        );
        Vec::new()
    })
}

/// Applies the `changes` of one family in order. Returns the changes that were begun, and the result.
async fn make<A>(
    maps: &mut Maps,
    before: PeerTable<A>,
    mut changes: Vec<Change<A>>,
    change: fn(&mut Maps, &[Change<A>]) -> Result<(), Error>,
    interrupt: &Interrupt,
) -> (AppliedChanges<A>, Result<(), Error>) {
    let (mut begun, mut result) = (0, Ok(()));
    for some in changes.chunks(AT_ONCE) {
        result = interrupt.check().await;
        if result.is_ok() {
            begun += some.len();
            result = change(maps, some);
        }
        if result.is_err() {
            break;
        }
    }
    changes.truncate(begun);
    (AppliedChanges { before, changes }, result)
}

fn names_back(names: &BTreeMap<u32, MemberName>, slots: &[u32]) -> Undo {
    Undo::Names(slots.iter().map(|slot| (*slot, names.get(slot).cloned())).collect())
}
