//! Finds foreign programs that packets meet before ours. If a foreign program ends the chain (TCX_PASS, TC_ACT_OK),
//! the packet continues without a rewrite. The kernel does not reveal which verdict a program returns.

use std::collections::BTreeMap;
use std::fmt;

use aya::programs::loaded_programs;
use tunnel_common::outcome::Direction;

use super::attached_programs::{AttachedBy, AttachedProgram, by_filters, by_tcx, is_at};
use super::pins::Folder;
use super::tc;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::plan::attach_point::{AttachPoint, BOTH, Hook, Program};

/// A program that runs before ours in its direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFront {
    pub(super) program: AttachedProgram,
    /// The program's name. For a tcx program, the kernel reveals the name only with CAP_SYS_ADMIN.
    pub(super) name: Option<String>,
}

impl fmt::Display for InFront {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.program.fmt(f)?;
        match &self.name {
            Some(name) if !name.is_empty() => write!(f, ", called {name}"),
            _ => Ok(()),
        }
    }
}

/// The programs that run before ours on the interface of index `link`, which is attached at `place`.
///
/// # Errors
/// If a query to the kernel fails.
pub async fn of_attached(
    folder: &Folder,
    place: AttachPoint,
    link: u32,
    netlink: &Netlink,
) -> Result<Vec<InFront>, Error> {
    let mut found = Vec::new();
    for direction in BOTH {
        if place.program(direction) == Program::Xdp {
            continue;
        }
        let chain = chain(link, direction, netlink).await?;
        found.extend(before(chain, |program| is_at(folder, place, program)));
    }
    Ok(named(found))
}

/// The programs that would run before ours after an attach of the interface at `place`.
///
/// # Errors
/// If a query to the kernel fails.
pub async fn of_next_attach(
    place: AttachPoint,
    link: u32,
    netlink: &Netlink,
) -> Result<Vec<InFront>, Error> {
    let mut found = Vec::new();
    for direction in BOTH {
        let is_behind = |program: &AttachedProgram| match (direction, place.hook, &program.by) {
            (Direction::Egress, Hook::Tcx, AttachedBy::Tcx(_))
            | (_, Hook::Clsact, AttachedBy::Tcx(_)) => false,
            (_, Hook::Clsact, AttachedBy::Filter(priority, ..)) => {
                *priority >= tc::filter(direction).priority
            }
            _ => true,
        };
        if place.program(direction) != Program::Xdp {
            let chain = chain(link, direction, netlink).await?;
            found.extend(chain.into_iter().filter(|program| !is_behind(program)));
        }
    }
    Ok(named(found))
}

/// The tc programs in the order in which packets meet them: tcx first, then the filters (Linux 6.6, net/core/dev.c,
/// sch_handle_ingress).
pub(super) async fn chain(
    link: u32,
    direction: Direction,
    netlink: &Netlink,
) -> Result<Vec<AttachedProgram>, Error> {
    let mut chain = by_tcx(link, direction)?;
    if netlink.has_clsact(link).await? {
        let mut filters = by_filters(link, direction, netlink).await?;
        filters.sort_by_key(|program| match program.by {
            AttachedBy::Filter(priority, ..) => priority,
            AttachedBy::Tcx(_) | AttachedBy::Xdp => 0,
        });
        chain.extend(filters);
    }
    Ok(chain)
}

/// The programs that come before ours; empty if our program is not in the chain.
fn before(
    mut chain: Vec<AttachedProgram>,
    is_ours: impl Fn(&AttachedProgram) -> bool,
) -> Vec<AttachedProgram> {
    let ours = chain.iter().position(is_ours).unwrap_or_default();
    chain.truncate(ours);
    chain
}

/// Adds the programs' names, and leaves out every program that has the name of one of rewrite's programs.
pub(super) fn named(programs: Vec<AttachedProgram>) -> Vec<InFront> {
    let names: BTreeMap<u32, String> = match programs.is_empty() {
        true => BTreeMap::new(),
        false => loaded_programs()
            .filter_map(Result::ok)
            .filter(|info| programs.iter().any(|program| program.id == info.id()))
            .map(|info| (info.id(), info.name_as_str().unwrap_or_default().to_owned()))
            .collect(),
    };
    let named = programs.into_iter().map(|program| {
        let name = match &program.by {
            AttachedBy::Filter(.., name) => Some(name.clone()),
            AttachedBy::Tcx(_) | AttachedBy::Xdp => names.get(&program.id).cloned(),
        };
        InFront { program, name }
    });
    let is_ours = |name: &str| Program::ALL.iter().any(|ours| ours.name() == name);
    named.filter(|found| !found.name.as_deref().is_some_and(is_ours)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_link(id: u32) -> AttachedProgram {
        AttachedProgram { direction: Direction::Egress, id, by: AttachedBy::Tcx(id) }
    }

    fn ids(programs: &[AttachedProgram]) -> Vec<u32> {
        programs.iter().map(|program| program.id).collect()
    }

    #[test]
    fn those_before_ours_are_in_front_and_none_are_without_ours() {
        let chain = || (1..=4).map(by_link).collect::<Vec<_>>();
        assert_eq!(ids(&before(chain(), |program| program.id == 3)), [1, 2]);
        assert!(before(chain(), |program| program.id == 1).is_empty());
        assert!(before(chain(), |_| false).is_empty());
    }

    #[test]
    fn a_program_without_a_name_is_told_by_its_id() {
        let found = InFront { program: by_link(7), name: None };
        assert_eq!(found.to_string(), "at egress: program id 7 by tcx link id 7");
        let found = InFront { name: Some("police".into()), ..found };
        assert!(found.to_string().ends_with("link id 7, called police"), "{found}");
    }
}
