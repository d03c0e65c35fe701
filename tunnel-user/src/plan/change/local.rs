//! The change of who this host is.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::Private;
use crate::plan::former::{self, Before, Formers};
use crate::plan::handover::{Moved, OwnMove};
use crate::plan::identity::Identity;
use crate::plan::selves::{self, SelfTables};

/// The new identity of this host, and its move.
#[derive(Clone, Debug)]
pub struct LocalChange {
    /// The members.
    pub identity: Identity,
    /// The private addresses that attach added to the loopback interface.
    pub added: BTreeSet<Private>,
    /// The underlay addresses from before it moved that it still has.
    pub formers: Formers,
    /// The move of this host, which peers have to learn of.
    pub own_move: OwnMove,
}

impl LocalChange {
    /// First attach: no previous identity.
    #[must_use]
    pub fn first(identity: &Identity) -> Self {
        Self {
            identity: identity.clone(),
            added: BTreeSet::new(),
            formers: Formers::new(),
            own_move: OwnMove::default(),
        }
    }

    /// Attach again: the identity was `before`, with `tables` in the maps; `held` are the addresses of the
    /// interface.
    #[must_use]
    pub fn following(
        before: &Identity,
        tables: &SelfTables,
        identity: &Identity,
        held: &[IpAddr],
    ) -> Self {
        let earlier = selves::formers(tables);
        let formers =
            former::former(Before { identity: before, formers: &earlier }, identity, held);
        let own_move = former::own_move(before, identity, &formers);
        Self { identity: identity.clone(), added: BTreeSet::new(), formers, own_move }
    }

    /// True if there are former addresses to look for.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        !self.formers.is_empty()
    }

    /// The entries of `local_v4` and `local_v6`.
    #[must_use]
    pub fn tables(&self) -> SelfTables {
        selves::tables(&self.identity, &self.formers)
    }
}

/// The addresses of `formers`, those of each member with the latest first.
#[must_use]
pub fn former_addresses(formers: &Formers) -> Vec<IpAddr> {
    let single = formers.values().flatten().filter(|former| former.0.is_single());
    single.map(|former| former.0.address()).collect()
}

/// The state of a host that stays where it is.
#[must_use]
pub const fn unmoved(has_moved: bool) -> OwnMove {
    let moved = if has_moved { Moved::Before } else { Moved::No };
    OwnMove { v4: moved, v6: moved }
}
