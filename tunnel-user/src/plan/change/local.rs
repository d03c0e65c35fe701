//! Describes the change of this host's identity, and this host's move.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::Private;
use crate::plan::handover::{Moved, OwnMove};
use crate::plan::identity::Identity;
use crate::plan::local_tables::{self, LocalTables};
use crate::plan::previous_underlays::{self, Before, PreviousUnderlays};

/// This host's new identity, and this host's move.
#[derive(Clone, Debug)]
pub struct LocalChange {
    /// The new identity.
    pub identity: Identity,
    /// The private addresses that attach added to the loopback interface.
    pub added: BTreeSet<Private>,
    /// The previous underlay addresses that this host still has.
    pub previous_underlays: PreviousUnderlays,
    /// This host's move. The peers must learn of the move.
    pub own_move: OwnMove,
}

impl LocalChange {
    /// First attach: no previous identity.
    #[must_use]
    pub fn first(identity: &Identity) -> Self {
        Self {
            identity: identity.clone(),
            added: BTreeSet::new(),
            previous_underlays: PreviousUnderlays::new(),
            own_move: OwnMove::default(),
        }
    }

    /// Later attach: `before` is the previous identity, `tables` are the present entries in the maps, and `held` are
    /// the addresses of the interface.
    #[must_use]
    pub fn following(
        before: &Identity,
        tables: &LocalTables,
        identity: &Identity,
        held: &[IpAddr],
    ) -> Self {
        let earlier = local_tables::previous_underlays(tables);
        let previous_underlays = previous_underlays::find(
            Before { identity: before, previous_underlays: &earlier },
            identity,
            held,
        );
        let own_move = previous_underlays::own_move(before, identity, &previous_underlays);
        Self { identity: identity.clone(), added: BTreeSet::new(), previous_underlays, own_move }
    }

    /// True if this host still has previous underlay addresses.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        !self.previous_underlays.is_empty()
    }

    /// The entries of `local_v4` and `local_v6`.
    #[must_use]
    pub fn tables(&self) -> LocalTables {
        local_tables::tables(&self.identity, &self.previous_underlays)
    }
}

/// The addresses in `previous_underlays`, without the prefixes. Each member's latest address comes first.
#[must_use]
pub fn addresses_of(previous_underlays: &PreviousUnderlays) -> Vec<IpAddr> {
    let single = previous_underlays.values().flatten().filter(|former| former.0.is_single());
    single.map(|former| former.0.address()).collect()
}

/// The move of a host that keeps its address. `has_moved` is true after an earlier move.
#[must_use]
pub const fn unmoved(has_moved: bool) -> OwnMove {
    let moved = if has_moved { Moved::Before } else { Moved::No };
    OwnMove { v4: moved, v6: moved }
}
