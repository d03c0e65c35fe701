//! The last thing before the programs go: peers that are marked direct hear from this host plainly,
//! and answer in kind (docs/decisions/0018). Without it, what they send rewritten would meet sockets
//! that know no public addresses, and be answered by resets.

use std::collections::{BTreeMap, BTreeSet};

use tokio::task::JoinSet;

use super::greet::{Greeting, greet};
use crate::dataplane::maps::Maps;
use crate::failure::Failure;
use crate::model::MemberName;
use crate::plan::farewell::{Farewell, farewells};
use crate::plan::peer_tables::Change;
use crate::plan::range::Address;

/// A peer's packet that was under way has this host rewrite again, until it is told again.
const ROUNDS: usize = 5;

/// Tells them, and returns who was told.
///
/// # Errors
/// If the maps can't be read or changed. That a peer does not answer is no error.
pub(super) async fn say(maps: &mut Maps) -> Result<Vec<MemberName>, Failure> {
    let mut told = BTreeSet::new();
    for _ in 0..ROUNDS {
        let tables = maps.peers()?;
        let (v4, v6) = (farewells(&tables.v4), farewells(&tables.v6));
        if v4.is_empty() && v6.is_empty() {
            break;
        }
        let mut greetings = JoinSet::new();
        for farewell in v4 {
            told.insert(farewell.slot);
            send_plainly(maps, &farewell, Maps::change_v4)?;
            greetings.spawn(greet(Greeting { own: farewell.own.ip(), peer: farewell.peer.ip() }));
        }
        for farewell in v6 {
            told.insert(farewell.slot);
            send_plainly(maps, &farewell, Maps::change_v6)?;
            greetings.spawn(greet(Greeting { own: farewell.own.ip(), peer: farewell.peer.ip() }));
        }
        greetings.join_all().await;
    }
    let names: BTreeMap<_, _> = if told.is_empty() { BTreeMap::new() } else { maps.names()? };
    Ok(told.iter().filter_map(|slot| names.get(slot).cloned()).collect())
}

fn send_plainly<A: Address>(
    maps: &mut Maps,
    farewell: &Farewell<A>,
    change: fn(&mut Maps, &[Change<A>]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    change(maps, &farewell.changes)
}
